"""The append-only record of every change (law 10): writing it, and reading it back in pages."""

from __future__ import annotations

from penstock.errors import NotFound
from penstock.records import Caller, HistoryQuery, HistoryRecord, Page
from penstock.registry.database import Transaction
from penstock.registry.listing import before_of, one_more, page_of
from penstock.registry.lookup import find_endpoint, find_published, need_run
from penstock.registry.rows import from_time, history_record

SYSTEM = Caller(actor="penstock", door="dispatcher", request_id="", verified=True)
"""Who changes a run when its target reports: nobody called."""


def record(
    tx: Transaction,
    caller: Caller,
    action: str,
    kind: str,
    subject_id: str,
    subject: str,
    *,
    from_: str | None = None,
    to: str | None = None,
    reason: str = "",
    happened: int | None = None,
) -> None:
    """Append one change to the history. What concerns a version has its endpoint's id as `subject_id`.

    `happened` is the stored time when it happened, where that is not now.
    """
    tx.insert(
        "history",
        at=tx.now,
        happened=happened,
        action=action,
        kind=kind,
        subject_id=subject_id,
        subject=subject,
        reason=reason,
        by=caller.actor,
        verified=caller.verified,
        door=caller.door,
        request_id=caller.request_id,
        **{'"from"': from_, '"to"': to},
    )


def page(tx: Transaction, query: HistoryQuery) -> Page[HistoryRecord]:
    """A page of the history, newest first. Raises NotFound for an unknown subject."""
    where, values = ["seq < ?"], list[object]([before_of(query.before)])
    if query.since is not None:
        # Times never go back in the order of seq, so a bound on one is a bound on the other.
        first = tx.one("SELECT seq FROM history WHERE at >= ? ORDER BY at, seq LIMIT 1", from_time(query.since))
        if first is None:
            return Page(items=())
        where.append("seq >= ?")
        values.append(first["seq"])
    if query.by is not None:
        where.append("by = ?")
        values.append(query.by)
    if query.subject is not None:
        ids = _subjects(tx, query.subject)
        where.append(f"subject_id IN ({', '.join('?' * len(ids))})")
        values.extend(ids)
    elif not query.runs:
        where.append("kind <> 'run'")
    values.append(one_more(query.limit))
    rows = tx.all(f"SELECT * FROM history WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?", *values)
    return page_of(rows, query.limit, history_record)


def _subjects(tx: Transaction, ref: str) -> list[str]:
    """The ids of what a reference names or once named. Raises NotFound."""
    endpoint = find_endpoint(tx, ref, deleted=True)
    if endpoint is not None:
        return [endpoint["id"]]
    once = former_endpoints(tx, ref)
    if once:
        return once
    published = find_published(tx, ref, deleted=True)
    if published:
        return [row["id"] for row in published]
    try:
        return [need_run(tx, ref)["id"]]
    except NotFound:
        raise NotFound(f"the history knows no endpoint, published pipeline or run `{ref}`") from None


def former_endpoints(tx: Transaction, name: str) -> list[str]:
    """The ids of every endpoint that ever had a name, the latest first."""
    rows = tx.all(
        """SELECT subject_id, max(seq) AS latest FROM history
            WHERE kind = 'endpoint' AND subject = ? AND action IN ('endpoint_created', 'endpoint_renamed')
            GROUP BY subject_id ORDER BY latest DESC""",
        name,
    )
    return [row["subject_id"] for row in rows]
