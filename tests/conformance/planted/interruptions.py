"""Faults in what survives a kill and in what becomes of repeated, lost and late answers (laws 8, 9 and 12)."""

from __future__ import annotations

import os
from pathlib import Path

from attrs import evolve

from penstock.contract.run import Absent, LogChunk, RunOutputs, RunRef, Submission
from penstock.dispatch import Dispatcher
from penstock.errors import Conflict, TargetUnavailable
from penstock.registry import acceptance, front, handover, reports
from penstock.targets.facade import TargetOperations
from penstock.testing.checks import kills
from penstock.workspace import Workspace

_submit = TargetOperations.submit
_get_run = TargetOperations.get_run


def _known(operations, target, run):
    return not isinstance(_get_run(operations, target, RunRef(id=run.id, publication=run.publication)), Absent)


def a_second_submit_starts_a_second_run():
    """The target starts another run when the same run is handed over again, and gives the same receipt."""

    def submit(self, target, run):
        if _known(self, target, run):
            _submit(self, target, evolve(run, id=f"{run.id}-again"))
            return Submission(external=run.id)
        return _submit(self, target, run)

    TargetOperations.submit = submit


def a_second_submit_is_called_otherwise():
    """The target gives another name to a run that is handed over again."""

    def submit(self, target, run):
        known = _known(self, target, run)
        receipt = _submit(self, target, run)
        return evolve(receipt, external=f"{receipt.external}-again") if known else receipt

    TargetOperations.submit = submit


def the_key_is_kept_with_the_receipt():
    """The idempotency key is recorded when the hand-over is, not when the run is accepted."""
    accept, finish, keys = acceptance.accept, handover.finish, {}

    def accepts(tx, order, *rest):
        run, replayed = accept(tx, order, *rest)
        if not replayed:
            keys[run.id] = order.key
            tx.run("UPDATE runs SET key = NULL WHERE id = ?", run.id)
        return run, replayed

    def finishes(tx, run_id, submission):
        tx.run("UPDATE runs SET key = coalesce(key, ?) WHERE id = ?", keys.get(run_id), run_id)
        return finish(tx, run_id, submission)

    acceptance.accept, handover.finish = accepts, finishes


def a_run_is_known_to_its_submitter_only():
    """The target knows a run only as long as the process that submitted it."""
    mine = set()

    def submit(self, target, run):
        mine.add(run.id)
        return _submit(self, target, run)

    def get_run(self, target, run):
        return _get_run(self, target, run) if run.id in mine else Absent()

    TargetOperations.submit, TargetOperations.get_run = submit, get_run


def acceptance_takes_two_transactions():
    """The run is committed before what is to be handed over."""
    accept = front.Registry.accept

    def accepts(self, order, resolution, accepted, caller):
        run, replayed = accept_without(self, order, resolution, accepted, caller)
        if not replayed:
            self._write(lambda tx: tx.run(
                "INSERT INTO handovers (run, due) SELECT seq, ? FROM runs WHERE id = ?", tx.clock, run.id
            ))  # fmt: skip
        return run, replayed

    def accept_without(self, *arguments):
        real = acceptance.accept

        def bare(tx, *rest):
            run, replayed = real(tx, *rest)
            if not replayed:
                tx.run("DELETE FROM handovers WHERE run = (SELECT seq FROM runs WHERE id = ?)", run.id)
            return run, replayed

        acceptance.accept = bare
        try:
            return accept(self, *arguments)
        finally:
            acceptance.accept = real

    front.Registry.accept = accepts


def a_started_hand_over_is_never_due_again():
    """What one process began to hand over is left to it for ever."""
    due = handover.due

    def never(tx, **arguments):
        begun = {
            row["id"]
            for row in tx.all("SELECT id FROM runs JOIN handovers ON run = seq WHERE handovers.started NOT NULL")
        }
        return [run for run in due(tx, **arguments) if run not in begun]

    handover.due = never


def a_hand_over_is_not_noted_before_the_target_is_called():
    """A run that the target may have already looks as if nobody had touched it."""
    start = handover.start

    def starts(tx, run_id):
        work = start(tx, run_id)
        tx.run("UPDATE handovers SET started = NULL WHERE run = (SELECT seq FROM runs WHERE id = ?)", run_id)
        return work

    handover.start = starts


def closing_takes_the_runs_along():
    """A workspace that is closed cancels what goes on."""
    close = Workspace.close

    def closes(self):
        if self._context.exists:
            for run in self.runs.list().items:
                if not run.finished:
                    self.runs.cancel(run.id)
        close(self)

    Workspace.close = closes


def an_old_report_revives_a_run():
    """A report that comes after the end of the run is taken for news."""
    report = reports.report

    def reported(tx, run_id, told, *rest):
        if not isinstance(told, Absent) and told.state == "running":
            tx.run("UPDATE runs SET ended = NULL, state = 'queued' WHERE id = ?", run_id)
        return report(tx, run_id, told, *rest)

    reports.report = reported


def a_log_is_given_once():
    """What was asked for is taken as read, although the answer was lost."""
    read_logs, given = TargetOperations.read_logs, set()

    def reads(self, target, run, step, offset):
        if (run.id, step, offset) in given:
            return LogChunk(data=b"", next_offset=offset, complete=True)
        given.add((run.id, step, offset))
        return read_logs(self, target, run, step, offset)

    TargetOperations.read_logs = reads


def lost_outputs_are_none():
    """When the answer with the outputs is lost, the run is taken to have none."""
    get_outputs = TargetOperations.get_outputs

    def gets_outputs(self, target, run):
        try:
            return get_outputs(self, target, run)
        except TargetUnavailable:
            return RunOutputs(outputs={})

    TargetOperations.get_outputs = gets_outputs


def a_delete_fails_when_its_target_is_away():
    """What was deleted is said not to be, because the target did not answer."""

    def retire(self, target, publication):
        place = self._places.open(target)
        place.operations.retire(place.target, publication)

    Dispatcher.retire = retire


def a_cancel_fails_when_its_answer_is_lost():
    """A request that is recorded is said not to be, because the target did not answer."""
    cancel = Dispatcher.cancel

    def cancels(self, run_id):
        try:
            return cancel(self, run_id)
        except TargetUnavailable as error:
            raise Conflict(f"run {run_id} was not canceled: {error.message}", code="not_canceled") from None

    Dispatcher.cancel = cancels


def a_late_answer_counts_for_what_came_after():
    """A target that was told an old state of an endpoint is taken to know the newest."""
    done = front.Registry.sync_done

    def sync_done(self, endpoint_id, target, revision):
        done(self, endpoint_id, target, self.endpoint_state(endpoint_id, target).revision)

    front.Registry.sync_done = sync_done


def a_run_is_lost_with_whoever_waits_for_it():
    """A run counts as lost when the process that waits for it is gone."""
    refresh = Dispatcher.refresh

    def refreshes(self, run_id, *, must_record=False):
        waiting = self._store.with_name(f"{run_id}.waiting")
        if must_record and not waiting.exists():
            waiting.write_text(str(os.getpid()))
        if waiting.exists() and not Path(f"/proc/{waiting.read_text()}").exists():
            return self._registry.report(run_id, Absent(), None, {})[0]
        return refresh(self, run_id, must_record=must_record)

    Dispatcher.refresh = refreshes


def a_killed_target_forgets_what_was_done():
    """Steps that had succeeded before the target was killed are not said to have succeeded any more."""
    kill, killed = kills.kill_naming, []

    def kill_naming(folder, **spared):
        killed.append(str(folder))
        return kill(folder, **spared)

    def get_run(self, target, run):
        report = _get_run(self, target, run)
        if isinstance(report, Absent) or not any(str(target.home).startswith(folder) for folder in killed):
            return report
        steps = [evolve(step, state="skipped") if step.state == "succeeded" else step for step in report.steps]
        return evolve(report, steps=tuple(steps))

    kills.kill_naming, TargetOperations.get_run = kill_naming, get_run


FAULTS = {
    8: (a_second_submit_starts_a_second_run, a_second_submit_is_called_otherwise, the_key_is_kept_with_the_receipt),
    9: (an_old_report_revives_a_run,),
    12: (
        a_run_is_known_to_its_submitter_only,
        acceptance_takes_two_transactions,
        a_started_hand_over_is_never_due_again,
        a_hand_over_is_not_noted_before_the_target_is_called,
        closing_takes_the_runs_along,
        a_log_is_given_once,
        lost_outputs_are_none,
        a_delete_fails_when_its_target_is_away,
        a_cancel_fails_when_its_answer_is_lost,
        a_late_answer_counts_for_what_came_after,
        a_run_is_lost_with_whoever_waits_for_it,
        a_killed_target_forgets_what_was_done,
    ),
}

CHECKS = {
    "the_key_is_kept_with_the_receipt": "one_key_from_everybody",
    "an_old_report_revives_a_run": "histories",
    "a_run_is_known_to_its_submitter_only": "runs_need_nobody_to_wait",
    "acceptance_takes_two_transactions": "a_killed_submit_can_be_canceled",
    "a_started_hand_over_is_never_due_again": "troubled_answers_change_nothing",
    "a_hand_over_is_not_noted_before_the_target_is_called": "a_killed_submit_can_be_canceled",
    "closing_takes_the_runs_along": "runs_need_nobody_to_wait",
    "a_log_is_given_once": "troubled_logs_are_whole",
    "lost_outputs_are_none": "troubled_answers_change_nothing",
    "a_delete_fails_when_its_target_is_away": "troubled_deletes_take_nothing_else",
    "a_cancel_fails_when_its_answer_is_lost": "troubled_answers_to_cancel_change_nothing",
    "a_late_answer_counts_for_what_came_after": "troubled_targets_are_told_the_rest",
    "a_run_is_lost_with_whoever_waits_for_it": "runs_need_nobody_to_wait",
    "a_killed_target_forgets_what_was_done": "killed_targets_go_on",
}
"""The check that catches what others come to late: it alone is asked."""
