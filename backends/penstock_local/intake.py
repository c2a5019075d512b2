"""From the queue into memory: each job once, where an earlier engine left it; whatever is wrong with one is named."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import evolve, frozen

from penstock.errors import PenstockError, one_line
from penstock_local import environments, made, queue, request, store, troubles
from penstock_local.jobs import Job, Step
from penstock_local.layout import Layout
from penstock_local.notes import Notes


@frozen
class TakenIn:
    """A job that came out of the queue, and its steps that have begun and not ended under an earlier engine.

    `logs` are those of all its attempts that had processes then, by their tokens. `job` is None when it cannot go on.
    """

    job: Job | None
    running: Sequence[Step]
    logs: dict[str, Path]


class Intake:
    """Takes the jobs of one queue, in their order. One that cannot go on is its own trouble, and has failed."""

    def __init__(self, layout: Layout, notes: Notes) -> None:
        self._layout = layout
        self._notes = notes
        self._last = 0

    def new(self) -> Iterator[TakenIn]:
        """The jobs that came since the last one that was taken. Raises OSError, PenstockError, sqlite3.Error.

        Then it may be asked again, and goes on with the one that it could not take.
        """
        for row in queue.jobs_after(self._notes.database, self._last):
            begun = row["started"] is not None
            steps = queue.steps(self._notes.database, row["seq"]) if begun else []
            job: Job | None = None
            running: list[Step] = []
            try:
                job, running = read_job(self._layout, row, steps)
            except JobUnreadable as error:
                self._give_up(row, error.code, str(error))
            self._last = row["seq"]
            logs = {one["token"]: self._layout.log_of(row["id"], one["name"]) for one in steps if one["token"]}
            yield TakenIn(job, running, logs)

    def _give_up(self, row: sqlite3.Row, code: str, message: str) -> None:
        seq, now = row["seq"], time.time()
        for step in queue.steps(self._notes.database, seq):
            if step["ended"] is None:
                began = step["started"] is not None
                error = {"code": code, "message": message, "step": step["name"]} if began else None
                state = "failed" if began else "skipped"
                self._notes.give_up(seq, step["position"], state, now, error)
        self._notes.end_job(seq, row["id"], "failed", now, {"code": code, "message": message}, {})


class JobUnreadable(Exception):
    """A job that cannot go on, which is its own trouble. `code` is stable."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


def read_job(layout: Layout, row: sqlite3.Row, steps: Sequence[sqlite3.Row]) -> tuple[Job, list[Step]]:
    """A job and its steps that have begun and not ended. Raises JobUnreadable, and trouble of the machine as it is."""
    try:
        plan = store.read_plan(layout, row["publication"])
        asked = request.read(row["request"])
        kept = environments.read(layout, row["id"], asked.environment, asked.parameters.sensitive)
        parameters = evolve(asked.parameters, texts={**asked.parameters.texts, **kept.parameters})
        job = Job.of(row["seq"], row["id"], plan, parameters, kept.environment)
        job.python, job.trial, job.above = asked.python, asked.trial, asked.above
        job.started = row["started"] is not None
        return job, _restore(layout, job, steps)
    except Exception as error:
        if troubles.is_machines(error):
            raise
        if isinstance(error, PenstockError):
            raise JobUnreadable(str(error), error.code) from None
        why = f"what the queue holds of the run is damaged ({one_line(error)}); trigger it again"
        raise JobUnreadable(why, "run_damaged") from None


def _restore(layout: Layout, job: Job, rows: Sequence[sqlite3.Row]) -> list[Step]:
    running = []
    for row in rows:
        step = job.steps[row["name"]]
        step.attempt, step.failures, step.interruptions = row["attempt"], row["failures"], row["interruptions"]
        step.attempt += row["token"] is None  # it waits for the next
        if row["ended"] is not None:
            outputs = made.placed(layout, job.id, json.loads(row["outputs"] or "{}"), step.plan["outputs"])
            job.end(step, row["state"], outputs)
            job.note_failure(step, json.loads(row["error"] or "null"))
        elif row["state"] == "running":
            step.state, step.token = "running", row["token"] or ""
            running.append(step)
    return running
