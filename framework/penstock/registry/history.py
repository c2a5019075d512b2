"""The append-only record of every change (law 10): writing it, and reading it back in pages."""

from __future__ import annotations

from datetime import datetime

from penstock.errors import NotFound
from penstock.records import Caller, HistoryRecord, Page
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
) -> None:
    """Append one change to the history. What concerns a version has its endpoint's id as `subject_id`."""
    tx.insert(
        """INSERT INTO history
            (at, action, kind, subject_id, subject, "from", "to", reason, by, verified, door, request_id)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        tx.now,
        action,
        kind,
        subject_id,
        subject,
        from_,
        to,
        reason,
        caller.actor,
        caller.verified,
        caller.door,
        caller.request_id,
    )


def page(
    tx: Transaction,
    *,
    since: datetime | None = None,
    by: str | None = None,
    subject: str | None = None,
    limit: int = 50,
    before: str | None = None,
    runs: bool = False,
) -> Page[HistoryRecord]:
    """A page of the history, newest first. Rows of runs only with `runs`, or when the subject is a run."""
    where, values = ["seq < ?"], list[object]([before_of(before)])
    if since is not None:
        # Times never go back in the order of seq, so a bound on one is a bound on the other.
        first = tx.one("SELECT seq FROM history WHERE at >= ? ORDER BY at, seq LIMIT 1", from_time(since))
        if first is None:
            return Page(items=())
        where.append("seq >= ?")
        values.append(first["seq"])
    if by is not None:
        where.append("by = ?")
        values.append(by)
    if subject is not None:
        ids = _subjects(tx, subject)
        where.append(f"subject_id IN ({', '.join('?' * len(ids))})")
        values.extend(ids)
    elif not runs:
        where.append("kind <> 'run'")
    values.append(one_more(limit))
    rows = tx.all(f"SELECT * FROM history WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?", *values)
    return page_of(rows, limit, history_record)


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
