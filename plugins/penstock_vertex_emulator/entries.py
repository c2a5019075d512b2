"""Log entries as Cloud Logging keeps them: written once, found by a filter, in order of their time.

What is kept of an entry are the columns that it is found and ordered by, and the rest of it as JSON.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from penstock_emulator.store import Store

Position = tuple[int, str, str, str]
"""Where a page ended: time, insert id, log id, project."""


class Entry(NamedTuple):
    """One entry: `time` in nanoseconds since 1970, `job` the resource's label `job_id`, `rest` JSON of an object.

    `project` is a number. `rest` has the fields of LogEntry that have no place of their own here.
    """

    project: str
    log_id: str
    time: int
    insert_id: str
    job: str
    rest: str


class Entries:
    """All entries of one state. Those with the same job, time, insert id and log are one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def write(self, entries: Iterable[Entry], *also: tuple[str, tuple[object, ...]]) -> None:
        """Keep entries, and change something else (a statement and its values) with them or not at all.

        The time at which they came in never goes back from one call to the next.
        """
        made = list(entries)
        with self._store.transaction():
            received = max(time.time_ns(), int(self._latest()) + 1)
            self._store.many(
                "insert or ignore into entries values (?, ?, ?, ?, ?, ?, ?)",
                ((one.job, one.time, one.insert_id, one.log_id, one.project, received, one.rest) for one in made),
            )
            self._store.run("insert or replace into meta values ('received', ?)", str(received))
            for statement, values in also:
                self._store.run(statement, *values)

    def page(
        self,
        projects: Sequence[str],
        where: str,
        values: Sequence[object],
        *,
        descending: bool,
        after: Position | None,
        most: int,
    ) -> tuple[list[tuple[Any, ...]], Position | None]:
        """Rows of `text_of` for which an expression of SQL is true, and where to go on if there are more."""
        order, sign = ("desc", "<") if descending else ("asc", ">")
        statement = (
            "select time, insert_id, log_id, project, received, rest from entries"
            f" where project in ({', '.join('?' * len(projects))}) and ({where})"
        )
        given = [*projects, *values]
        if after is not None:
            statement += f" and (time, insert_id, log_id, project) {sign} (?, ?, ?, ?)"
            given += after
        statement += " order by " + ", ".join(f"{name} {order}" for name in ("time", "insert_id", "log_id", "project"))
        rows = self._store.rows(f"{statement} limit ?", *given, most + 1)
        return rows[:most], None if len(rows) <= most else _position(rows[most - 1])

    def _latest(self) -> str:
        row = self._store.row("select value from meta where key = 'received'")
        return str(row[0]) if row else "0"


def text_of(row: Sequence[Any], project: str) -> str:
    """A row as the JSON of a LogEntry, with the project as the caller knows it."""
    moment, insert_id, log_id, _, received, rest = row
    head = {
        "logName": f"projects/{project}/logs/{log_id}",
        "insertId": insert_id,
        "timestamp": time_text(moment),
        "receiveTimestamp": time_text(received),
    }
    return f"{json.dumps(head)[:-1]}, {rest[1:]}"


def time_text(nanoseconds: int) -> str:
    """A time in RFC 3339, as Google writes it."""
    whole = datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 1_000_000_000:09d}Z"


def _position(row: Sequence[Any]) -> Position:
    return row[0], row[1], row[2], row[3]
