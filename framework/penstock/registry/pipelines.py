"""Publishing (laws 1 to 3): one (name, label) is one digest for ever, and a whole publish is one transaction."""

from __future__ import annotations

import uuid
from sqlite3 import Row

from penstock.callers import Caller
from penstock.errors import Conflict
from penstock.records import Placement, PublishedRecord
from penstock.registry import endpoints, snapshots
from penstock.registry.database import Transaction
from penstock.registry.history import record
from penstock.registry.lookup import check_name, find_published, need_published, refuse_unfinished, whole_number
from penstock.registry.messages import PublishOutcome, PublishPlan, PublishRequest
from penstock.registry.rows import PUBLISHED, published_record, published_ref, to_json


def plan(tx: Transaction, request: PublishRequest) -> PublishPlan:
    """What a publish would do; raises what it would raise, so that no backend is called in vain. Changes nothing."""
    label, row = _choose_label(tx, request)
    if request.endpoint is not None:
        endpoints.check_can_add(tx, request.endpoint, row, default=request.default, expect=request.expect)
    return PublishPlan(label=label, existing=None if row is None else published_record(row))


def publish(tx: Transaction, request: PublishRequest, caller: Caller) -> PublishOutcome:
    """Publish, and put behind an endpoint when the request says so.

    Raises Conflict `label_frozen`, `label_reserved`, `target_changed`, `default_changed`; GateClosed for a default that
    would move onto something closed.
    """
    label, row = _choose_label(tx, request)
    created = row is None
    if row is None:
        row = _insert(tx, request, label, caller)
    if request.endpoint is None:
        return PublishOutcome(published=published_record(row), created=created)
    added, endpoint_created = endpoints.ensure_version(
        tx, request.endpoint, row, caller, default=request.default, expect=request.expect
    )
    return PublishOutcome(
        published=published_record(row),
        created=created,
        endpoint=added.endpoint,
        endpoint_created=endpoint_created,
        version=added.version,
        version_added=added.added,
        default_moved=added.default_moved,
    )


def get(tx: Transaction, ref: str) -> PublishedRecord:
    """One published pipeline by id, `name:label` or `name:label@target`. Raises NotFound, Conflict `ambiguous`."""
    return published_record(need_published(tx, ref))


def placement(tx: Transaction, ref: str) -> Placement:
    """Where a published pipeline is, with what it froze of its target's options. Raises as `get`."""
    row = need_published(tx, ref)
    return Placement(target=row["target"], backend=row["backend"], identity=row["identity"], options=row["options"])


def known(tx: Transaction, ref: str) -> bool:
    """Whether a reference names a published pipeline that is there or was deleted."""
    return bool(find_published(tx, ref, deleted=True))


def delete(tx: Transaction, ref: str, caller: Caller) -> PublishedRecord:
    """Delete a published pipeline; its label is never given again, and its target is owed to forget it.

    Returns it as it was. Raises Conflict `in_use`, NotFound.
    """
    row = need_published(tx, ref)
    name = published_ref(row)
    user = tx.one(
        """SELECT e.name, v.version FROM versions v JOIN endpoints e ON e.seq = v.endpoint
            WHERE v.published = ? AND e.deleted IS NULL ORDER BY v.endpoint LIMIT 1""",
        row["seq"],
    )
    if user is not None:
        raise Conflict(
            f"published pipeline `{name}` is version {user['version']} of endpoint `{user['name']}`, so it cannot be "
            "deleted; disable it, or delete the endpoint first",
            code="in_use",
        )
    refuse_unfinished(tx, "published", row, f"published pipeline `{name}`")
    changes = "deleted = ?, modified = ?, revision = revision + 1"
    tx.run(f"UPDATE published SET {changes} WHERE seq = ?", tx.now, tx.now, row["seq"])
    tx.run("UPDATE labels SET reserved = 1 WHERE name = ? AND label = ?", row["name"], row["label"])
    record(tx, caller, "pipeline_deleted", "pipeline", row["id"], name)
    snapshots.retire_if_unused(tx, row["publication"])
    return published_record(row)


def _choose_label(tx: Transaction, request: PublishRequest) -> tuple[str, Row | None]:
    """The label that a publish takes, and the published pipeline that it would give back."""
    check_name("name of a pipeline", request.name)
    label = _next_label(tx, request) if request.label is None else request.label
    check_name("label of a pipeline", label)
    taken = tx.one("SELECT * FROM labels WHERE name = ? AND label = ?", request.name, label)
    if taken is None:
        return label, None
    placement, shown = request.placement, f"{request.name}:{label}"
    row = None
    if taken["digest"] == request.snapshot.digest:
        row = tx.one(
            f"{PUBLISHED} WHERE p.name = ? AND p.label = ? AND p.target = ? AND p.deleted IS NULL",
            request.name,
            label,
            request.placement.target,
        )
    if row is None and taken["reserved"]:
        raise Conflict(
            f"`{shown}` was deleted, and a deleted label is never used again; take another label or none",
            code="label_reserved",
        )
    if taken["digest"] != request.snapshot.digest:
        raise Conflict(
            f"`{shown}` is frozen with the digest {taken['digest']}, this one is {request.snapshot.digest}; "
            "take another label or none",
            code="label_frozen",
        )
    if row is not None and row["identity"] != request.placement.identity:
        raise Conflict(
            f"`{shown}` was published when target `{placement.target}` meant {row['identity']}; now it means "
            f"{placement.identity}. Publish under another target name or another label",
            code="target_changed",
        )
    return label, row


def _next_label(tx: Transaction, request: PublishRequest) -> str:
    """The label that the digest has already, one whose gate is open before one that is closed, else a new number."""
    mine = tx.one(
        """SELECT label FROM published WHERE name = ? AND digest = ? AND target = ? AND deleted IS NULL
            ORDER BY gate_since IS NOT NULL, seq DESC LIMIT 1""",
        request.name,
        request.snapshot.digest,
        request.placement.target,
    ) or tx.one(
        "SELECT label FROM labels WHERE name = ? AND digest = ? AND NOT reserved ORDER BY seq DESC LIMIT 1",
        request.name,
        request.snapshot.digest,
    )
    if mine is not None:
        return str(mine["label"])
    return str((tx.need("SELECT max(number) AS highest FROM labels WHERE name = ?", request.name)["highest"] or 0) + 1)


def _insert(tx: Transaction, request: PublishRequest, label: str, caller: Caller) -> Row:
    if request.publication is None:
        raise ValueError("publishing needs the backend's publication")
    publication = snapshots.put(tx, request.snapshot, request.placement, request.publication)
    tx.run(
        "INSERT OR IGNORE INTO labels (name, label, number, digest) VALUES (?, ?, ?, ?)",
        request.name,
        label,
        whole_number(label),
        request.snapshot.digest,
    )
    number = tx.insert(
        "published",
        id=str(uuid.uuid4()),
        name=request.name,
        label=label,
        target=request.placement.target,
        digest=request.snapshot.digest,
        publication=publication["seq"],
        description=request.description,
        tags=to_json(dict(request.tags)),
        by=caller.actor,
        created=tx.now,
        modified=tx.now,
    )
    row = tx.need(f"{PUBLISHED} WHERE p.seq = ?", number)
    record(tx, caller, "pipeline_published", "pipeline", row["id"], published_ref(row), to=request.snapshot.digest)
    return row
