"""Accepting a trigger (laws 4 to 6 and 8): key replay, existence, gates, and the insert, in that order.

Whoever triggers checks parameters between `resolve` and `accept`; `accept` repeats everything that may have changed
meanwhile, so the whole counts as one decision at its commit.
"""

from __future__ import annotations

from sqlite3 import Row

from attrs import frozen

from penstock.errors import Conflict, NotFound
from penstock.records import Caller, RunRecord
from penstock.registry import outbox, snapshots
from penstock.registry.database import Transaction
from penstock.registry.gates import refuse_endpoint, refuse_pipeline, refuse_version
from penstock.registry.history import record
from penstock.registry.lookup import (
    endpoint_missing,
    find_endpoint,
    find_published,
    get_run,
    need_published,
    need_version,
    record_of,
)
from penstock.registry.messages import NewRun, Resolution, ResolutionChanged, TriggerRequest
from penstock.registry.rows import RUNS, placement_of, publication_of, published_ref, tags_json, to_json


@frozen(kw_only=True)
class _Resolved:
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

    @property
    def name(self) -> str:
        """What it is, as the history says it."""
        if self.endpoint is not None and self.version is not None:
            return f"{self.endpoint['name']}@{self.version['version']}"
        return self.pipeline if self.published is None else published_ref(self.published)


def replayed(tx: Transaction, request: TriggerRequest) -> RunRecord | None:
    """The run that a trigger's key has already, or None."""
    _, scope = _address(tx, request)
    return _replayed(tx, scope, request.key)


def resolve(tx: Transaction, request: TriggerRequest) -> Resolution | RunRecord:
    """What a trigger resolves to now, or the run that its key has already.

    Raises NotFound, GateClosed, Conflict `ambiguous`.
    """
    addressed, scope = _address(tx, request)
    replayed = _replayed(tx, scope, request.key)
    if replayed is not None:
        return replayed
    found = _resolve(tx, request, addressed)
    return Resolution(
        endpoint_id=None if found.endpoint is None else found.endpoint["id"],
        endpoint=None if found.endpoint is None else found.endpoint["name"],
        version=None if found.version is None else str(found.version["version"]),
        resolved_from=found.resolved_from,
        published=None if found.published is None else found.published["id"],
        pipeline=found.pipeline,
        label=None if found.published is None else found.published["label"],
        snapshot=snapshots.get(tx, found.publication["digest"]),
        placement=placement_of(found.publication),
        publication=publication_of(found.publication),
        rows=found.rows,
    )


def accept(
    tx: Transaction, request: TriggerRequest, resolution: Resolution, new: NewRun, caller: Caller
) -> tuple[RunRecord, bool]:
    """Accept a run, or return the one that the key has already (then the second value is true).

    Raises ResolutionChanged when the trigger resolves to something else by now, NotFound, GateClosed.
    """
    addressed, scope = _address(tx, request)
    replayed = _replayed(tx, scope, request.key)
    if replayed is not None:
        return replayed, True
    found = _resolve(tx, request, addressed)
    if found.rows != resolution.rows:
        raise ResolutionChanged
    if request.kind == "file":
        snapshots.keep(tx, found.publication)
    number = tx.insert(
        """INSERT INTO runs (id, endpoint, endpoint_name, version, resolved_from, published, publication, pipeline,
            label, experiment, description, tags, parameters, by, verified, door, scope, key, rerun_of, created)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        new.id,
        found.rows[0],
        None if found.endpoint is None else found.endpoint["name"],
        found.rows[1],
        found.resolved_from,
        found.rows[2],
        found.rows[3],
        found.pipeline,
        None if found.published is None else found.published["label"],
        new.experiment,
        new.description,
        tags_json(new.tags),
        to_json(dict(new.parameters.typed)),
        caller.actor,
        caller.verified,
        caller.door,
        None if request.key is None else scope,
        request.key,
        request.rerun_of,
        tx.now,
    )
    tx.run(
        "INSERT INTO requests (run, texts, artifacts, bundled, fingerprint) VALUES (?, ?, ?, ?, ?)",
        number,
        to_json(dict(new.parameters.texts)),
        to_json(dict(new.parameters.artifacts)),
        to_json(dict(new.parameters.bundled)),
        new.fingerprint,
    )
    outbox.owe(tx, "submit", number, found.publication["target"])
    record(tx, caller, "run_accepted", "run", new.id, found.pipeline, from_=found.resolved_from, to=found.name)
    return get_run(tx, new.id), False


def fingerprint(tx: Transaction, run_id: str) -> str:
    """The request that a run came from, as `NewRun.fingerprint` was kept."""
    row = tx.one("SELECT q.fingerprint FROM requests q JOIN runs r ON r.seq = q.run WHERE r.id = ?", run_id)
    return "" if row is None else str(row["fingerprint"])


def check_same_request(request: TriggerRequest, run: RunRecord, kept: str) -> RunRecord:
    """The run of a replay, when the request is the one it came from. Raises Conflict `idempotency_conflict`.

    Outside any transaction: a run's request never changes, and the caller may have to read to compare.
    """
    if request.is_same_request is not None and not request.is_same_request(run, kept):
        raise Conflict(
            f"the idempotency key `{request.key}` belongs to run {run.id}, which came from another request; "
            "take a new key for a new request",
            code="idempotency_conflict",
        )
    return run


def _address(tx: Transaction, request: TriggerRequest) -> tuple[Row | None, str | None]:
    """What a request addresses, dead or alive, and the scope of its key: replays outlive what they came through."""
    if request.kind == "file":
        return None, f"file:{request.ref}"
    if request.kind == "endpoint":
        endpoint = find_endpoint(tx, request.ref, deleted=True)
        return endpoint, None if endpoint is None else f"endpoint:{endpoint['id']}"
    rows = find_published(tx, request.ref, deleted=True)
    alive = [row for row in rows if row["deleted"] is None] or rows
    # Of several alive none is addressed, and resolving says so.
    row = alive[0] if alive and (len(alive) == 1 or alive[0]["deleted"] is not None) else None
    return row, None if row is None else f"published:{row['id']}"


def _replayed(tx: Transaction, scope: str | None, key: str | None) -> RunRecord | None:
    if scope is None or key is None:
        return None
    row = tx.one(f"{RUNS} WHERE r.scope = ? AND r.key = ? AND r.key IS NOT NULL", scope, key)
    return None if row is None else record_of(tx, row)


def _resolve(tx: Transaction, request: TriggerRequest, addressed: Row | None) -> _Resolved:
    if request.kind == "file":
        return _resolve_trial(tx, request)
    if request.kind == "published":
        row = need_published(tx, request.ref)
        refuse_pipeline(published_ref(row), row)
        return _Resolved(
            publication=_publication(tx, row), resolved_from="published", pipeline=row["name"], published=row
        )
    if addressed is None or addressed["deleted"] is not None:
        raise endpoint_missing(tx, request.ref)
    wanted = str(addressed["default_version"]) if request.version is None else request.version
    version = need_version(tx, addressed, wanted)
    refuse_endpoint(addressed)
    refuse_version(addressed["name"], version)
    published = tx.one("SELECT * FROM published WHERE seq = ?", version["published"])
    assert published is not None
    refuse_pipeline(published_ref(published), published)
    return _Resolved(
        publication=_publication(tx, published),
        resolved_from="default" if request.version is None else "pinned",
        pipeline=published["name"],
        endpoint=addressed,
        version=version,
        published=published,
    )


def _resolve_trial(tx: Transaction, request: TriggerRequest) -> _Resolved:
    place = request.placement
    row = None if place is None or request.digest is None else snapshots.find_for_trial(tx, request.digest, place)
    if row is None:
        raise NotFound(
            f"the snapshot {request.digest} of `{request.ref}` is not on its target any more; submit the file again",
            code="snapshot_not_found",
        )
    return _Resolved(publication=row, resolved_from="file", pipeline=request.ref)


def _publication(tx: Transaction, row: Row) -> Row:
    """The publication of a row of `runs` or `published`."""
    found = tx.one("SELECT * FROM publications WHERE seq = ?", row["publication"])
    assert found is not None
    return found
