"""SQLite connections whose statements say something else than what was written: the registry's, and a queue's."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

Values = Sequence[Any]
Change = Callable[["Planted", str, Values], tuple[str, Values]]

_CHANGES: list[tuple[re.Pattern[str], Change]] = []
MET: set[str] = set()
"""The patterns that a statement of this process has matched."""


class Planted(sqlite3.Connection):
    """A connection that changes each statement before it runs it."""

    def execute(self, sql: str, values: Any = (), /) -> sqlite3.Cursor:
        """Run what is left of a statement."""
        sql = " ".join(sql.split())
        for pattern, change in _CHANGES:
            if pattern.search(sql):
                MET.add(pattern.pattern)
                sql, values = change(self, sql, values)
        return super().execute(sql, values)

    def plainly(self, sql: str) -> None:
        """Run a statement as it is."""
        super().execute(sql)


def changed(pattern: str, change: Change) -> None:
    """Pass statements that match a pattern through a function; white space is single spaces by then."""
    _CHANGES.append((re.compile(pattern), change))
    if sqlite3.connect is not _connect:
        sqlite3.connect = _connect


@contextmanager
def planted_here(plant: Callable[[], None]) -> Iterator[None]:
    """Plant in this process, and take it out again at the end. Connections that are open by then keep it."""
    before, usual = _CHANGES[:], sqlite3.connect
    try:
        plant()
        yield
    finally:
        _CHANGES[:] = before
        sqlite3.connect = usual


def rewritten(pattern: str, text: str | Callable[[re.Match[str]], str]) -> None:
    """Replace what matches a pattern by a text, or by what a function makes of it, as `re.sub` does."""
    changed(pattern, lambda connection, sql, values: (re.sub(pattern, text, sql), values))


def preceded(pattern: str, *statements: str) -> None:
    """Run other statements before those that match a pattern, in the same transaction."""

    def precede(connection: Planted, sql: str, values: Values) -> tuple[str, Values]:
        for statement in statements:
            connection.plainly(statement)
        return sql, values

    changed(pattern, precede)


def decided_before(pattern: str, seconds: float = 0.015) -> None:
    """End the transaction before statements that match a pattern, and go on in another one a moment later."""

    def leave(connection: Planted, sql: str, values: Values) -> tuple[str, Values]:
        connection.plainly("COMMIT")
        time.sleep(seconds)
        connection.plainly("BEGIN IMMEDIATE")
        return sql, values

    changed(pattern, leave)


def history_rows(action: str, **other: Any) -> None:
    """Write other values into the history's rows of one action, by column."""

    def change(connection: Planted, sql: str, values: Values) -> tuple[str, Values]:
        columns = [name.strip(' "') for name in sql[sql.index("(") + 1 : sql.index(")")].split(",")]
        if values[columns.index("action")] != action:
            return sql, values
        return sql, [other.get(name, value) for name, value in zip(columns, values, strict=True)]

    changed("INSERT INTO history", change)


_real = sqlite3.connect


def _connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
    named["factory"] = Planted
    return _real(*arguments, **named)
