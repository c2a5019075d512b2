"""Rows by the million in a registry, straight with SQL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

_UUID = """lower(printf('%s-%s-4%s-a%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2),
    substr(hex(randomblob(2)), 2), hex(randomblob(6))))"""


@contextmanager
def filling(path: Path, most: int) -> Iterator[sqlite3.Connection]:
    """A transaction that fills a registry, which has no indexes until all is in.

    The table `numbers` has every `n` from 0 on below `most`, each with an `id`.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("BEGIN")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql <> ''"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("CREATE TEMP TABLE numbers (n INTEGER PRIMARY KEY, id TEXT)")
        connection.execute(
            "INSERT INTO numbers WITH RECURSIVE r (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM r WHERE n + 1 < ?) "
            f"SELECT n, {_UUID} FROM r",
            (most,),
        )
        yield connection
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("rb") as file:
        os.fsync(file.fileno())  # so that whoever measures then does not wait for it


def multiply(path: Path, run: str, times: int) -> None:
    """Give a registry so many more of its last run, which has ended: all that it left, each under an id of its own."""
    with filling(path, times) as connection:
        (seq,) = connection.execute("SELECT seq FROM runs WHERE id = ? AND ended IS NOT NULL", (run,)).fetchone()
        first, span = connection.execute(
            "SELECT min(seq), max(seq) - min(seq) + 1 FROM history WHERE subject_id = ?", (run,)
        ).fetchone()
        (last,) = connection.execute("SELECT max(at) + 1 FROM history").fetchone()
        number = f"{seq} + 1 + c.n"
        at = f"{last} + c.n * {span}"  # times of the history never go back in the order of seq
        own = {"seq": number, "id": "c.id", "key": "c.id", "external": "c.id"}
        _copy(connection, "runs", f"t.seq = {seq}", own | dict.fromkeys(("created", "started", "ended"), at))
        for table in ("requests", "run_steps"):
            _copy(connection, table, f"t.run = {seq}", {"run": number})
        records = {"seq": "NULL", "at": f"{at} + t.seq - {first}", "subject_id": "c.id"}
        _copy(connection, "history", f"t.subject_id = '{run}'", records)


def _copy(connection: sqlite3.Connection, table: str, which: str, other: dict[str, str]) -> None:
    """Insert the rows of a table `t` for each of `numbers`, the same but for the columns that are other in them."""
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    named = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(other.get(column, f't."{column}"') for column in columns)
    # CROSS JOIN: copy for copy, and so in the order of the times.
    connection.execute(
        f"INSERT INTO {table} ({named}) SELECT {values} FROM numbers c CROSS JOIN {table} t WHERE {which}"
    )
