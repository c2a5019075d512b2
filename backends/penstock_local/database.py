"""The file behind the queue of one root: opening, making and migrating it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from penstock import locks, log_mark, trust
from penstock.errors import ConfigInvalid, TargetUnavailable
from penstock.opening import open_file
from penstock_local import environments, foreign_log, ownership, places, queue_troubles, request, transactions
from penstock_local.layout import Layout, unusable

VERSION = 3
_READABLE = 2
"""The first version that has all that who reads asks for."""
_PATIENCE = 10.0
"""Seconds to wait for others that write."""
_BESIDE = ("-wal", "-shm", "-journal")
"""How the names of the files end that SQLite keeps beside the queue's."""
_SETTINGS = """
CREATE TABLE IF NOT EXISTS settings (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    slots INTEGER,
    grace REAL NOT NULL,
    idle REAL NOT NULL
)
"""
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


def connect(
    layout: Layout, patience: float = _PATIENCE, *, alone: bool = False, reads: bool = False, still: bool = False
) -> sqlite3.Connection:
    """Open the queue, making it when it is not there, and wait up to `patience` seconds for others that write.

    With `alone` nobody else has it open meanwhile, and nothing is laid beside its log: for a moment, on a full disk.
    Who only `reads` leaves it as it is where it can be read so. A `still` file is read without a lock or a log, for a
    moment: where nothing can be made beside it, and nothing lies there.

    Another user's is only read. Raises sqlite3.Error or OSError, ConfigInvalid `not_trusted` when it or what lies
    beside it is somebody else's, and TargetUnavailable `queue_log_foreign` before anything is read; see `opened`. Who
    writes does so in `transactions.writing`.
    """
    places.refuse_others(layout.queue, *(layout.queue.with_name(layout.queue.name + end) for end in _BESIDE))
    if ownership.is_guest(layout):
        _refuse_planted(layout)
        return ownership.connect(layout)
    if not layout.queue.exists():
        # SQLite gives its side files the mode of the main one.
        os.close(open_file(layout.queue, os.O_RDWR | os.O_CREAT))
    _refuse_planted(layout)
    foreign_log.refuse(layout.queue)
    where = f"{layout.queue.as_uri()}?mode=ro&immutable=1" if still else layout.queue
    database = sqlite3.connect(where, isolation_level=None, timeout=patience, uri=still)
    try:
        database.row_factory = sqlite3.Row
        if alone:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")  # before anything is read: see SQLite's page on its log
        found = database.execute("PRAGMA user_version").fetchone()[0]
        _refuse_planted(layout)  # what it has opened by now is what was looked at
        if found == 0:
            _create(database)
        elif found < (_READABLE if reads else VERSION):
            _migrate(layout, database, found)
        elif found > VERSION:
            raise TargetUnavailable(
                f"the queue `{layout.queue}` was written by a newer penstock; use that one", code="queue_newer"
            )
        if not (alone or reads):  # a copy by `VACUUM INTO` has no log, until it is taken into use
            database.execute("PRAGMA journal_mode = WAL")
        if reads:
            database.execute("PRAGMA query_only = ON")
        database.execute("PRAGMA synchronous = NORMAL")
    except BaseException:
        database.close()
        raise
    return database


def _refuse_planted(layout: Layout) -> None:
    queue = Path(os.path.realpath(layout.queue))
    owner = layout.root.stat().st_uid
    wrong = trust.distrust(queue, "the queue") if queue.stat().st_uid != owner else None
    wrong = wrong or trust.distrust_beside(queue, "the queue", owner)
    if wrong is not None:
        raise ConfigInvalid(wrong, code="not_trusted")


def _create(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    with transactions.writing(database):
        if database.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in (*_SCHEMA.split(";"), _SETTINGS):
                database.execute(statement)
            log_mark.lay(database)
            database.execute(f"PRAGMA user_version = {VERSION}")


def _migrate(layout: Layout, database: sqlite3.Connection, found: int) -> None:
    """From an earlier version; before 3 nothing was marked. It can be cut short and begun again."""
    if found == 1:
        with transactions.writing(database):
            log_mark.lay(database)
            _rewrite_requests(layout, database)
        # Pages that were written over keep what they held until the whole file is written anew.
        database.execute("VACUUM")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with transactions.writing(database):
        if database.execute("PRAGMA user_version").fetchone()[0] < VERSION:  # else another process was faster
            log_mark.lay(database)
            database.execute(log_mark.SAME)
            database.execute(f"PRAGMA user_version = {VERSION}")


def _rewrite_requests(layout: Layout, database: sqlite3.Connection) -> None:
    """Take environments and settings out of the requests, where version 1 kept them."""
    database.execute(_SETTINGS)
    for row in database.execute("SELECT seq, id, ended, request FROM jobs ORDER BY seq").fetchall():
        try:
            asked, environment, settings = request.read_version_1(row["request"])
        except (ValueError, RecursionError):
            with contextlib.suppress(ValueError, RecursionError):
                request.read(row["request"])
                continue  # it was reached before
            # It cannot run, and says so with any text that is no request; what was in it must not stay.
            database.execute("UPDATE jobs SET request = '{}' WHERE seq = ?", (row["seq"],))
            continue
        if row["ended"] is None:
            environments.keep(layout, row["id"], environment, {})
        text = request.to_text(asked.parameters, asked.environment)
        database.execute("UPDATE jobs SET request = ? WHERE seq = ?", (text, row["seq"]))
        with contextlib.suppress(KeyError, TypeError, ValueError):
            slots, grace, idle = settings["slots"], float(settings["grace"]), float(settings["idle"])
            database.execute("REPLACE INTO settings VALUES (1, ?, ?, ?)", (slots and int(slots), grace, idle))


def wait(database: sqlite3.Connection, seconds: float) -> None:
    """Wait so long from now on for others that write to the queue."""
    database.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")


@contextlib.contextmanager
def opened(layout: Layout) -> Iterator[sqlite3.Connection]:
    """The queue for a moment, to read it. Whatever SQLite or the machine says against it is a TargetUnavailable."""
    with _opened(layout, reads=True) as database:
        yield database


@contextlib.contextmanager
def _opened(layout: Layout, *, reads: bool = False) -> Iterator[sqlite3.Connection]:
    """The same, also to write."""
    try:
        with _for_now(layout, reads) as database:
            yield database
    except sqlite3.Error as error:
        raise queue_troubles.unavailable(layout.queue, error) from None
    except OSError as error:
        raise unusable(layout.queue, error) from None


@contextlib.contextmanager
def _for_now(layout: Layout, reads: bool) -> Iterator[sqlite3.Connection]:
    """The queue for a moment; on a full disk, without room for the index that those who share a log keep beside it,
    alone with it. Who wants to be alone takes turns by a lock on the root, for two who want it at once get it never.
    Who reads where no file can be made (a read-only mount, no inodes) reads it as it is, unless it has a log.
    """
    with contextlib.ExitStack() as stack:
        try:
            database = connect(layout, reads=reads)
        except sqlite3.OperationalError as error:
            if reads and error.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN and queue_troubles.lies_alone(layout.queue):
                yield stack.enter_context(contextlib.closing(connect(layout, reads=True, still=True)))
                return
            if error.sqlite_errorcode not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE):
                raise
            turn = os.open(layout.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, turn)
            if not locks.take(turn, exclusive=True, seconds=_PATIENCE):
                raise
            try:
                database = connect(layout, 1.0, alone=True, reads=reads)
            except sqlite3.OperationalError as busy:
                if busy.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                database = connect(
                    layout, reads=reads
                )  # others have it open, and with that an index which can be shared
        stack.enter_context(contextlib.closing(database))
        yield database


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
    """The queue for one decision, alone with it; what is written is on disk at the end. Raises as `opened`.

    A commit that fails leaves nothing that a later look at the log could take for committed, where that can be.
    """
    with _opened(layout) as database:
        database.execute("PRAGMA synchronous = FULL")
        begun = transactions.begin(database)
        yield database
        try:
            transactions.commit(database, begun)
        except sqlite3.Error as error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            if getattr(error, "sqlite_errorcode", 0) != sqlite3.SQLITE_FULL:  # then it lies nowhere whole
                with contextlib.suppress(sqlite3.Error):
                    _write_over(database)
            raise


def write_over(layout: Layout) -> None:
    """Write nothing but a mark in the place of a decision whose commit failed. Raises as `opened`.

    It may lie in the log whole, with only the last sync, or the index beside the log, missing.
    """
    with _opened(layout) as database:
        _write_over(database)


def _write_over(database: sqlite3.Connection) -> None:
    with transactions.writing(database):
        database.execute(log_mark.SAME)
