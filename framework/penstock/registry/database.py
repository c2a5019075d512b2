"""Connections to the registry file: transactions, their time, and SQLite's errors in our words."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from penstock.errors import RegistryError, UsageError
from penstock.registry import schema

BUSY_SECONDS = 30.0
"""How long a transaction waits for another process's before it gives up."""

LONGEST = 3_600_000_000
"""How long, in microseconds, anything is put off at the most. What is due later than that was noted by a clock that
was ahead, and is due now.
"""

BACKUP_ID = 0x70656E62
"""What marks a backup in place of `schema.APPLICATION_ID`: `penb`. With this mark a file has no log, see `copying`."""

T = TypeVar("T")

Clock = Callable[[], int]
"""The time in microseconds since 1970 UTC."""


def system_clock() -> int:
    """The machine's clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1000


@frozen
class Transaction:
    """One transaction. `now` is its one time, after everything recorded before; `clock` is the machine's."""

    _connection: sqlite3.Connection
    now: int
    clock: int

    def after(self, seconds: float) -> int:
        """The machine's time in so many seconds, as it is stored; a backend may name a senseless number."""
        return self.clock + min(round(max(0.0, min(seconds, LONGEST)) * 1e6), LONGEST)

    def one(self, sql: str, *values: object) -> sqlite3.Row | None:
        """The first row of a query, or None."""
        row: sqlite3.Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def need(self, sql: str, *values: object) -> sqlite3.Row:
        """The first row of a query that has one for certain."""
        row = self.one(sql, *values)
        assert row is not None
        return row

    def all(self, sql: str, *values: object) -> list[sqlite3.Row]:
        """Every row of a query. Text that somebody damaged is shown as far as it can be, and hides no other row."""
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.OperationalError as error:
            if not (str(error).startswith("Could not decode") and sql.lstrip().startswith("SELECT")):
                raise
        self._connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            return self._connection.execute(sql, values).fetchall()
        finally:
            self._connection.text_factory = str

    def run(self, sql: str, *values: object) -> int:
        """Run a statement that changes something; answers how many rows it changed."""
        return self._connection.execute(sql, values).rowcount

    def insert(self, table: str, **values: object) -> int:
        """Insert one row by its columns; answers its number."""
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"
        number = self._connection.execute(sql, tuple(values.values())).lastrowid
        assert number is not None
        return number


class Database:
    """Connections to one file, one for each thread that is in a transaction. A forked child opens its own.

    `connect` opens another one, ready for use. Readers never wait.
    """

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], *, read_only: bool, clock: Clock) -> None:
        self.path = path
        self.read_only = read_only
        self.refusal: Callable[[], RegistryError] = lambda: RegistryError(
            f"{path}: the registry is read-only for this user, so nothing can be changed; "
            "check the permissions of the file and its folder",
            code="registry_read_only",
        )
        """The error for whoever wants to write where it is `read_only`."""
        self._connect = connect
        self._clock = clock
        self._file = identity(path)
        self._free = [connect()]
        self.is_backup = is_backup(self._free[0])
        """Whether the file bears the mark of a backup, in which nothing was decided yet."""
        self._nonblocking: list[sqlite3.Connection] = []
        self._closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view of the registry."""
        with self.begin("BEGIN") as connection:
            now = self._clock()
            yield Transaction(connection, now, now)

    def look(self, work: Callable[[Transaction], T]) -> T:
        """What one statement finds, which is consistent by itself."""
        with self.connection() as connection:
            now = self._clock()
            return work(Transaction(connection, now, now))

    @contextmanager
    def begin(self, begin: str) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, which is committed in the end, or rolled back."""
        with self.connection() as connection:
            connection.execute(begin)
            try:
                yield connection
                connection.execute("COMMIT")
                self.check_in_place()
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def decision(self, connection: sqlite3.Connection, last: int) -> Transaction:
        """A decision on an open transaction; `last` is the time of the last change, see `last_change`."""
        clock = self._clock()
        # Clocks jump; the history's times never go back, so that "at that time" has one answer.
        return Transaction(connection, max(clock, last + 1), clock)

    @staticmethod
    def last_change(connection: sqlite3.Connection) -> int:
        """The time of the last change."""
        row = connection.execute("SELECT at FROM history ORDER BY seq DESC LIMIT 1").fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def connection(self, *, nonblocking: bool = False) -> Iterator[sqlite3.Connection]:
        """A bare connection; a `nonblocking` one does not wait for other processes."""
        if os.getpid() != self._pid:
            raise RegistryError(f"{self.path}: the registry was opened before a fork; open it again in this process")
        self.check_in_place()
        with translated(self.path):
            kept = self._nonblocking if nonblocking else self._free
            with self._lock:
                if self._closed:
                    raise RegistryError(f"{self.path}: the registry is closed")
                free = kept.pop() if kept else None
            connection = free or self._connect()
            try:
                if free is None:
                    self.check_in_place()
                    if nonblocking:
                        connection.execute("PRAGMA busy_timeout = 0")
                yield connection
            finally:
                with self._lock:
                    if self._closed:
                        connection.close()
                    else:
                        kept.append(connection)

    def check_in_place(self) -> None:
        """Raise RegistryError `registry_replaced` when the file is not the one that was opened.

        What is decided in a file that has no name any more is lost, and its log lies beside the new one. Asked after
        a commit as well: who decides may have waited for the lock for long.
        """
        if identity(self.path) != self._file:
            raise RegistryError(
                f"{self.path}: the registry was replaced or taken away while it was open here, so nothing is written; "
                "restart this process",
                code="registry_replaced",
            )

    def take_into_use(self) -> None:
        """Take the mark off a backup that lies in a registry's place, before there is a log, see `copying`."""
        if not self.is_backup:
            return
        with self.connection() as connection:
            connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            connection.execute("PRAGMA journal_mode = WAL")
        self.is_backup = False

    def close(self) -> None:
        """Close the connections; closing twice is closing once. One that is in use is closed when it is given back."""
        with self._lock:
            self._closed = True
            if os.getpid() == self._pid:
                for kept in (self._free, self._nonblocking):
                    while kept:
                        kept.pop().close()


def is_backup(connection: sqlite3.Connection) -> bool:
    """Whether a file bears the mark of a backup."""
    return bool(connection.execute("PRAGMA application_id").fetchone()[0] == BACKUP_ID)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file has a name now, None for none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def savepoint(connection: sqlite3.Connection) -> Iterator[None]:
    """A part of a transaction that leaves nothing behind when it fails; the rest stays, unless SQLite took back all."""
    connection.execute("SAVEPOINT one")
    try:
        yield
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK TO one")
            connection.execute("RELEASE one")
        raise
    connection.execute("RELEASE one")


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn what SQLite raises into the RegistryError that a person can act on."""
    try:
        yield
    except sqlite3.Error as error:
        raise explain(path, error) from error
    except json.JSONDecodeError as error:
        raise RegistryError(
            f"{path}: something in the registry was damaged ({error}); `penstock registry check` says what",
            code="registry_corrupt",
        ) from error
    except UnicodeEncodeError:
        raise UsageError("a text in this call is not Unicode text (it holds a lone surrogate)") from None


def explain(path: Path, error: sqlite3.Error) -> RegistryError:
    """The RegistryError that says what a SQLite error means for this file."""
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = extended & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return busy(path)
    if primary == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE:
        return RegistryError(
            f"{path}: the disk is full; nothing was changed, make room and try again", code="registry_disk_full"
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return RegistryError(
            f"{path}: the registry cannot be written; check the permissions of the file and its folder",
            code="registry_read_only",
        )
    strange = primary == sqlite3.SQLITE_ERROR and str(error).startswith(("no such table", "no such column"))
    if strange or primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return RegistryError(
            f"{path}: not a sound registry file ({error}); restore a backup, or move the file away to start a new one",
            code="registry_corrupt",
        )
    return RegistryError(f"{path}: the registry cannot be used ({error})")


def busy(path: Path) -> RegistryError:
    """The error for whoever waited for others in vain."""
    return RegistryError(
        f"{path}: others have kept the registry busy for {BUSY_SECONDS:g} seconds; nothing was changed, try again",
        code="registry_busy",
    )
