"""The append-only record of every change (law 10): writing it, reading it in pages, and what it says of the past."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row

from attrs import evolve

from penstock.callers import Caller
from penstock.errors import NotFound
from penstock.records import DefaultAt, HistoryRecord, Page
from penstock.registry.database import Transaction
from penstock.registry.listing import before_of, one_more, page_of
from penstock.registry.lookup import endpoint_missing, find_endpoint, find_published, need_run
from penstock.registry.messages import HistoryQuery
from penstock.registry.rows import format_time, from_time, history_record, published_ref, to_time

SYSTEM = Caller(actor="penstock", door="dispatcher", request_id="", verified=True)
"""Who changes a run when its target reports: nobody called."""

_EXISTENCE = ("endpoint_created", "endpoint_deleted")
_NAMING = ("endpoint_created", "endpoint_renamed")


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
    happened: datetime | None = None,
) -> None:
    """Append one change to the history. What concerns a version has its endpoint's id as `subject_id`.

    `happened` is when it happened, where that is not now.
    """
    tx.insert(
        "history",
        at=tx.now,
        happened=None if happened is None else from_time(happened),
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
        # Times go back in the order of seq only where a clock that was far ahead was set right.
        first = tx.one("SELECT min(seq) AS seq FROM history WHERE at >= ?", from_time(query.since))
        if first is None or first["seq"] is None:
            return Page(items=())
        where.append("seq >= ? AND at >= ?")
        values += [first["seq"], from_time(query.since)]
    if query.by is not None:
        where.append("by = ?")
        values.append(query.by)
    ids = _asked(tx, query)
    if ids is not None:
        where.append(f"subject_id IN ({', '.join('?' * len(ids))})")
        values.extend(ids)
    elif not query.runs:
        where.append("kind <> 'run'")
    values.append(one_more(query.limit))
    rows = tx.all(f"SELECT * FROM history WHERE {' AND '.join(where)} ORDER BY seq DESC LIMIT ?", *values)
    return page_of(rows, query.limit, history_record)


def _asked(tx: Transaction, query: HistoryQuery) -> list[str] | None:
    """The ids of what a query asks for, or None for everything. Raises NotFound."""
    if query.endpoint is None:
        return None if query.subject is None else _subjects(tx, query.subject)
    found = _endpoints(tx, query.endpoint)
    if not found:
        raise endpoint_missing(tx, query.endpoint)
    return found


def by_then(tx: Transaction, when: int) -> int:
    """The number of the last change that had happened by a time, 0 for none.

    A clock that was far ahead left times that no later change has. What bears one had happened when the change after
    it happened, or by now.
    """
    if when >= tx.clock:
        return int(tx.need("SELECT coalesce(max(seq), 0) AS last FROM history")["last"])
    row = tx.one("SELECT seq FROM history WHERE at <= ? ORDER BY seq DESC LIMIT 1", when)
    return 0 if row is None else int(row["seq"])


def _subjects(tx: Transaction, ref: str) -> list[str]:
    """The ids of what a reference names or once named. Raises NotFound."""
    endpoints = _endpoints(tx, ref)
    if endpoints:
        return endpoints
    published = find_published(tx, ref, deleted=True)
    if published:
        return [row["id"] for row in published]
    try:
        return [need_run(tx, ref)["id"]]
    except NotFound:
        raise NotFound(f"the history knows no endpoint, published pipeline or run `{ref}`") from None


def _endpoints(tx: Transaction, ref: str) -> list[str]:
    """The ids of the endpoints that a reference names or, if it names none, once named."""
    endpoint = find_endpoint(tx, ref, deleted=True)
    return _former_endpoints(tx, ref) if endpoint is None else [endpoint["id"]]


def _former_endpoints(tx: Transaction, name: str) -> list[str]:
    """The ids of every endpoint that ever had a name, the latest first."""
    rows = tx.all(
        """SELECT subject_id, max(seq) AS latest FROM history
            WHERE kind = 'endpoint' AND subject = ? AND action IN ('endpoint_created', 'endpoint_renamed')
            GROUP BY subject_id ORDER BY latest DESC""",
        name,
    )
    return [row["subject_id"] for row in rows]


def endpoint_at(tx: Transaction, ref: str, at: datetime) -> DefaultAt:
    """What a trigger without a version would have run at a time, or the code it would have been refused with.

    `ref` is an id, the name that the endpoint had then, or one that it has or had at another time; a change at
    exactly that time counts. Raises NotFound for a name that no endpoint ever had.
    """
    when = from_time(at)
    then = by_then(tx, when)
    endpoint = _identify(tx, ref, then)
    existence = _last(tx, endpoint, then, _EXISTENCE)
    if existence is None or existence["action"] == "endpoint_deleted":
        what = "did not exist yet" if existence is None else f"had been deleted at {format_time(existence['at'])}"
        message = f"endpoint `{ref}` {what}"
        return DefaultAt(at=to_time(when), endpoint=ref, refused="endpoint_not_found", message=message)
    name = _name(tx, endpoint, then) or ref
    moved = _last(tx, endpoint, then, ("default_moved", "default_rolled_back"))
    assert moved is not None
    default = moved["to"]
    row = tx.need(
        """SELECT p.* FROM endpoints e JOIN versions v ON v.endpoint = e.seq JOIN published p ON p.seq = v.published
            WHERE e.id = ? AND v.version = ?""",
        endpoint,
        int(default),
    )
    pipeline = published_ref(row)
    answer = DefaultAt(
        at=to_time(when),
        endpoint=name,
        default=default,
        published=row["id"],
        pipeline=row["name"],
        label=row["label"],
        digest=row["digest"],
        target=row["target"],
        message=f"a trigger of `{name}` would have run {name}@{default}, {pipeline}",
    )
    gates = (
        ("endpoint", endpoint, "", f"endpoint `{name}`"),
        # The name before the version may have changed; the number behind the last @ stays.
        ("version", endpoint, f"@{default}", f"version {default} of endpoint `{name}`"),
        ("pipeline", row["id"], "", f"published pipeline `{pipeline}`"),
    )
    for kind, subject_id, ending, what in gates:
        gate = _last(tx, subject_id, then, ("gate_closed", "gate_opened"), kind=kind, ending=ending)
        if gate is not None and gate["action"] == "gate_closed":
            why = f": {gate['reason']}" if gate["reason"] else ""
            message = f"{what} was disabled since {format_time(gate['at'])} by {gate['by']}{why}"
            return evolve(answer, refused=f"{kind}_disabled", message=message)
    return answer


def _identify(tx: Transaction, ref: str, then: int) -> str:
    """The id of the endpoint that a reference means at a time: the holder of the name then comes first."""
    once = _former_endpoints(tx, ref)
    for endpoint in once:
        existence = _last(tx, endpoint, then, _EXISTENCE)
        if existence is not None and existence["action"] == "endpoint_created" and _name(tx, endpoint, then) == ref:
            return endpoint
    now = find_endpoint(tx, ref, deleted=True)
    if now is not None:
        return str(now["id"])
    if once:
        return once[0]
    raise endpoint_missing(tx, ref)


def _name(tx: Transaction, endpoint: str, then: int) -> str | None:
    row = _last(tx, endpoint, then, _NAMING)
    return None if row is None else str(row["subject"])


def _last(
    tx: Transaction, subject_id: str, then: int, actions: tuple[str, str], *, kind: str = "endpoint", ending: str = ""
) -> Row | None:
    """The last of two kinds of changes up to one by its number, of a subject whose name has that ending."""
    return tx.one(
        """SELECT * FROM history WHERE subject_id = ? AND seq <= ? AND kind = ? AND action IN (?, ?)
            AND subject LIKE '%' || ? ORDER BY seq DESC LIMIT 1""",
        subject_id,
        then,
        kind,
        *actions,
        ending,
    )
