"""What is gone with a process or with an answer."""

from __future__ import annotations

import os

from attrs import evolve
from planting.hooks import around
from planting.statements import rewritten

from penstock.contract.run import Absent, LogChunk
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
                connection.execute("UPDATE steps SET token = NULL WHERE ended IS NULL")
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


CASES = {
    a_run_is_known_to_its_submitter_only: "runs_need_nobody_to_wait",
    a_log_is_given_once: "troubled_logs_are_whole",
    a_cancel_leaves_children_alone: "no_child_of_a_canceled_step_is_left",
    cancels_are_kept_in_memory: "a_cancel_outlives_the_target",
    what_runs_begins_again_with_the_next_engine: "killed_targets_go_on",
    what_was_retired_does_not_come_back: "troubled_deletes_take_nothing_else",
}
