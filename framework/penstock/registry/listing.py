"""Listings in pages: newest first, each page starting where the last one ended, however much there is."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Row
from typing import TypeVar

from penstock.contract.run import RUN_STATES
from penstock.errors import UsageError
from penstock.records import EndpointRecord, Page, PublishedRecord, RunQuery, RunRecord
from penstock.registry.database import Transaction
from penstock.registry.lookup import endpoint_missing, find_endpoint, records_of, whole_number
from penstock.registry.rows import PUBLISHED, RUNS, VERSIONS, endpoint_record, published_record, to_json

T = TypeVar("T")

_LAST = 2**63 - 1
_MOST = 1_000_000


def before_of(before: str | None) -> int:
    """The number that a page's `next` stands for. Raises UsageError."""
    if before is None:
        return _LAST
    number = whole_number(before)
    if number is None:
        raise UsageError(f"`{before}` is not where a page begins; take it from the `next` of the page before")
    return number


def one_more(limit: int) -> int:
    """How many rows to ask for, to know whether a page is the last. Raises UsageError for a limit below one."""
    if limit < 1:
        raise UsageError(f"a list of at most {limit} holds nothing; its limit is at least 1")
    return min(limit, _MOST) + 1


def page_of(rows: list[Row], limit: int, read: Callable[[Row], T], hidden: int = 0) -> Page[T]:
    """A page of rows that were asked for with one more than fits."""
    shown, more = rows[:limit], len(rows) > limit
    return Page(
        items=tuple(read(row) for row in shown),
        hidden=hidden,
        more=more,
        next=str(shown[-1]["seq"]) if more else None,
    )


def list_published(
    tx: Transaction, *, all: bool = False, limit: int = 50, before: str | None = None, name: str | None = None
) -> Page[PublishedRecord]:
    """A page of published pipelines; closed ones are only counted without `all`."""
    named, values = ("AND p.name = ?", (name,)) if name is not None else ("", ())
    plain = "" if all else "AND p.gate_since IS NULL"
    rows = tx.all(
        f"{PUBLISHED} WHERE p.seq < ? AND p.deleted IS NULL {named} {plain} ORDER BY p.seq DESC LIMIT ?",
        before_of(before),
        *values,
        one_more(limit),
    )
    closed = "published p INDEXED BY published_closed WHERE deleted IS NULL AND gate_since IS NOT NULL"
    hidden = 0 if all else _count(tx, f"{closed} {named}", *values)
    return page_of(rows, limit, published_record, hidden)


def list_endpoints(
    tx: Transaction, *, all: bool = False, limit: int = 50, before: str | None = None
) -> Page[EndpointRecord]:
    """A page of endpoints with their versions; what is closed is only counted without `all`."""
    plain = "" if all else "AND gate_since IS NULL"
    rows = tx.all(
        f"SELECT * FROM endpoints WHERE seq < ? AND deleted IS NULL {plain} ORDER BY seq DESC LIMIT ?",
        before_of(before),
        one_more(limit),
    )
    shown = [row["seq"] for row in rows[:limit]]
    versions: dict[int, list[Row]] = {seq: [] for seq in shown}
    # As one JSON value, because a statement takes only so many question marks.
    of_shown = "v.endpoint IN (SELECT value FROM json_each(?))"
    for version in tx.all(f"{VERSIONS} WHERE {of_shown} ORDER BY v.endpoint, v.version", to_json(shown)):
        versions[version["endpoint"]].append(version)
    closed = "endpoints INDEXED BY endpoints_closed WHERE deleted IS NULL AND gate_since IS NOT NULL"
    hidden = 0 if all else _count(tx, closed)
    return page_of(rows, limit, lambda row: endpoint_record(row, versions[row["seq"]], all=all), hidden)


def list_runs(tx: Transaction, query: RunQuery) -> Page[RunRecord]:
    """A page of runs, of a deleted endpoint too. Raises NotFound for an unknown endpoint, UsageError for a state."""
    if query.state is not None and query.state not in RUN_STATES:
        raise UsageError(f"`{query.state}` is not a state of runs; they are {', '.join(RUN_STATES)}")
    endpoint = None
    if query.endpoint is not None:
        found = find_endpoint(tx, query.endpoint, deleted=True)
        if found is None:
            raise endpoint_missing(tx, query.endpoint)
        endpoint = found["seq"]
    wanted = {
        "endpoint": endpoint,
        "experiment": query.experiment,
        "state": query.state,
        "pipeline": query.pipeline,
    }
    where = {column: value for column, value in wanted.items() if value is not None}
    filters = "".join(f" AND r.{column} = ?" for column in where)
    values = (before_of(query.before), *where.values(), one_more(query.limit))
    rows = tx.all(f"{RUNS} WHERE r.seq < ?{filters} ORDER BY r.seq DESC LIMIT ?", *values)
    shown = {row["seq"]: record for row, record in zip(rows, records_of(tx, rows[: query.limit]), strict=False)}
    return page_of(rows, query.limit, lambda row: shown[row["seq"]])


def unfinished(tx: Transaction, *, endpoint: str | None = None, published: str | None = None) -> list[str]:
    """The ids of runs that have not ended, oldest first: all, or those of an endpoint's or published pipeline's id."""
    where = "".join(
        f" AND {column} = (SELECT seq FROM {table} WHERE id = ?)"
        for column, table, value in (("endpoint", "endpoints", endpoint), ("published", "published", published))
        if value is not None
    )
    values = [value for value in (endpoint, published) if value is not None]
    rows = tx.all(
        f"SELECT id FROM runs INDEXED BY runs_unfinished WHERE ended IS NULL{where} ORDER BY seq LIMIT 1000", *values
    )
    return [row["id"] for row in rows]


def _count(tx: Transaction, what: str, *values: object) -> int:
    row = tx.one(f"SELECT count(*) AS n FROM {what}", *values)
    assert row is not None
    return int(row["n"])
