"""What must survive a restart: jobs, operations, what is cached, what is known of objects. One SQLite file."""

from __future__ import annotations

import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TABLES = """
create table if not exists meta (key text primary key, value text not null);
create table if not exists jobs (
    name text primary key, parent text not null, seq integer not null, resource blob not null, live blob not null,
    unfinished integer not null
);
create index if not exists jobs_unfinished on jobs (unfinished) where unfinished;
create table if not exists operations (name text primary key, parent text not null, body blob not null);
create table if not exists cache (key text primary key, detail blob not null);
create table if not exists buckets (name text primary key, body text not null);
create table if not exists objects (
    bucket text not null, name text not null, generation integer not null, body text not null,
    primary key (bucket, name)
);
create table if not exists uploads (id text primary key, body text not null);
create table if not exists packages (name text primary key, body text not null);
create table if not exists entries (
    job text not null, time integer not null, insert_id text not null, log_id text not null, project text not null,
    received integer not null, rest text not null,
    primary key (job, time, insert_id, log_id, project)
) without rowid;
create table if not exists agents (file text primary key, position integer not null);
"""


class Store:
    """A SQLite file, for all threads of one process. Each call is one transaction."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=normal")
        self._connection.executescript(_TABLES)
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
