"""Listings in pages: newest first, each page starting where the last one ended, however much there is."""

from __future__ import annotations

from collections.abc import Callable, Collection
from sqlite3 import Row
from typing import TypeVar

from penstock.contract.run import RUN_STATES
from penstock.errors import NotFound, UsageError
from penstock.records import EndpointRecord, Page, PublishedRecord, RunRecord
from penstock.registry.database import Transaction
from penstock.registry.lookup import THESE, endpoint_missing, find_endpoint, parts_of, whole_number
from penstock.registry.messages import RunQuery
from penstock.registry.rows import PUBLISHED, RUNS, VERSIONS, endpoint_record, published_record, run_record, to_json

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
    named, values = ("", ()) if name is None else (" AND p.name = ?", (name,))
    where = f"p.seq < ? AND p.deleted IS NULL{named}{'' if all else ' AND p.gate_since IS NULL'}"
    rows = tx.all(f"{PUBLISHED} WHERE {where} ORDER BY p.seq DESC LIMIT ?", before_of(before), *values, one_more(limit))
    closed = f"published p INDEXED BY published_closed WHERE p.deleted IS NULL AND p.gate_since IS NOT NULL{named}"
    hidden = 0 if all else tx.need(f"SELECT count(*) AS n FROM {closed}", *values)["n"]
    return page_of(rows, limit, published_record, hidden)


def list_endpoints(
    tx: Transaction,
    *,
    all: bool = False,
    limit: int = 50,
    before: str | None = None,
    within: Collection[str] | None = None,
) -> Page[EndpointRecord]:
    """A page of endpoints with their versions; what is closed is only counted without `all`. `within` are the ids of
    those to keep to.
    """
    kept, values = ("", ()) if within is None else (f" AND id IN {THESE}", (to_json(sorted(within)),))
    where = f"seq < ? AND deleted IS NULL{kept}{'' if all else ' AND gate_since IS NULL'}"
    rows = tx.all(
        f"SELECT * FROM endpoints WHERE {where} ORDER BY seq DESC LIMIT ?", before_of(before), *values, one_more(limit)
    )
    of_these = f"{VERSIONS} WHERE v.endpoint IN {THESE} ORDER BY v.endpoint, v.version"
    versions = parts_of(tx, of_these, "endpoint", rows[:limit])
    closed = "endpoints INDEXED BY endpoints_closed WHERE deleted IS NULL AND gate_since IS NOT NULL"
    hidden = 0 if all else tx.need(f"SELECT count(*) AS n FROM {closed}{kept}", *values)["n"]
    return page_of(rows, limit, lambda row: endpoint_record(row, versions[row["seq"]], all=all), hidden)


def list_runs(tx: Transaction, query: RunQuery) -> Page[RunRecord]:
    """A page of runs, of a deleted endpoint too. Raises NotFound for an unknown endpoint, UsageError for a state."""
    if query.state is not None and query.state not in RUN_STATES:
        raise UsageError(
            f"`{query.state}` is not a state of runs; they are {', '.join(RUN_STATES)}", code="value_invalid"
        )
    wanted = {"experiment": query.experiment, "state": query.state, "pipeline": query.pipeline}
    where: dict[str, object] = {column: value for column, value in wanted.items() if value is not None}
    if query.endpoint is not None:
        found = find_endpoint(tx, query.endpoint, deleted=True)
        if query.within is not None and (found is None or found["id"] not in query.within):
            raise NotFound(f"no endpoint `{query.endpoint}`", code="endpoint_not_found")  # alike, there or not
        if found is None:
            raise endpoint_missing(tx, query.endpoint)
        where["endpoint"] = found["seq"]
    if query.published is not None:
        # The name is given too, because the runs of one are found by an index.
        row = tx.one("SELECT seq, name FROM published WHERE id = ?", query.published)
        if row is None or query.pipeline not in (None, row["name"]):
            return Page(items=())
        where |= {"pipeline": row["name"], "published": row["seq"]}
    filters = "".join(f" AND r.{column} = ?" for column in where)
    values: list[object] = [before_of(query.before), *where.values()]
    if query.within is not None:
        filters += f" AND r.endpoint IN (SELECT seq FROM endpoints WHERE id IN {THESE})"
        values.append(to_json(sorted(query.within)))
    values.append(one_more(query.limit))
    rows = tx.all(f"{RUNS} WHERE r.seq < ?{filters} ORDER BY r.seq DESC LIMIT ?", *values)
    of_these = f"SELECT * FROM run_steps WHERE run IN {THESE} ORDER BY run, position"
    steps = parts_of(tx, of_these, "run", rows[: query.limit])
    return page_of(rows, query.limit, lambda row: run_record(row, steps[row["seq"]]))


def unfinished(tx: Transaction, *, endpoint: str | None = None, published: str | None = None) -> list[str]:
    """The ids of runs that have not ended, oldest first: all, or those of an endpoint's or published pipeline's id."""
    rows = tx.all(
        """SELECT id FROM runs INDEXED BY runs_unfinished WHERE ended IS NULL
            AND (?1 IS NULL OR endpoint = (SELECT seq FROM endpoints WHERE id = ?1))
            AND (?2 IS NULL OR published = (SELECT seq FROM published WHERE id = ?2)) ORDER BY seq LIMIT 1000""",
        endpoint,
        published,
    )
    return [row["id"] for row in rows]


def targets_running(tx: Transaction) -> list[str]:
    """The targets that have runs which have not ended."""
    rows = tx.all(
        """SELECT DISTINCT b.target FROM runs r INDEXED BY runs_unfinished
            JOIN publications b ON b.seq = r.publication WHERE r.ended IS NULL AND r.external IS NOT NULL"""
    )
    return [row["target"] for row in rows]


def list_unfinished(tx: Transaction, target: str, *, after: int = 0, limit: int = 500) -> tuple[list[RunRecord], int]:
    """Unfinished runs that a target has, oldest first, from a place on, and where to go on; 0 at the end."""
    rows = tx.all(
        f"""{RUNS.replace("FROM runs r", "FROM runs r INDEXED BY runs_unfinished")}
            WHERE r.ended IS NULL AND r.external IS NOT NULL AND b.target = ? AND r.seq > ? ORDER BY r.seq LIMIT ?""",
        target,
        after,
        limit,
    )
    steps = parts_of(tx, f"SELECT * FROM run_steps WHERE run IN {THESE} ORDER BY run, position", "run", rows)
    return [run_record(row, steps[row["seq"]]) for row in rows], rows[-1]["seq"] if len(rows) == limit else 0
