"""Accepting a trigger (laws 4 to 6 and 8): key replay, existence, gates, and the insert, in that order.

The caller checks parameters between `resolve` and `accept`; `accept` repeats everything that may have changed
meanwhile, so the whole counts as one decision at its commit.
"""

from __future__ import annotations

from sqlite3 import Row

from attrs import frozen

from penstock.errors import Conflict, NotFound
from penstock.records import Caller, RunRecord
from penstock.registry import publications
from penstock.registry.database import Transaction
from penstock.registry.gates import refuse_endpoint, refuse_pipeline, refuse_version
from penstock.registry.history import record
from penstock.registry.lookup import (
    endpoint_missing,
    find_endpoint,
    find_published,
    need_published,
    need_run,
    need_version,
)
from penstock.registry.messages import NewRun, Resolution, ResolutionChanged, TriggerRequest
from penstock.registry.rows import RUNS, publication_of, published_ref, run_record, tags_json, to_json


@frozen(kw_only=True)
class _Target:
    """The rows that a trigger resolves to."""

    publication: Row
    resolved_from: str
    pipeline: str
    endpoint: Row | None = None
    version: Row | None = None
    published: Row | None = None

    @property
    def rows(self) -> tuple[int | None, ...]:
        return (
            None if self.endpoint is None else self.endpoint["seq"],
            None if self.version is None else self.version["version"],
            None if self.published is None else self.published["seq"],
            self.publication["seq"],
        )


def replayed(tx: Transaction, order: TriggerRequest) -> RunRecord | None:
    """The run that a trigger's key has already, or None."""
    _, scope = _address(tx, order)
    return _replayed(tx, scope, order.key)


def resolve(tx: Transaction, order: TriggerRequest) -> Resolution | RunRecord:
    """What a trigger resolves to now, or the run that its key has already.

    Raises NotFound, GateClosed, Conflict `ambiguous`.
    """
    addressed, scope = _address(tx, order)
    replayed = _replayed(tx, scope, order.key)
    if replayed is not None:
        return replayed
    found = _locate(tx, order, addressed)
    spec, archives = publications.snapshot_data(tx, found.publication["digest"])
    return Resolution(
        endpoint_id=None if found.endpoint is None else found.endpoint["id"],
        endpoint=None if found.endpoint is None else found.endpoint["name"],
        version=None if found.version is None else str(found.version["version"]),
        resolved_from=found.resolved_from,
        published=None if found.published is None else found.published["id"],
        pipeline=found.pipeline,
        label=None if found.published is None else found.published["label"],
        digest=found.publication["digest"],
        target=found.publication["target"],
        backend=found.publication["backend"],
        identity=found.publication["identity"],
        options=found.publication["options"],
        publication=publication_of(found.publication),
        spec=spec,
        archives=archives,
        rows=found.rows,
    )


def accept(
    tx: Transaction, order: TriggerRequest, resolution: Resolution, accepted: NewRun, caller: Caller
) -> tuple[RunRecord, bool]:
    """Accept a run, or answer the one that the key has already (then the second value is true).

    Raises ResolutionChanged when the trigger resolves to something else by now, NotFound, GateClosed.
    """
    addressed, scope = _address(tx, order)
    replayed = _replayed(tx, scope, order.key)
    if replayed is not None:
        return replayed, True
    found = _locate(tx, order, addressed)
    if found.rows != resolution.rows:
        raise ResolutionChanged
    number = tx.insert(
        """INSERT INTO runs (id, endpoint, endpoint_name, version, resolved_from, published, publication, pipeline,
            label, experiment, description, tags, parameters, by, verified, door, scope, key, rerun_of, created)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        accepted.id,
        found.rows[0],
        None if found.endpoint is None else found.endpoint["name"],
        found.rows[1],
        found.resolved_from,
        found.rows[2],
        found.rows[3],
        found.pipeline,
        None if found.published is None else found.published["label"],
        accepted.experiment,
        accepted.description,
        tags_json(accepted.tags),
        to_json(dict(accepted.parameters)),
        caller.actor,
        caller.verified,
        caller.door,
        None if order.key is None else scope,
        order.key,
        order.rerun_of,
        tx.now,
    )
    tx.run(
        'INSERT INTO requests (run, "values", artifacts, bundled, asked) VALUES (?, ?, ?, ?, ?)',
        number,
        to_json(dict(accepted.values)),
        to_json(dict(accepted.artifacts)),
        to_json(dict(accepted.bundled)),
        accepted.asked,
    )
    tx.run("INSERT INTO handovers (run, due) VALUES (?, ?)", number, tx.clock)
    record(tx, caller, "run_accepted", "run", accepted.id, found.pipeline, from_=found.resolved_from, to=_said(found))
    return run_record(need_run(tx, accepted.id)), False


def asked(tx: Transaction, run_id: str) -> str:
    """What a run's caller had asked for, as it was kept."""
    row = tx.one("SELECT q.asked FROM requests q JOIN runs r ON r.seq = q.run WHERE r.id = ?", run_id)
    return "" if row is None else str(row["asked"])


def same_request(order: TriggerRequest, run: RunRecord, kept: str) -> RunRecord:
    """The run of a replay, when the order asks what it was `kept` to have been asked. Raises `idempotency_conflict`.

    Outside any transaction: a run's request never changes, and the caller may have to read to compare.
    """
    if order.same is not None and not order.same(run, kept):
        raise Conflict(
            f"the idempotency key `{order.key}` belongs to run {run.id}, which came from another request; "
            "take a new key for a new request",
            code="idempotency_conflict",
        )
    return run


def _address(tx: Transaction, order: TriggerRequest) -> tuple[Row | None, str | None]:
    """What an order addresses, dead or alive, and the scope of its key: replays outlive what they came through."""
    if order.kind == "file":
        return None, f"file:{order.ref}"
    if order.kind == "endpoint":
        endpoint = find_endpoint(tx, order.ref, deleted=True)
        return endpoint, None if endpoint is None else f"endpoint:{endpoint['id']}"
    rows = find_published(tx, order.ref, deleted=True)
    alive = [row for row in rows if row["deleted"] is None] or rows
    # Of several alive none is addressed, and locating says so.
    row = alive[0] if alive and (len(alive) == 1 or alive[0]["deleted"] is not None) else None
    return row, None if row is None else f"published:{row['id']}"


def _replayed(tx: Transaction, scope: str | None, key: str | None) -> RunRecord | None:
    if scope is None or key is None:
        return None
    row = tx.one(f"{RUNS} WHERE r.scope = ? AND r.key = ? AND r.key IS NOT NULL", scope, key)
    return None if row is None else run_record(row)


def _locate(tx: Transaction, order: TriggerRequest, addressed: Row | None) -> _Target:
    if order.kind == "file":
        return _locate_trial(tx, order)
    if order.kind == "published":
        row = need_published(tx, order.ref)
        refuse_pipeline(published_ref(row), row)
        return _Target(
            publication=_publication(tx, row), resolved_from="published", pipeline=row["name"], published=row
        )
    if addressed is None or addressed["deleted"] is not None:
        raise endpoint_missing(tx, order.ref)
    version = need_version(tx, addressed, str(addressed["default_version"]) if order.version is None else order.version)
    refuse_endpoint(addressed)
    refuse_version(addressed["name"], version)
    published = tx.one("SELECT * FROM published WHERE seq = ?", version["published"])
    assert published is not None
    refuse_pipeline(published_ref(published), published)
    return _Target(
        publication=_publication(tx, published),
        resolved_from="default" if order.version is None else "pinned",
        pipeline=published["name"],
        endpoint=addressed,
        version=version,
        published=published,
    )


def _locate_trial(tx: Transaction, order: TriggerRequest) -> _Target:
    row = publications.find(tx, order.target or "", order.digest or "", order.identity or "")
    if row is None:
        raise NotFound(
            f"the snapshot {order.digest} of `{order.ref}` is not published on target `{order.target}` any more; "
            "submit the file again",
            code="snapshot_not_found",
        )
    return _Target(publication=row, resolved_from="file", pipeline=order.ref)


def _publication(tx: Transaction, published: Row) -> Row:
    row = tx.one("SELECT * FROM publications WHERE seq = ?", published["publication"])
    assert row is not None
    return row


def _said(found: _Target) -> str:
    if found.endpoint is not None and found.version is not None:
        return f"{found.endpoint['name']}@{found.version['version']}"
    return found.pipeline if found.published is None else published_ref(found.published)
