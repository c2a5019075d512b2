"""The durable queue of one root: jobs and their steps in SQLite. It knows nothing of registries or processes.

Asking (submit, cancel) and ending a job are written with full synchronous and survive power loss. What
happens to steps in between survives the death of any process; after power loss the last of it may be
missing, and then those steps run again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from penstock.errors import TargetUnavailable
from penstock_local.layout import Layout, unusable

VERSION = 1
_SCHEMA = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    publication TEXT NOT NULL,
    request TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    cancel INTEGER NOT NULL DEFAULT 0,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    error TEXT,
    outputs TEXT
);
CREATE INDEX jobs_unfinished ON jobs (seq) WHERE ended IS NULL;
CREATE TABLE steps (
    job INTEGER NOT NULL REFERENCES jobs (seq),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0,
    token TEXT,
    started REAL,
    ended REAL,
    exit_code INTEGER,
    error TEXT,
    outputs TEXT,
    PRIMARY KEY (job, position)
) WITHOUT ROWID;
"""

Write = tuple[str, Sequence[Any]]
"""One statement and its values, to be written together with others."""


def connect(layout: Layout, patience: float = 10.0) -> sqlite3.Connection:
    """Open the queue, making it when it is not there, and wait up to `patience` seconds for others that write.

    Raises sqlite3.Error or OSError; see `opened`.
    """
    if not layout.queue.exists():
        # SQLite gives its side files the mode of the main one.
        os.close(os.open(layout.queue, os.O_RDWR | os.O_CREAT, 0o600))
    database = sqlite3.connect(layout.queue, isolation_level=None, timeout=patience)
    try:
        database.row_factory = sqlite3.Row
        found = database.execute("PRAGMA user_version").fetchone()[0]
        if found == 0:
            _create(database)
        elif found > VERSION:
            raise TargetUnavailable(
                f"the queue `{layout.queue}` was written by a newer penstock; use that one", code="queue_newer"
            )
        database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        database.close()
        raise
    return database


def _create(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("BEGIN IMMEDIATE")
    if database.execute("PRAGMA user_version").fetchone()[0] == 0:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {VERSION}")
    database.execute("COMMIT")


@contextlib.contextmanager
def opened(layout: Layout) -> Iterator[sqlite3.Connection]:
    """The queue for a moment. Whatever SQLite or the machine says against it is a TargetUnavailable."""
    try:
        with contextlib.closing(connect(layout)) as database:
            yield database
    except sqlite3.Error as error:
        raise _told(layout.queue, error) from None
    except OSError as error:
        raise unusable(layout.queue, error) from None


@contextlib.contextmanager
def opened_if_there(layout: Layout) -> Iterator[sqlite3.Connection | None]:
    """The queue for a moment, None when nothing was ever submitted under this root. Raises as `opened`."""
    if not layout.has_queue():
        yield None
        return
    with opened(layout) as database:
        yield database


@contextlib.contextmanager
def deciding(layout: Layout) -> Iterator[sqlite3.Connection]:
    """The queue for one decision, alone with it; what is written is on disk at the end. Raises as `opened`."""
    with opened(layout) as database:
        database.execute("PRAGMA synchronous = FULL")
        database.execute("BEGIN IMMEDIATE")
        yield database
        database.execute("COMMIT")


def _told(path: Path, error: sqlite3.Error) -> TargetUnavailable:
    why = str(error)
    if "malformed" in why or "not a database" in why or "corrupt" in why:
        return TargetUnavailable(
            f"the queue `{path}` is damaged ({why}); move it away and the runs it holds end as lost",
            retry_after=60.0,
            code="queue_corrupt",
        )
    if "full" in why or ("disk I/O" in why and _free(path.parent) < 256 * 1024):
        why = "the disk is full"
    elif "readonly" in why or "unable to open" in why:
        why = "it cannot be written"
    elif "locked" in why:
        return TargetUnavailable(f"the queue `{path}` is busy; try again")
    return TargetUnavailable(
        f"cannot use the queue `{path}`: {why}; free some space or give the target a `root` that can be written",
        retry_after=10.0,
    )


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0


def add_job(database: sqlite3.Connection, run: str, publication: str, request: Any, steps: Iterable[str]) -> None:
    """Put a job in, its run not being there. Call inside `deciding`."""
    added = database.execute(
        "INSERT INTO jobs (id, publication, request, created) VALUES (?, ?, ?, ?)",
        (run, publication, json.dumps(request), time.time()),
    )
    rows = ((added.lastrowid, position, name) for position, name in enumerate(steps))
    database.executemany("INSERT INTO steps (job, position, name) VALUES (?, ?, ?)", rows)


def knows(database: sqlite3.Connection, run: str) -> bool:
    """Whether a job is there, whatever became of it."""
    return database.execute("SELECT 1 FROM jobs WHERE id = ?", (run,)).fetchone() is not None


def ask_cancel(database: sqlite3.Connection, run: str) -> bool:
    """Ask a job to end; False when it had ended or is not known. Call inside `deciding`."""
    return database.execute("UPDATE jobs SET cancel = 1 WHERE id = ? AND ended IS NULL", (run,)).rowcount == 1


def unfinished_of(database: sqlite3.Connection, publication: str) -> int:
    """How many jobs of a publication have not ended."""
    sql = "SELECT count(*) FROM jobs WHERE ended IS NULL AND publication = ?"
    return int(database.execute(sql, (publication,)).fetchone()[0])


def job(database: sqlite3.Connection, run: str) -> tuple[sqlite3.Row, list[sqlite3.Row]] | None:
    """A job and its steps in the order of the graph, as of one moment; None when it is not known."""
    return jobs(database, [run])[run]


def jobs(database: sqlite3.Connection, runs: Iterable[str]) -> dict[str, tuple[sqlite3.Row, list[sqlite3.Row]] | None]:
    """Several jobs and their steps, as of one moment."""
    database.execute("BEGIN")
    rows = {run: database.execute("SELECT * FROM jobs WHERE id = ?", (run,)).fetchone() for run in runs}
    found = {run: (row, steps(database, row["seq"])) if row else None for run, row in rows.items()}
    database.execute("COMMIT")
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


def cancel_asked(database: sqlite3.Connection) -> list[int]:
    """The unfinished jobs that were asked to end."""
    return [row[0] for row in database.execute("SELECT seq FROM jobs WHERE ended IS NULL AND cancel = 1")]


def counts(database: sqlite3.Connection) -> dict[str, int]:
    """How many jobs there are in each unfinished state."""
    return dict(database.execute("SELECT state, count(*) FROM jobs WHERE ended IS NULL GROUP BY state").fetchall())


def write(database: sqlite3.Connection, writes: Sequence[Write], durable: bool) -> None:
    """Write several statements as one; `durable` waits until they are on disk. Raises sqlite3.Error."""
    if durable:
        database.execute("PRAGMA synchronous = FULL")
    database.execute("BEGIN IMMEDIATE")
    try:
        for statement, values in writes:
            database.execute(statement, values)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    if durable:
        database.execute("PRAGMA synchronous = NORMAL")


def step_started(seq: int, position: int, attempt: int, token: str, now: float) -> Write:
    """A step is about to be spawned under this token."""
    return (
        "UPDATE steps SET state = 'running', attempt = ?, token = ?, started = coalesce(started, ?)"
        " WHERE job = ? AND position = ?",
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
    return (
        "UPDATE steps SET state = ?, token = NULL, ended = ?, exit_code = ?, error = ?, outputs = ?"
        " WHERE job = ? AND position = ?",
        (state, now, exit_code, _json(error), _json(outputs), seq, position),
    )


def job_started(seq: int, now: float) -> Write:
    """The first step of a job is about to be spawned."""
    return "UPDATE jobs SET state = 'running', started = ? WHERE seq = ?", (now, seq)


def job_ended(seq: int, state: str, now: float, error: Any, outputs: Any) -> Write:
    """A job came to its end."""
    return (
        "UPDATE jobs SET state = ?, ended = ?, error = ?, outputs = ? WHERE seq = ?",
        (state, now, _json(error), _json(outputs), seq),
    )


def _json(value: Any) -> str | None:
    return json.dumps(value) if value else None
