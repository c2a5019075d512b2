"""Runs of which something is said that is not so, or not any more."""

from __future__ import annotations

from attrs import evolve
from planting.hooks import answered, around, reported

from penstock.contract.run import ENDED, Absent


def a_cancel_is_only_words():
    """A run that is asked to end is said to be canceled at once, and its steps go on."""
    canceled = set()

    def cancel(real, target, run):
        canceled.add(run.id)
        return True

    def ended(found):
        at = found.started
        steps = [one if one.state in ENDED else evolve(one, state="canceled", ended=at) for one in found.steps]
        return evolve(found, state="canceled", ended=at, steps=tuple(steps))

    def get_run(real, target, run):
        found = real(target, run)
        return ended(found) if run.id in canceled and hasattr(found, "steps") else found

    around("penstock_cancel_run", cancel)
    around("penstock_get_run", get_run)


def a_canceled_run_is_revived():
    """A run that was said to be canceled is running again at a later look."""
    looks = {}

    def get_run(real, target, run):
        found = real(target, run)
        if getattr(found, "state", "") == "canceled":
            looks[run.id] = looks.get(run.id, 0) + 1
            if looks[run.id] == 3:
                return evolve(found, state="running", ended=None)
        return found

    around("penstock_get_run", get_run)


def skipped_steps_are_said_to_succeed():
    """A step that never ran, because what it needs failed, is said to have succeeded."""
    reported(lambda found: _steps(found, "skipped", state="succeeded", exit_code=0))


def retries_are_not_counted():
    """A step is said to be at its first attempt, however often it was tried."""
    reported(lambda found: evolve(found, steps=tuple(evolve(one, attempt=min(1, one.attempt)) for one in found.steps)))


def failed_steps_have_outputs():
    """What a step wrote before it failed is told as its output."""
    reported(lambda found: _steps(found, "failed", outputs={"x": "1"}))


def runs_end_when_they_start():
    """The end of a run is said to have been when it started."""
    reported(lambda found: evolve(found, ended=found.ended and found.started))


def a_list_is_behind():
    """Asked for many runs at once, the backend says of those that have ended that they are running."""

    def list_runs(found):
        return {
            run: evolve(one, state="running", ended=None) if getattr(one, "state", "") in ENDED else one
            for run, one in found.items()
        }

    answered("penstock_list_runs", list_runs)


def a_list_leaves_unknown_runs_running():
    """Asked for many runs at once, the backend says of one that it does not know that nothing is known to be wrong."""
    from penstock.contract.run import RunReport

    answered(
        "penstock_list_runs",
        lambda found: {run: RunReport(state="queued") if one == Absent() else one for run, one in found.items()},
    )


def steps_are_running_before_their_turn():
    """As soon as a run goes on, the next of its steps are said to run too, though what they wait for has not ended."""
    reported(lambda found: _steps(found, "queued", state="running") if found.state == "running" else found)


def steps_run_in_a_run_that_waits():
    """A run whose steps have begun is said to be queued still."""
    reported(lambda found: evolve(found, state="queued") if found.state == "running" else found)


def what_has_ended_is_canceled_all_the_same():
    """A cancel is said to be taken, whether the run has ended or not."""

    def cancel(real, target, run):
        real(target, run)
        return True

    around("penstock_cancel_run", cancel)


def clearing_ends_what_runs():
    """A run that is cleared away before it has ended is canceled for that."""
    _cleared("UPDATE jobs SET cancel = 1 WHERE ended IS NULL AND id = ?")


def what_was_cleared_away_runs_again():
    """Of a run that was cleared away nothing is known, so that handing it over again starts it."""
    _cleared(
        "DELETE FROM steps WHERE job IN (SELECT seq FROM jobs WHERE ended IS NOT NULL AND id = ?)",
        "DELETE FROM jobs WHERE ended IS NOT NULL AND id = ?",
    )


def _cleared(*statements):
    """Run statements of a run's id on the queue when the run is cleared away."""
    from penstock_local import database, wake
    from penstock_local.layout import Layout

    def clear(real, target, run):
        with database.deciding(Layout.of(target)) as connection:
            for statement in statements:
                connection.execute(statement, (run.id,))
        wake.wake(Layout.of(target))
        return real(target, run)

    around("penstock_clear_run", clear)


def _steps(found, which, **other):
    return evolve(found, steps=tuple(evolve(one, **other) if one.state == which else one for one in found.steps))


CASES = {
    a_cancel_is_only_words: "canceled_stays",
    a_canceled_run_is_revived: "canceled_stays",
    skipped_steps_are_said_to_succeed: "failure_spares_others",
    retries_are_not_counted: "retried_and_counted",
    failed_steps_have_outputs: "failure_spares_others",
    runs_end_when_they_start: "states_go_forward",
    a_list_is_behind: "many_are_told_as_one",
    a_list_leaves_unknown_runs_running: "many_are_told_as_one",
    steps_are_running_before_their_turn: "states_go_forward",
    steps_run_in_a_run_that_waits: "states_go_forward",
    what_has_ended_is_canceled_all_the_same: "finished_is_not_canceled",
    clearing_ends_what_runs: "cleared_is_finished",
    what_was_cleared_away_runs_again: "cleared_is_finished",
}
