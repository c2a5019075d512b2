"""Queues without an engine, and what is there after a crash; several test files share them."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path

import pytest
from tests.registry.crashes import beside

from penstock import log_mark, wal
from penstock.errors import TargetUnavailable
from penstock_local import database, queue, transactions
from penstock_local.layout import Layout

REQUEST = "{}" * 800
"""Two jobs fill a page, so that those of two queues do not go together."""


def root_in(folder: Path) -> Layout:
    """A new root."""
    layout = Layout(folder / "root")
    layout.make()
    return layout


def write(connection: sqlite3.Connection, number: int) -> None:
    """Put in a job as a submit does, and write of its step as an engine does, which takes one transaction each."""
    with transactions.writing(connection, durable=True):
        queue.add_job(connection, f"run-{number}", "publication", REQUEST, ["one"])
    queue.write(connection, [queue.step_started(number + 1, 0, 1, f"token-{number}", 1.0)], durable=False)


def older(layout: Layout, jobs: int = 0, version: int = 2) -> sqlite3.Connection:
    """A queue of a version that had no marks, with some jobs in its log."""
    connection = sqlite3.connect(layout.queue, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(database._SCHEMA + database._SETTINGS)
    connection.execute(f"PRAGMA user_version = {version}")
    for number in range(jobs):
        write_unmarked(connection, number)
    return connection


def write_unmarked(connection: sqlite3.Connection, number: int) -> None:
    """A job as an older penstock put it in."""
    connection.execute("BEGIN IMMEDIATE")
    queue.add_job(connection, f"run-{number}", "publication", REQUEST, ["one"])
    connection.execute("COMMIT")


def count(layout: Layout) -> int:
    """How many jobs there are in a sound queue."""
    with database.opened(layout) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return connection.execute("SELECT count(*) FROM jobs").fetchone()[0]


def checkpoint(layout: Layout, how: str = "PASSIVE") -> None:
    with contextlib.closing(sqlite3.connect(layout.queue, timeout=0)) as connection:
        connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()


def counted(file: Path, log: Path | None) -> int:
    """How many jobs somebody finds who has that file and that log. Raises TargetUnavailable."""
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        there = root_in(Path(folder))
        shutil.copyfile(file, there.queue)
        if log is not None and log.exists():
            shutil.copyfile(log, beside(there.queue, "-wal"))
        return count(there)


def refused(file: Path, log: Path) -> None:
    with pytest.raises(TargetUnavailable, match="not the file that was written here last") as caught:
        counted(file, log)
    assert caught.value.code == "queue_log_foreign"


def marks_in(log: Path) -> list[int]:
    """How many marks each transaction of a log left, in their order."""
    found, now = [], 0
    for frame in wal.committed(log):
        now += log_mark._marks_of(frame.data) is not None
        if frame.size:
            found.append(now)
            now = 0
    return found
