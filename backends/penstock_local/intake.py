"""From a row of the queue to a job in memory, where an earlier engine left it; whatever is wrong with it is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from attrs import evolve

from penstock.errors import PenstockError, one_line
from penstock_local import environments, request, store, troubles
from penstock_local.jobs import Job, Step
from penstock_local.layout import Layout


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
        job.python, job.above = asked.python, asked.above
        job.started = row["started"] is not None
        return job, _restore(job, steps)
    except Exception as error:
        if troubles.is_machines(error):
            raise
        if isinstance(error, PenstockError):
            raise JobUnreadable(str(error), error.code) from None
        why = f"what the queue holds of the run is damaged ({one_line(error)}); trigger it again"
        raise JobUnreadable(why, "run_damaged") from None


def _restore(job: Job, rows: Sequence[sqlite3.Row]) -> list[Step]:
    running = []
    for row in rows:
        step = job.steps[row["name"]]
        step.attempt, step.failures, step.interruptions = row["attempt"], row["failures"], row["interruptions"]
        if row["ended"] is not None:
            job.end(step, row["state"], json.loads(row["outputs"] or "{}"))
            job.note_failure(step, json.loads(row["error"] or "null"))
        elif row["state"] == "running":
            step.state, step.token = "running", row["token"] or ""
            running.append(step)
    return running
