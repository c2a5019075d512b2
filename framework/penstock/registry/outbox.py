"""What targets still have to learn about endpoints: marked in the transaction of the change, told after it."""

from __future__ import annotations

import json
from datetime import datetime

from penstock.contract.target import EndpointState, EndpointVersion
from penstock.errors import NotFound
from penstock.registry.database import LONGEST, Transaction
from penstock.registry.lookup import all_versions
from penstock.registry.rows import from_time


def mark(tx: Transaction, endpoint: int) -> None:
    """Note that an endpoint changed: a new revision that every target of its versions should learn."""
    tx.run("UPDATE endpoints SET revision = revision + 1, modified = ? WHERE seq = ?", tx.now, endpoint)
    tx.run("UPDATE syncs SET due = ?, tries = 0, message = '' WHERE endpoint = ?", tx.clock, endpoint)


def add_target(tx: Transaction, endpoint: int, target: str) -> None:
    """Note that an endpoint has a version on a target."""
    tx.run("INSERT OR IGNORE INTO syncs (endpoint, target, due) VALUES (?, ?, ?)", endpoint, target, tx.clock)


def mark_users(tx: Transaction, published: int) -> None:
    """Note that a published pipeline changed, for every live endpoint that has it."""
    rows = tx.all(
        """SELECT e.seq FROM versions v JOIN endpoints e ON e.seq = v.endpoint
            WHERE v.published = ? AND e.deleted IS NULL""",
        published,
    )
    for row in rows:
        mark(tx, row["seq"])


def pending(tx: Transaction, *, now: datetime | None = None, limit: int = 100) -> list[tuple[str, str]]:
    """Endpoint ids and targets that are due to be told, the longest waiting first."""
    rows = tx.all(
        """SELECT e.id, s.target FROM syncs s JOIN endpoints e ON e.seq = s.endpoint
            WHERE s.due IS NOT NULL AND (s.due <= ?1 OR s.due > ?1 + ?2) ORDER BY s.due LIMIT ?3""",
        tx.clock if now is None else from_time(now),
        LONGEST,
        limit,
    )
    return [(row["id"], row["target"]) for row in rows]


def state(tx: Transaction, endpoint_id: str, target: str) -> EndpointState:
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


def done(tx: Transaction, endpoint_id: str, target: str, revision: int) -> None:
    """Note that a target knows a revision; when the endpoint changed since, it stays due."""
    tx.run(
        """UPDATE syncs SET due = NULL, tries = 0, message = '' WHERE target = ?
            AND endpoint = (SELECT seq FROM endpoints WHERE id = ? AND revision = ?)""",
        target,
        endpoint_id,
        revision,
    )


def failed(tx: Transaction, endpoint_id: str, target: str, retry_after: float, message: str) -> None:
    """Note that a target could not be told, why, and that it is due again after so many seconds."""
    tx.run(
        """UPDATE syncs SET due = ?, tries = tries + 1, message = ? WHERE target = ? AND due IS NOT NULL
            AND endpoint = (SELECT seq FROM endpoints WHERE id = ?)""",
        tx.after(retry_after),
        message,
        target,
        endpoint_id,
    )
