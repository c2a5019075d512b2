"""What a trigger would have run at some time, read from the history alone (law 10)."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row

from attrs import evolve

from penstock.records import DefaultAt
from penstock.registry.database import Transaction
from penstock.registry.history import former_endpoints
from penstock.registry.lookup import endpoint_missing, find_endpoint
from penstock.registry.rows import format_time, from_time, published_ref, to_time

_EXISTENCE = ("endpoint_created", "endpoint_deleted")


def endpoint_at(tx: Transaction, ref: str, at: datetime) -> DefaultAt:
    """What a trigger without a version would have run at a time, or the code it would have been refused with.

    `ref` is an id, the name that the endpoint had then, or one that it has or had at another time; a change at
    exactly that time counts. Raises NotFound for a name that no endpoint ever had.
    """
    when = from_time(at)
    endpoint = _identify(tx, ref, when)
    existence = _last(tx, endpoint, when, _EXISTENCE)
    if existence is None or existence["action"] == "endpoint_deleted":
        what = "did not exist yet" if existence is None else f"had been deleted at {format_time(existence['at'])}"
        message = f"endpoint `{ref}` {what}"
        return DefaultAt(at=to_time(when), endpoint=ref, refused="endpoint_not_found", message=message)
    name = _name(tx, endpoint, when) or ref
    moved = _last(tx, endpoint, when, ("default_moved", "default_rolled_back"))
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
        gate = _last(tx, subject_id, when, ("gate_closed", "gate_opened"), kind=kind, ending=ending)
        if gate is not None and gate["action"] == "gate_closed":
            why = f": {gate['reason']}" if gate["reason"] else ""
            message = f"{what} was disabled since {format_time(gate['at'])} by {gate['by']}{why}"
            return evolve(answer, refused=f"{kind}_disabled", message=message)
    return answer


def _identify(tx: Transaction, ref: str, when: int) -> str:
    """The id of the endpoint that a reference means at a time: the holder of the name then comes first."""
    once = former_endpoints(tx, ref)
    for endpoint in once:
        existence = _last(tx, endpoint, when, _EXISTENCE)
        if existence is not None and existence["action"] == "endpoint_created" and _name(tx, endpoint, when) == ref:
            return endpoint
    now = find_endpoint(tx, ref, deleted=True)
    if now is not None:
        return str(now["id"])
    if once:
        return once[0]
    raise endpoint_missing(tx, ref)


def _name(tx: Transaction, endpoint: str, when: int) -> str | None:
    row = _last(tx, endpoint, when, ("endpoint_created", "endpoint_renamed"))
    return None if row is None else str(row["subject"])


def _last(
    tx: Transaction, subject_id: str, when: int, actions: tuple[str, str], *, kind: str = "endpoint", ending: str = ""
) -> Row | None:
    """The last of two kinds of changes up to a time, of a subject whose name has that ending."""
    return tx.one(
        """SELECT * FROM history WHERE subject_id = ? AND at <= ? AND kind = ? AND action IN (?, ?)
            AND subject LIKE '%' || ? ORDER BY seq DESC LIMIT 1""",
        subject_id,
        when,
        kind,
        *actions,
        ending,
    )
