"""Looking after the registry file: are SQLite's structures and our laws whole, and how much is in it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING

from penstock.contract.run import RUN_STATES
from penstock.registry import schema
from penstock.registry.database import AHEAD, Transaction
from penstock.registry.messages import CheckReport, Counts
from penstock.registry.troubles import LATEST

if TYPE_CHECKING:
    from sqlite_utils import Database

_INVARIANTS: tuple[tuple[str, str], ...] = (
    (
        "a label that has two digests",
        """SELECT p.name || ':' || p.label FROM published p JOIN labels l ON l.name = p.name AND l.label = p.label
            WHERE p.digest <> l.digest""",
    ),
    (
        "a published pipeline without its label or publication",
        """SELECT p.name || ':' || p.label FROM published p
            LEFT JOIN labels l ON l.name = p.name AND l.label = p.label
            LEFT JOIN publications b ON b.seq = p.publication
            WHERE l.seq IS NULL OR b.seq IS NULL OR b.digest <> p.digest OR b.target <> p.target""",
    ),
    (
        "a deleted published pipeline whose label is not reserved",
        """SELECT p.name || ':' || p.label FROM published p JOIN labels l ON l.name = p.name AND l.label = p.label
            WHERE p.deleted IS NOT NULL AND NOT l.reserved""",
    ),
    (
        "an endpoint whose versions have a gap",
        """SELECT e.name FROM endpoints e LEFT JOIN versions v ON v.endpoint = e.seq GROUP BY e.seq
            HAVING count(v.version) <> e.next_version OR max(v.version) <> e.next_version - 1""",
    ),
    (
        "an endpoint whose default is not one of its versions",
        """SELECT e.name FROM endpoints e LEFT JOIN versions v ON v.endpoint = e.seq AND v.version = e.default_version
            WHERE v.version IS NULL""",
    ),
    (
        "a version of a live endpoint whose published pipeline is deleted",
        """SELECT e.name || '@' || v.version FROM versions v JOIN endpoints e ON e.seq = v.endpoint
            JOIN published p ON p.seq = v.published WHERE e.deleted IS NULL AND p.deleted IS NOT NULL""",
    ),
    (
        "an endpoint whose stack of defaults has a gap or repeats a version",
        """SELECT e.name FROM endpoints e JOIN default_stack m ON m.endpoint = e.seq
            LEFT JOIN default_stack n ON n.endpoint = m.endpoint AND n.position = m.position + 1
            GROUP BY e.seq
            HAVING count(*) <> max(m.position) + 1
                OR sum(m.version = coalesce(n.version, e.default_version)) > 0""",
    ),
    (
        "an idempotency key that has two runs",
        "SELECT scope || ' ' || key FROM runs WHERE key IS NOT NULL GROUP BY scope, key HAVING count(*) > 1",
    ),
    (
        "a run that is lost between acceptance and hand-over",
        """SELECT r.id FROM runs r LEFT JOIN outbox o ON o.kind = 'submit' AND o.subject = r.seq
            WHERE (r.ended IS NULL AND r.external IS NULL AND o.seq IS NULL)
                OR (o.seq IS NOT NULL AND r.ended IS NOT NULL)""",
    ),
    (
        "a run whose acceptance the history does not have once",
        """SELECT r.id FROM runs r
            WHERE (SELECT count(*) FROM history h WHERE h.subject_id = r.id AND h.action = 'run_accepted') <> 1""",
    ),
    (
        "a retired publication that a published pipeline or an unfinished run uses",
        """SELECT b.external FROM publications b WHERE b.retired AND (
            EXISTS (SELECT 1 FROM published p WHERE p.publication = b.seq AND p.deleted IS NULL)
            OR EXISTS (SELECT 1 FROM runs r WHERE r.publication = b.seq AND r.ended IS NULL))""",
    ),
    (
        "a history whose times go back, by less than a clock that was far ahead",
        f"""SELECT seq FROM (SELECT seq, at, lag(at) OVER (ORDER BY seq) AS previous FROM history)
            WHERE at < previous AND previous <= at + {AHEAD}""",
    ),
    (
        "an endpoint whose default is not where the history left it",
        """SELECT e.name FROM endpoints e
            WHERE e.default_version IS NOT (SELECT CAST(h."to" AS INTEGER) FROM history h
                WHERE h.subject_id = e.id AND h.action IN ('default_moved', 'default_rolled_back')
                ORDER BY h.seq DESC LIMIT 1)""",
    ),
)
"""Each law as a query for what breaks it."""

_LIFE = ("created", "modified", "deleted", "gate_since")
_TIMES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("endpoints", "name", _LIFE),
    ("published", "id", _LIFE),
    ("versions", "endpoint || '@' || version", ("created", "gate_since")),
    ("runs", "id", ("created", "started", "ended", "cancel_requested")),
    ("run_steps", "name", ("started", "ended")),
    ("history", "seq", ("at", "happened")),
)
"""Tables, what says which of their rows it is, and columns of times."""

_MOST = 1000
"""How much is told of one kind: whatever is damaged is to be found, and a list has an end."""

_JSON = (
    ("endpoints", "name", ("tags",)),
    ("published", "id", ("tags",)),
    ("publications", "external", ("details",)),
    ("runs", "id", ("tags", "parameters", "outputs", "details", "error")),
    ("run_steps", "name", ("outputs", "error")),
    ("requests", "run", ("texts", "artifacts", "bundled")),
)
"""Tables, what says which of their rows it is, and columns of JSON."""


def check(connection: sqlite3.Connection) -> CheckReport:
    """Check the whole file: SQLite's own structures, references between tables, and the laws."""
    broken = [*_structure(connection), *_strange(connection), *_found(connection)]
    if broken:
        return CheckReport(ok=False, lines=tuple(dict.fromkeys(broken)))
    size = connection.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
    return CheckReport(
        ok=True,
        lines=(
            f"the file is whole: {size:,} bytes, schema version {schema.latest()}",
            f"{len(_INVARIANTS)} invariants hold",
        ),
    )


def _found(connection: sqlite3.Connection) -> Iterator[str]:
    """What breaks the laws, and rows that cannot be read. A page that is damaged hides what else is wrong there, and
    nothing more: each question is asked by itself.
    """
    questions = list(_INVARIANTS)
    for table, name, columns in _JSON:
        for column in columns:
            damaged = f"{column} IS NOT NULL AND NOT json_valid({column})"
            what = f"a row of {table} whose {column} cannot be read"
            questions.append((what, f"SELECT {name} FROM {table} WHERE {damaged}"))
    for table, name, times in _TIMES:
        for column in times:
            what = f"a row of {table} whose {column} is no time"
            wrong = f"typeof({column}) NOT IN ('integer', 'null') OR {column} NOT BETWEEN 0 AND {LATEST}"
            questions.append((what, f"SELECT {name} FROM {table} WHERE {wrong}"))
    for what, query in questions:
        try:
            for row in connection.execute(f"{query} LIMIT {_MOST}"):
                yield f"{what}: {row[0]}"
        except sqlite3.DatabaseError as error:
            yield f"the file is damaged: {error}"
    yield from _no_text(connection)


def _no_text(connection: sqlite3.Connection) -> Iterator[str]:
    """What is kept as text and is not UTF-8: SQLite itself does not mind."""
    connection.text_factory = bytes
    try:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
            rows = connection.execute(f'SELECT * FROM "{table.decode()}"')
            names = [about[0] for about in rows.description]
            for row in rows:
                for name, cell in zip(names, row, strict=True):
                    if isinstance(cell, bytes) and cell.decode("utf-8", "replace").encode() != cell:
                        first = row[0].decode("utf-8", "replace") if isinstance(row[0], bytes) else row[0]
                        yield f"a row of {table.decode()} whose {name} is no text: {first}"
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"
    finally:
        connection.text_factory = str


def _structure(connection: sqlite3.Connection) -> list[str]:
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
        found += [
            f"row {row[1]} of {row[0]} refers to a row of {row[2]} that is not there"
            for row in connection.execute("PRAGMA foreign_key_check").fetchmany(20)
        ]
    except sqlite3.DatabaseError as error:
        return [f"the file is damaged: {error}"]
    return found


def _strange(connection: sqlite3.Connection) -> Iterator[str]:
    """What of the schema is missing or not ours. An index that somebody added for himself changes nothing, nor do the
    tables in which SQLite counts.
    """
    ours = _ours(schema.STEPS)
    try:
        found = {(kind, name): sql for kind, name, sql in connection.execute(_SCHEMA)}
    except sqlite3.DatabaseError as error:
        yield f"the file is damaged: {error}"
        return
    for (kind, name), sql in ours.items():
        if (kind, name) not in found:
            yield f"the {kind} {name} is missing"
        elif found[kind, name] != sql:
            yield f"the {kind} {name} is not what it was made as"
    for kind, name in found.keys() - ours.keys():
        if kind in ("trigger", "view"):
            yield f"the {kind} {name} is none of penstock's"


_SCHEMA = "SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"


@cache
def _ours(steps: tuple[Callable[[Database], None], ...]) -> dict[tuple[str, str], str]:
    """The SQL of everything that a new registry which took `steps` has, by kind and name."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
        schema.apply(fresh)
        return {(kind, name): sql for kind, name, sql in fresh.execute(_SCHEMA)}


def is_empty(tx: Transaction) -> bool:
    """Whether nothing was ever decided here."""
    return not tx.need("SELECT EXISTS (SELECT 1 FROM history) OR EXISTS (SELECT 1 FROM tokens)")[0]


def counts(tx: Transaction) -> Counts:
    """How much there is, and how much still waits for a target."""
    runs: dict[str, int] = dict.fromkeys(RUN_STATES, 0)
    runs.update((row["state"], row["n"]) for row in tx.all("SELECT state, count(*) AS n FROM runs GROUP BY state"))
    owed = {row["kind"]: row["n"] for row in tx.all("SELECT kind, count(*) AS n FROM outbox GROUP BY kind")}
    return Counts(
        endpoints=tx.need("SELECT count(*) AS total FROM endpoints WHERE deleted IS NULL")["total"],
        published=tx.need("SELECT count(*) AS total FROM published WHERE deleted IS NULL")["total"],
        runs=runs,
        pending_hand_overs=owed.get("submit", 0),
        pending_cancels=owed.get("cancel", 0),
        pending_syncs=owed.get("sync", 0),
        pending_retires=owed.get("retire", 0),
    )
