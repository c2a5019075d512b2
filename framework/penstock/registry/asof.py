"""What a trigger would have run at some time, read from the history alone (law 10)."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row

from penstock.records import DefaultAt
from penstock.registry.database import Transaction
from penstock.registry.history import former_endpoints
from penstock.registry.lookup import endpoint_missing, find_endpoint
from penstock.registry.rows import format_time, from_time, published_ref, to_time


def endpoint_at(tx: Transaction, ref: str, at: datetime) -> DefaultAt:
    """What a trigger without a version would have run at a time, or the code it would have been refused with.

    `ref` is an id, the name that the endpoint had then, or one that it has or had at another time; a change at
    exactly that time counts. Raises NotFound for a name that no endpoint ever had.
    """
    when = from_time(at)
    endpoint = _identify(tx, ref, when)
    existence = _last(tx, endpoint, when, "endpoint_created", "endpoint_deleted")
    if existence is None or existence["action"] == "endpoint_deleted":
        what = "did not exist yet" if existence is None else f"had been deleted at {format_time(existence['at'])}"
        return _answer(ref, when, refused="endpoint_not_found", message=f"endpoint `{ref}` {what}")
    name = _name(tx, endpoint, when) or ref
    moved = _last(tx, endpoint, when, "default_moved", "default_rolled_back")
    assert moved is not None
    default = moved["to"]
    row = tx.one(
        """SELECT p.* FROM endpoints e JOIN versions v ON v.endpoint = e.seq JOIN published p ON p.seq = v.published
            WHERE e.id = ? AND v.version = ?""",
        endpoint,
        int(default),
    )
    assert row is not None
    gates = (
        ("endpoint_disabled", f"endpoint `{name}`", _gate(tx, endpoint, when, "endpoint")),
        ("version_disabled", f"version {default} of endpoint `{name}`", _gate(tx, endpoint, when, "version", default)),
        ("pipeline_disabled", f"published pipeline `{published_ref(row)}`", _gate(tx, row["id"], when, "pipeline")),
    )
    for code, what, gate in gates:
        if gate is not None:
            why = f": {gate['reason']}" if gate["reason"] else ""
            message = f"{what} was disabled since {format_time(gate['at'])} by {gate['by']}{why}"
            return _answer(name, when, default=default, row=row, refused=code, message=message)
    message = f"a trigger of `{name}` would have run {name}@{default}, {published_ref(row)}"
    return _answer(name, when, default=default, row=row, message=message)


def _answer(
    endpoint: str,
    when: int,
    *,
    default: str | None = None,
    row: Row | None = None,
    refused: str | None = None,
    message: str,
) -> DefaultAt:
    return DefaultAt(
        at=to_time(when),
        endpoint=endpoint,
        default=default,
        published=None if row is None else row["id"],
        pipeline=None if row is None else row["name"],
        label=None if row is None else row["label"],
        digest=None if row is None else row["digest"],
        target=None if row is None else row["target"],
        refused=refused,
        message=message,
    )


def _identify(tx: Transaction, ref: str, when: int) -> str:
    """The id of the endpoint that a reference means at a time: the holder of the name then comes first."""
    once = former_endpoints(tx, ref)
    for endpoint in once:
        existence = _last(tx, endpoint, when, "endpoint_created", "endpoint_deleted")
        if existence is not None and existence["action"] == "endpoint_created" and _name(tx, endpoint, when) == ref:
            return endpoint
    now = find_endpoint(tx, ref, deleted=True)
    if now is not None:
        return str(now["id"])
    if once:
        return once[0]
    raise endpoint_missing(tx, ref)


def _name(tx: Transaction, endpoint: str, when: int) -> str | None:
    row = _last(tx, endpoint, when, "endpoint_created", "endpoint_renamed")
    return None if row is None else str(row["subject"])


def _gate(tx: Transaction, subject_id: str, when: int, kind: str, version: str | None = None) -> Row | None:
    """The closing that was in force at a time, or None when the gate was open."""
    # The name before the version may have changed; the number behind the last @ stays.
    tail = "" if version is None else " AND substr(subject, -?) = ?"
    values = () if version is None else (len(version) + 1, f"@{version}")
    row = tx.one(
        f"""SELECT * FROM history WHERE subject_id = ? AND at <= ? AND kind = ?
            AND action IN ('gate_closed', 'gate_opened'){tail} ORDER BY seq DESC LIMIT 1""",
        subject_id,
        when,
        kind,
        *values,
    )
    return row if row is not None and row["action"] == "gate_closed" else None


def _last(tx: Transaction, subject_id: str, when: int, *actions: str) -> Row | None:
    """The last of some changes up to a time."""
    return tx.one(
        f"""SELECT * FROM history WHERE subject_id = ? AND at <= ? AND action IN ({", ".join("?" * len(actions))})
            ORDER BY seq DESC LIMIT 1""",
        subject_id,
        when,
        *actions,
    )
