"""What must survive a restart, in one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_META = "create table if not exists meta (key text primary key, value text not null);"


class Store:
    """A SQLite file with the tables of an emulator, for all threads of one process. Each call is one transaction."""

    def __init__(self, file: Path, tables: str) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=normal")
        self._connection.executescript(_META + tables)
        self.run("insert or ignore into meta values ('id', ?)", uuid.uuid4().hex)

    @property
    def identity(self) -> str:
        """A name of this state that no other has."""
        return str(self.row("select value from meta where key = 'id'")[0])

    def run(self, statement: str, *values: object) -> int:
        """Change something; how many rows were changed."""
        with self._lock:
            return self._connection.execute(statement, values).rowcount

    def many(self, statement: str, values: Iterable[Iterable[object]]) -> None:
        """Change something once for each of some values."""
        with self._lock:
            self._connection.executemany(statement, (tuple(each) for each in values))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is changed inside, by this thread, or nothing of it."""
        with self._lock:
            self._connection.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._connection.execute("rollback")
                raise
            self._connection.execute("commit")

    def rows(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of a question."""
        with self._lock:
            return self._connection.execute(statement, values).fetchall()

    def row(self, statement: str, *values: object) -> tuple[object, ...]:
        """The first row of a question, or nothing in it."""
        with self._lock:
            return self._connection.execute(statement, values).fetchone() or ()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
