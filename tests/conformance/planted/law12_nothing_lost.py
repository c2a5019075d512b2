"""What is gone with a process or with an answer."""

from __future__ import annotations

import os

from attrs import evolve
from planting.hooks import around
from planting.statements import rewritten

from penstock.contract.run import Absent, LogChunk
from penstock.errors import NotFound, TargetRefused, TargetUnavailable
from penstock_local import database, processes, wake
from penstock_local.layout import Layout


def a_run_is_known_to_its_submitter_only():
    """The backend knows a run only in the process that submitted it."""
    mine = set()

    def submit(real, target, run):
        mine.add(run.id)
        return real(target, run)

    def get_run(real, target, run):
        return real(target, run) if run.id in mine else Absent()

    around("penstock_submit_run", submit)
    around("penstock_get_run", get_run)


def a_log_is_given_once():
    """What was asked for is taken as read, although the answer was lost."""
    given = set()

    def read(real, target, run, step, offset):
        if (run.id, step, offset) in given:
            return LogChunk(data=b"", next_offset=offset, complete=True)
        given.add((run.id, step, offset))
        return real(target, run, step, offset)

    around("penstock_read_logs", read)


def a_cancel_leaves_children_alone():
    """A run that is asked to end is said to be canceled at once; what its steps started goes on."""
    from conformance.planted.law09_monotone import a_cancel_is_only_words

    a_cancel_is_only_words()


def cancels_are_kept_in_memory():
    """What was asked to end is not written down: the backend's own process forgets it when it is killed."""
    rewritten("UPDATE jobs SET cancel = 1", "UPDATE jobs SET cancel = 0")


def what_runs_begins_again_with_the_next_engine():
    """Whoever finds that the engine died ends what it ran, and has that run once more."""

    def look(real, target, *arguments):
        layout = Layout.of(target)
        if layout.has_queue() and not wake.listening(layout):
            with database.deciding(layout) as connection:
                running = "SELECT token FROM steps WHERE token IS NOT NULL AND ended IS NULL"
                tokens = {row[0] for row in connection.execute(running)}
                processes.end_leftovers(tokens, [], 10.0)
                again = "UPDATE steps SET state = 'queued', token = NULL, started = NULL"
                connection.execute(f"{again} WHERE token IS NOT NULL AND ended IS NULL")
        return real(target, *arguments)

    around("penstock_get_run", look)
    around("penstock_list_runs", look)


def what_was_retired_does_not_come_back():
    """A publication that was forgotten once is called something else when it is published again."""
    gone = set()

    def retire(real, target, publication):
        gone.add(publication.external)
        return real(target, publication)

    def publish(real, *arguments):
        found = real(*arguments)
        return evolve(found, external=f"{found.external}-{os.getpid()}") if found.external in gone else found

    around("penstock_retire_pipeline", retire)
    around("penstock_publish_pipeline", publish)


def what_had_succeeded_begins_again_with_the_next_engine():
    """Whoever finds that the engine died has each of its unfinished runs begin again, from the first step on."""
    _found_dead(
        "UPDATE steps SET state = 'queued', token = NULL, started = NULL, ended = NULL, outputs = NULL"
        " WHERE job IN (SELECT seq FROM jobs WHERE ended IS NULL)"
    )


def what_outlived_its_engine_is_begun_beside_it():
    """Whoever finds that the engine died forgets which processes its steps had, and has the steps begin again."""
    _found_dead(
        "UPDATE steps SET state = 'queued', token = NULL, attempt = 0, started = NULL"
        " WHERE token IS NOT NULL AND ended IS NULL"
    )


def the_end_of_an_engine_ends_what_ran():
    """Whoever finds that the engine died notes that what it ran has failed, and does not say why."""
    _found_dead(
        "UPDATE steps SET state = 'failed', ended = started WHERE token IS NOT NULL AND ended IS NULL",
        "UPDATE jobs SET state = 'failed', ended = started"
        " WHERE ended IS NULL AND seq IN (SELECT job FROM steps WHERE state = 'failed')",
    )


def what_was_made_is_gone_with_its_place():
    """A run's files are looked for where its workspace lay when it was handed over."""
    homes = {}

    def submit(real, target, run):
        homes[run.id] = target.home
        return real(target, run)

    def fetch(real, target, run, *arguments):
        if not homes.get(run.id, target.home).exists():
            raise NotFound("there is nothing in that place", code="artifact_gone")
        return real(target, run, *arguments)

    around("penstock_submit_run", submit)
    around("penstock_fetch_artifact", fetch)


def what_the_machine_lacks_is_the_runs_fault():
    """A run that cannot be handed over for now is refused for good."""

    def submit(real, target, run):
        try:
            return real(target, run)
        except (OSError, TargetUnavailable) as error:
            raise TargetRefused(f"it cannot be taken: {error}") from None

    around("penstock_submit_run", submit)


def clearing_a_run_takes_those_beside_it():
    """Whoever clears a run away clears away whatever has ended."""

    def clear(real, target, run):
        with database.opened(Layout.of(target)) as connection:
            ended = [row[0] for row in connection.execute("SELECT id FROM jobs WHERE ended IS NOT NULL")]
        return sum(real(target, evolve(run, id=one)) for one in ended)

    around("penstock_clear_run", clear)


def _found_dead(*statements):
    """Run statements on the queue of whoever looks at a run whose engine is gone."""

    def look(real, target, *arguments):
        layout = Layout.of(target)
        if layout.has_queue() and not wake.listening(layout):
            with database.deciding(layout) as connection:
                for statement in statements:
                    connection.execute(statement)
        return real(target, *arguments)

    around("penstock_get_run", look)
    around("penstock_list_runs", look)


CASES = {
    a_run_is_known_to_its_submitter_only: "runs_need_nobody_to_wait",
    a_log_is_given_once: "troubled_logs_are_whole",
    a_cancel_leaves_children_alone: "no_child_of_a_canceled_step_is_left",
    cancels_are_kept_in_memory: "a_cancel_outlives_the_target",
    what_runs_begins_again_with_the_next_engine: "killed_targets_go_on",
    what_was_retired_does_not_come_back: "troubled_deletes_take_nothing_else",
    what_had_succeeded_begins_again_with_the_next_engine: "killed_targets_go_on",
    what_outlived_its_engine_is_begun_beside_it: "killed_targets_go_on",
    the_end_of_an_engine_ends_what_ran: "killed_targets_go_on",
    what_was_made_is_gone_with_its_place: "moved_with_the_workspace",
    what_the_machine_lacks_is_the_runs_fault: "lacking_files_end_no_run",
    clearing_a_run_takes_those_beside_it: "cleared_is_finished",
}
