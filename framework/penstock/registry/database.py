"""Connections to the registry file: transactions, and their time."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from penstock import log_mark
from penstock.errors import RegistryError
from penstock.registry import schema
from penstock.registry.troubles import Alone, explain, refuse_no_time, translated, undecided, unwritable

LONGEST = 3_600_000_000
"""How long, in microseconds, anything is put off at the most. What is due later than that was noted by a clock that
was ahead, and is due now.
"""

AHEAD = 172_800_000_000
"""By how much, in microseconds, the history's times may be ahead of the clock, so that they do not go back. It is more
than a clock in a wrong time zone is off by; one that was further ahead is not waited for.
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

    `connect` opens another one, ready for use, `refuse_planted` raises when somebody else laid files beside it, and
    `refuse_linked` when it has another name. Readers never wait. `owner` is the user whose file it is, where that is
    another.
    """

    def __init__(
        self,
        path: Path,
        connect: Callable[[], sqlite3.Connection],
        refuse_planted: Callable[[], None],
        refuse_linked: Callable[[], None],
        *,
        read_only: bool,
        clock: Clock,
        owner: int | None = None,
    ) -> None:
        self.path = path
        self.read_only = read_only
        self.owner = owner
        self.refusal: Callable[[], RegistryError] = lambda: unwritable(path, owner)
        """The error for whoever wants to write where it is `read_only`."""
        self._connect = connect
        self._refuse_planted = refuse_planted
        self.refuse_linked = refuse_linked
        """Raise RegistryError `registry_linked` when the file may be open by another name."""
        self.translated = translated(path)  # one for all: it holds nothing of whoever is in it
        self._clock = clock
        self._name = os.fspath(path)
        self._file = identity(path)
        self._free: list[sqlite3.Connection] = []
        self._nonblocking: list[sqlite3.Connection] = []
        self._alone: dict[int, Alone] = {}  # by the thread that has it
        self._closed = False
        self._lock = threading.Lock()
        self._pid = os.getpid()
        with self.connection() as first:
            self.is_backup = is_backup(first)  # in which nothing was decided yet

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view of the registry."""
        with self.begin("BEGIN") as connection:
            now = self._clock()
            yield Transaction(connection, now, now)

    def time(self) -> int:
        """The machine's time, as a transaction has it."""
        return self._clock()

    def look(self, work: Callable[[Transaction], T]) -> T:
        """What one statement finds, which is consistent by itself."""
        with self.connection() as connection:
            now = self._clock()
            return work(Transaction(connection, now, now))

    @contextmanager
    def begin(self, begin: str) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction, which is committed in the end, or rolled back."""
        with self.connection() as connection:
            if isinstance(connection, Alone) and begin != "BEGIN":
                raise connection.why
            connection.execute(begin)
            before = connection.total_changes
            try:
                began = "" if begin == "BEGIN" else log_mark.first_page(connection)
                yield connection
                self.commit(connection, began if connection.total_changes != before else "")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def commit(self, connection: sqlite3.Connection, began: str) -> None:
        """End a transaction. `began` is what `log_mark.first_page` said then, empty when nothing was written.

        Raises sqlite3.Error when nothing of it holds, RegistryError `registry_undecided` when that is not known, and as
        `check_in_place`.
        """
        try:
            if began:
                log_mark.mark(connection, began)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            full = getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL  # then it lies nowhere whole
            if not full and not log_mark.taken_back(connection):
                raise undecided(self.path, explain(self.path, error)) from error
            raise
        self.check_in_place()

    def decision(self, connection: sqlite3.Connection, last: int) -> Transaction:
        """A decision on an open transaction; `last` is the time of the last change, see `last_change`."""
        clock = self._clock()
        refuse_no_time(self.path, clock)
        # Clocks jump; the history's times do not go back, so that "at that time" has one answer, but where a clock was
        # far ahead: see `history.by_then`.
        return Transaction(connection, clock if last > clock + AHEAD else max(clock, last + 1), clock)

    @staticmethod
    def last_change(connection: sqlite3.Connection) -> int:
        """The time of the last change."""
        row = connection.execute("SELECT at FROM history ORDER BY seq DESC LIMIT 1").fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """A bare connection."""
        connection = self.take()
        try:
            with self.translated:
                yield connection
        finally:
            self.give_back(connection)

    def take(self, *, nonblocking: bool = False) -> sqlite3.Connection:
        """A bare connection until `give_back`; a `nonblocking` one does not wait for other processes."""
        if os.getpid() != self._pid:
            raise RegistryError(f"{self.path}: the registry was opened before a fork; open it again in this process")
        self.check_in_place()
        self._refuse_planted()  # a journal is taken up again with each transaction
        with self.translated:
            kept = self._nonblocking if nonblocking else self._free
            thread = threading.get_ident()
            with self._lock:
                if self._closed:
                    raise RegistryError(f"{self.path}: the registry is closed")
                free = kept.pop() if kept else None
            if free is not None:
                return free
            if thread in self._alone:  # it would wait for itself
                raise self._alone[thread].why
            connection = self._connect()
            try:
                if isinstance(connection, Alone):
                    self._alone[thread] = connection
                self.check_in_place()
                if nonblocking:
                    connection.execute("PRAGMA busy_timeout = 0")
            except BaseException:
                self.give_back(connection, nonblocking=nonblocking)
                raise
            return connection

    def give_back(self, connection: sqlite3.Connection, *, nonblocking: bool = False) -> None:
        """Leave a connection to others."""
        with self._lock:
            # A guest's may be of the file alone, as nobody else changes it: it sees no change after that.
            if self._closed or self.owner is not None or isinstance(connection, Alone):
                connection.close()
                self._alone.pop(threading.get_ident(), None)
            else:
                (self._nonblocking if nonblocking else self._free).append(connection)

    def check_writable(self) -> None:
        """Raise RegistryError where nothing may be decided."""
        if self.read_only:
            raise self.refusal()
        self.refuse_linked()

    def check_in_place(self) -> None:
        """Raise RegistryError `registry_replaced` when the file is not the one that was opened.

        What is decided in a file that has no name any more is lost, and its log lies beside the new one. Asked after
        a commit as well: who decides may have waited for the lock for long.
        """
        if identity(self._name) != self._file:
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


def identity(path: Path | str) -> tuple[int, int] | None:
    """Which file has a name now, None for none."""
    try:
        found = os.stat(path)  # noqa: PTH116  # the path is text, and every decision asks
    except OSError:
        return None
    return found.st_dev, found.st_ino
