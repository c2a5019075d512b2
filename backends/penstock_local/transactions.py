"""The one way to write to a queue: a transaction whose end leaves the mark that its log is known by, see `log_mark`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import frozen

from penstock import log_mark


@frozen
class Begun:
    """What a transaction found: the first page in the words of `log_mark`, and what the connection had changed."""

    first: str
    changes: int


def begin(database: sqlite3.Connection) -> Begun:
    """Begin a transaction, alone with the queue. Raises sqlite3.Error."""
    database.execute("BEGIN IMMEDIATE")
    try:
        return Begun(log_mark.first_page(database), database.total_changes)
    except BaseException:
        database.execute("ROLLBACK")
        raise


def commit(database: sqlite3.Connection, begun: Begun) -> None:
    """End a transaction with the next mark; one that wrote nothing leaves none. Raises sqlite3.Error."""
    # SQLite does not count a table that was made, but says so in the first page.
    if database.total_changes != begun.changes or log_mark.first_page(database) != begun.first:
        log_mark.mark(database, begun.first)
    database.execute("COMMIT")


@contextmanager
def writing(database: sqlite3.Connection, durable: bool = False) -> Iterator[None]:
    """A transaction, which leaves nothing when it fails; `durable` waits until it is on disk. Raises sqlite3.Error."""
    if durable:
        database.execute("PRAGMA synchronous = FULL")
    begun = begin(database)
    try:
        yield
        commit(database, begun)
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
    if durable:
        database.execute("PRAGMA synchronous = NORMAL")
