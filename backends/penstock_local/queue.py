"""The durable queue of one root: jobs and their steps as rows. It knows nothing of registries or processes.

Asking (submit, cancel) and ending a job are written with full synchronous and survive power loss. What
happens to steps in between survives the death of any process; after power loss the last of it may be
missing, and then those steps run again.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from attrs import frozen

from penstock_local import transactions

Write = tuple[str, Sequence[Any]]
"""One statement and its values, to be written together with others."""


@frozen
class Settings:
    """What the engine goes by: the options of the target that submitted or canceled last."""

    slots: int | None
    grace: float
    idle: float


def add_job(database: sqlite3.Connection, run: str, publication: str, request: str, steps: Iterable[str]) -> None:
    """Put a job in, its run not being there. Call inside `database.deciding`."""
    added = database.execute(
        "INSERT INTO jobs (id, publication, request, created) VALUES (?, ?, ?, ?)",
        (run, publication, request, time.time()),
    )
    rows = ((added.lastrowid, position, name) for position, name in enumerate(steps))
    database.executemany("INSERT INTO steps (job, position, name) VALUES (?, ?, ?)", rows)


def write_settings(database: sqlite3.Connection, settings: Settings) -> None:
    """Let the engine go by these settings from its next look on. Call inside `database.deciding`."""
    values = (settings.slots, settings.grace, settings.idle)
    database.execute("REPLACE INTO settings (id, slots, grace, idle) VALUES (1, ?, ?, ?)", values)


def settings(database: sqlite3.Connection) -> Settings | None:
    """The settings written last; None when there were none yet."""
    row = database.execute("SELECT slots, grace, idle FROM settings").fetchone()
    return Settings(*row) if row else None


def knows(database: sqlite3.Connection, run: str) -> bool:
    """Whether a job is there, whatever became of it."""
    return database.execute("SELECT 1 FROM jobs WHERE id = ?", (run,)).fetchone() is not None


def request_of(database: sqlite3.Connection, run: str) -> str:
    """The request of a job that is there."""
    return str(database.execute("SELECT request FROM jobs WHERE id = ?", (run,)).fetchone()[0])


def ask_cancel(database: sqlite3.Connection, run: str) -> bool:
    """Ask a job to end; False when it had ended or is not known. Call inside `database.deciding`."""
    return database.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND ended IS NULL", (run,)).rowcount == 1


def unfinished_of(database: sqlite3.Connection, publication: str) -> int:
    """How many jobs of a publication have not ended."""
    sql = "SELECT count(*) FROM jobs WHERE ended IS NULL AND publication = ?"
    return int(database.execute(sql, (publication,)).fetchone()[0])


def job(database: sqlite3.Connection, run: str) -> tuple[sqlite3.Row, list[sqlite3.Row]] | None:
    """A job and its steps in the order of the graph, as of one moment; None when it is not known."""
    return jobs(database, [run])[run]


def jobs(database: sqlite3.Connection, runs: Iterable[str]) -> dict[str, tuple[sqlite3.Row, list[sqlite3.Row]] | None]:
    """Several jobs and their steps, as of one moment; None for those that are not known."""
    found: dict[str, tuple[sqlite3.Row, list[sqlite3.Row]] | None] = dict.fromkeys(runs)
    wanted = (json.dumps(list(found)),)
    database.execute("BEGIN")
    rows = database.execute("SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each(?))", wanted).fetchall()
    of_job: dict[int, list[sqlite3.Row]] = {}
    for step in database.execute(
        "SELECT steps.* FROM jobs JOIN steps ON steps.job = jobs.seq"
        " WHERE jobs.id IN (SELECT value FROM json_each(?)) ORDER BY steps.job, steps.position",
        wanted,
    ):
        of_job.setdefault(step["job"], []).append(step)
    database.execute("COMMIT")
    found.update((row["id"], (row, of_job.get(row["seq"], []))) for row in rows if row["id"] in found)
    return found


def step(database: sqlite3.Connection, run: str, name: str) -> sqlite3.Row | None:
    """One step of a job; None when the job does not have it."""
    sql = "SELECT steps.* FROM steps JOIN jobs ON jobs.seq = steps.job WHERE jobs.id = ? AND steps.name = ?"
    found: sqlite3.Row | None = database.execute(sql, (run, name)).fetchone()
    return found


def steps(database: sqlite3.Connection, seq: int) -> list[sqlite3.Row]:
    """The steps of a job in the order of the graph."""
    return database.execute("SELECT * FROM steps WHERE job = ? ORDER BY position", (seq,)).fetchall()


def jobs_after(database: sqlite3.Connection, seq: int) -> list[sqlite3.Row]:
    """Unfinished jobs that came after a job, oldest first."""
    return database.execute("SELECT * FROM jobs WHERE ended IS NULL AND seq > ? ORDER BY seq", (seq,)).fetchall()


def running(database: sqlite3.Connection) -> list[sqlite3.Row]:
    """Names, tokens and interruptions of the steps that run, and the publication of each one's job."""
    sql = (
        "SELECT steps.name, steps.token, steps.interruptions, jobs.publication"
        " FROM jobs JOIN steps ON steps.job = jobs.seq"
        " WHERE jobs.ended IS NULL AND steps.state = 'running' AND steps.token IS NOT NULL"
    )
    return database.execute(sql).fetchall()


def unfinished_steps(database: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    """The steps of unfinished jobs with their job and its publication, oldest first, in the order of the graph."""
    yield from database.execute(
        "SELECT jobs.seq, jobs.id, jobs.publication, steps.name, steps.state, steps.token, steps.failures,"
        " steps.interruptions FROM jobs JOIN steps ON steps.job = jobs.seq"
        " WHERE jobs.ended IS NULL ORDER BY jobs.seq, steps.position"
    )


def job_of(database: sqlite3.Connection, token: str) -> int | None:
    """The unfinished job that has a step running under this token; None when there is none."""
    sql = "SELECT jobs.seq FROM jobs JOIN steps ON steps.job = jobs.seq WHERE jobs.ended IS NULL AND token = ?"
    found = database.execute(sql, (token,)).fetchone()
    return found and int(found[0])


def request_behind(database: sqlite3.Connection, token: str) -> str:
    """The request of the job whose step has this token; empty when there is none."""
    sql = "SELECT request FROM jobs JOIN steps ON steps.job = jobs.seq WHERE token = ?"
    found = database.execute(sql, (token,)).fetchone()
    return str(found[0]) if found else ""


def cancel_asked(database: sqlite3.Connection) -> list[int]:
    """The unfinished jobs that were asked to end."""
    return [row[0] for row in database.execute("SELECT seq FROM jobs WHERE ended IS NULL AND cancel = 1")]


def counts(database: sqlite3.Connection) -> dict[str, int]:
    """How many jobs there are in each unfinished state."""
    return dict(database.execute("SELECT state, count(*) FROM jobs WHERE ended IS NULL GROUP BY state").fetchall())


def write(database: sqlite3.Connection, writes: Sequence[Write], durable: bool) -> None:
    """Write several statements as one; `durable` waits until they are on disk. Raises sqlite3.Error."""
    with transactions.writing(database, durable):
        for statement, values in writes:
            database.execute(statement, values)


def step_started(seq: int, position: int, attempt: int, token: str, now: float) -> Write:
    """A step is about to be spawned under this token."""
    return (
        "UPDATE steps SET state = 'running', attempt = ?, token = ?, started = coalesce(started, ?)"
        " WHERE job = ? AND position = ? AND ended IS NULL",
        (attempt, token, now, seq, position),
    )


def step_waits(seq: int, position: int, failures: int, interruptions: int) -> Write:
    """An attempt is over, nothing of it is left, and the step is to be tried again."""
    return (
        "UPDATE steps SET token = NULL, failures = ?, interruptions = ? WHERE job = ? AND position = ?",
        (failures, interruptions, seq, position),
    )


def step_ended(
    seq: int, position: int, state: str, now: float, exit_code: int | None, error: Any, outputs: Any
) -> Write:
    """A step came to its end; `error` and `outputs` are kept as JSON."""
    # The clock may have been set back since it started.
    return (
        "UPDATE steps SET state = ?, token = NULL, ended = max(?, coalesce(started, 0)), exit_code = ?, error = ?,"
        " outputs = ? WHERE job = ? AND position = ?",
        (state, now, exit_code, _json(error), _json(outputs), seq, position),
    )


def job_started(seq: int, now: float) -> Write:
    """The first step of a job is about to be spawned."""
    return "UPDATE jobs SET state = 'running', started = ? WHERE seq = ? AND ended IS NULL", (now, seq)


def job_ended(seq: int, state: str, now: float, error: Any, outputs: Any) -> Write:
    """A job came to its end, the ends of its steps being written before."""
    return (
        "UPDATE jobs SET state = ?, error = ?, outputs = ?, ended = max(?, coalesce(started, 0),"
        " coalesce((SELECT max(ended) FROM steps WHERE steps.job = jobs.seq), 0)) WHERE seq = ?",
        (state, _json(error), _json(outputs), now, seq),
    )


def _json(value: Any) -> str | None:
    return json.dumps(value) if value else None
