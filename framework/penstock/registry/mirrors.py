"""What targets know of endpoints: the state that they are told, their own URLs, and what they do not know yet."""

from __future__ import annotations

import json

from penstock.contract.target import EndpointState, EndpointVersion, NativeTrigger
from penstock.errors import NotFound
from penstock.records import Unsynced
from penstock.registry import outbox
from penstock.registry.database import Transaction
from penstock.registry.lookup import all_versions


def endpoint_state(tx: Transaction, endpoint_id: str, target: str) -> EndpointState:
    """All that a target should know of an endpoint, deleted or not. Raises NotFound."""
    row = tx.one("SELECT * FROM endpoints WHERE id = ?", endpoint_id)
    if row is None:
        raise NotFound(f"no endpoint `{endpoint_id}`", code="endpoint_not_found")
    here = [version for version in all_versions(tx, row["seq"]) if version["target"] == target]
    default = row["default_version"]
    return EndpointState(
        id=row["id"],
        name=row["name"],
        description=row["description"],
        enabled=row["gate_since"] is None,
        default=str(default) if any(version["version"] == default for version in here) else None,
        versions=tuple(
            EndpointVersion(
                version=str(version["version"]),
                external=version["external"],
                digest=version["digest"],
                label=version["label"],
                enabled=version["gate_since"] is None,
                published_enabled=version["p_since"] is None,
            )
            for version in here
        ),
        revision=row["revision"],
        deleted=row["deleted"] is not None,
        tags=json.loads(row["tags"]),
    )


def synced(tx: Transaction, endpoint_id: str, target: str, revision: int, native: NativeTrigger | None = None) -> None:
    """Note that a target knows a revision, and its own URL for it; when the endpoint changed since, it stays owed.

    It is owed again where somebody told it the newer state meanwhile: who came last may have written the older one.
    """
    row = tx.need("SELECT seq, revision FROM endpoints WHERE id = ?", endpoint_id)
    owed = tx.one("SELECT 1 FROM outbox WHERE kind = 'sync' AND subject = ? AND target = ?", row["seq"], target)
    if row["revision"] != revision:
        if owed is None:
            outbox.owe(tx, "sync", row["seq"], target)
        return
    tx.run(
        "UPDATE endpoint_targets SET native_url = ?, native_gated = ? WHERE endpoint = ? AND target = ?",
        native and native.url,
        bool(native and native.gated),
        row["seq"],
        target,
    )
    outbox.forget(tx, "sync", row["seq"], target)


def unsynced(tx: Transaction, subject: str) -> tuple[Unsynced, ...]:
    """The targets that do not know the present state of an endpoint, or of those of a published pipeline, by its id."""
    rows = tx.all(
        """SELECT e.name AS endpoint, o.target, coalesce(nullif(o.message, ''), b.message, '') AS message
            FROM outbox o JOIN endpoints e ON e.seq = o.subject LEFT JOIN breakers b ON b.target = o.target
            WHERE o.kind = 'sync' AND e.deleted IS NULL AND (e.id = ?1 OR EXISTS (SELECT 1 FROM versions v
                JOIN published p ON p.seq = v.published WHERE v.endpoint = e.seq AND p.id = ?1))
            ORDER BY e.name, o.target""",
        subject,
    )
    return tuple(Unsynced(**row) for row in rows)
