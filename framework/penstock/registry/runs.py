"""Accepting a trigger (laws 4 to 6 and 8): key replay, existence, gates, and the insert, in that order.

Whoever triggers checks parameters between `resolve` and `accept`; `accept` repeats everything that may have changed
meanwhile, so the whole counts as one decision at its commit.
"""

from __future__ import annotations

from sqlite3 import Row

from attrs import frozen

from penstock.callers import Caller
from penstock.errors import Conflict, NotAuthenticated, TooManyRequests
from penstock.records import RunRecord, Waiting
from penstock.registry import outbox, resolving, snapshots
from penstock.registry.database import Transaction
from penstock.registry.history import record
from penstock.registry.lookup import (
    find_endpoint,
    find_published,
    record_of,
)
from penstock.registry.messages import NewRun, Resolution, ResolutionChanged, TriggerRequest
from penstock.registry.rows import BODY_SCOPE, RUNS, as_read, mapping_json, shown_key, to_json, to_time
from penstock.registry.tokens import refuse_revoked
from penstock.text import count_text


def replay(tx: Transaction, request: TriggerRequest) -> RunRecord | None:
    """The run that a trigger's key has already, or None. Raises Conflict when another request came with it."""
    return _address(tx, request).known


def resolve(tx: Transaction, request: TriggerRequest) -> Resolution | RunRecord:
    """What a trigger resolves to now, or the run that its key has already. Raises NotFound, GateClosed, Conflict."""
    addressed = _address(tx, request)
    return addressed.known or resolving.resolve(tx, request, addressed.row, None)


def is_known(tx: Transaction, request: TriggerRequest) -> bool:
    """Whether the idempotency key of a request has a run already of what it addresses by id."""
    scope = _scope(request, request.ref)
    return tx.one("SELECT 1 FROM runs WHERE scope = ? AND key = ?", scope, request.key) is not None


def accept(
    tx: Transaction, request: TriggerRequest, resolution: Resolution, new: NewRun, caller: Caller
) -> tuple[RunRecord, bool]:
    """Accept a run, or return the one that the key has already (then the second value is true).

    Raises ResolutionChanged when the trigger resolves to something else by now, NotFound, GateClosed, Conflict,
    NotAuthenticated, and TooManyRequests when the endpoint has as many unfinished runs as it may.
    """
    found, addressed = resolution, _as_before(tx, request, resolution, caller)
    if addressed is None:
        refuse_revoked(tx, caller)
        addressed = _address(tx, request)
        if addressed.known is not None:
            return addressed.known, True
        found = resolving.resolve(tx, request, addressed.row, resolution.snapshot)
        if found.rows != resolution.rows:
            raise ResolutionChanged
    endpoint, version, published, publication = found.rows
    _refuse_full(tx, request, found)
    target, bound = found.placement.target, new.parameters
    if request.kind == "file":
        snapshots.keep(tx, publication, target)
    number = tx.insert(
        "runs",
        id=new.id,
        endpoint=endpoint,
        endpoint_name=found.endpoint,
        version=version,
        resolved_from=found.resolved_from,
        published=published,
        publication=publication,
        pipeline=found.pipeline,
        label=found.label,
        experiment=new.experiment,
        description=new.description,
        tags=mapping_json(new.tags),
        parameters=mapping_json(bound.typed),
        by=caller.actor,
        verified=caller.verified,
        door=caller.door,
        scope=addressed.scope,
        key=addressed.key,
        rerun_of=request.rerun_of,
        created=tx.now,
    )
    tx.insert(
        "requests",
        run=number,
        texts=mapping_json({name: text for name, text in bound.texts.items() if name not in bound.sensitive}),
        artifacts=mapping_json(bound.artifacts),
        bundled=mapping_json(bound.bundled),
        sensitive=to_json(bound.sensitive),
        fingerprint=new.fingerprint,
    )
    outbox.owe(tx, "submit", number, target)
    to = found.pipeline if found.label is None else f"{found.pipeline}:{found.label}@{target}"
    if found.endpoint is not None:
        to = f"{found.endpoint}@{found.version}"
    record(tx, caller, "run_accepted", "run", new.id, found.pipeline, from_=found.resolved_from, to=to)
    if new.keep is not None:
        new.keep()
    return _accepted(tx, request, found, new, caller, addressed), False


def _accepted(
    tx: Transaction, request: TriggerRequest, found: Resolution, new: NewRun, caller: Caller, addressed: _Addressed
) -> RunRecord:
    """The record of a run that was accepted just now, as it will be read."""
    return RunRecord(
        id=new.id,
        endpoint=found.endpoint,
        endpoint_id=found.endpoint_id,
        version=found.version,
        resolved_from=found.resolved_from,  # type: ignore[arg-type]  # text in a resolution; it writes these words only
        published=found.published,
        pipeline=found.pipeline,
        label=found.label,
        digest=found.snapshot.digest,
        target=found.placement.target,
        experiment=new.experiment,
        description=new.description,
        tags=as_read(new.tags),
        state="queued",
        parameters=as_read(new.parameters.typed),
        by=caller.actor,
        verified=caller.verified,
        door=caller.door,
        idempotency_key=shown_key(addressed.scope, addressed.key),
        rerun_of=request.rerun_of,
        cancel_requested=False,
        cancel_reason=None,
        created=to_time(tx.now),
        started=None,
        ended=None,
        steps=(),
        outputs={},
        error=None,
        external=None,
        details={},
        waiting=Waiting(tries=0, due=to_time(tx.clock), message=""),
    )


def _refuse_full(tx: Transaction, request: TriggerRequest, found: Resolution) -> None:
    """Raise TooManyRequests `unfinished_limit` when an endpoint has as many unfinished runs as it may."""
    most, endpoint = request.most_unfinished, found.rows[0]
    if most is None or endpoint is None:
        return
    unfinished = tx.need(
        """SELECT count(*) AS total FROM (SELECT 1 FROM runs INDEXED BY runs_unfinished_endpoint
            WHERE endpoint = ? AND ended IS NULL LIMIT ?)""",
        endpoint,
        most,
    )["total"]
    if unfinished >= most:
        raise TooManyRequests(
            f"endpoint `{found.endpoint}` has {count_text(most, 'unfinished run')}, as many as it may have; "
            "try again when one ended",
            code="unfinished_limit",
        )


@frozen
class _Addressed:
    """What a request addresses, dead or alive; scope and key of its run there, and the run that has them already."""

    row: Row | None
    scope: str | None = None
    key: str | None = None
    known: RunRecord | None = None


def _as_before(tx: Transaction, request: TriggerRequest, before: Resolution, caller: Caller) -> _Addressed | None:
    """What a request addresses when nothing stands in its way and it resolves to what it did before, which of most is
    said by one statement. None: it is not certain, and each is asked by itself, in its order and with its words.
    """
    if request.kind != "endpoint" or before.endpoint_id != request.ref:
        return None
    scope = None if request.key is None else _scope(request, request.ref)
    token = None if caller.rights is None else caller.rights.token
    if not resolving.still_holds(tx, request, before, token, scope):
        return None
    return _Addressed(None, scope, request.key)


def _address(tx: Transaction, request: TriggerRequest) -> _Addressed:
    """What a request addresses and what is known of it there.

    Replays outlive what they came through, but for callers of whom nothing is known. Raises Conflict
    `idempotency_conflict` for another request, NotAuthenticated for what is not public, ResolutionChanged when a name
    leads elsewhere by now.
    """
    row, scope = None, None
    if request.kind == "file":
        scope = f"file:{request.ref}"
    elif request.kind == "endpoint":
        row = find_endpoint(tx, request.name or request.ref, deleted=True)
        if request.name is not None and (row is None or row["id"] != request.ref):
            raise ResolutionChanged
    else:
        rows = find_published(tx, request.ref, deleted=True)
        alive = [row for row in rows if row["deleted"] is None] or rows
        # Of several alive none is addressed, and resolving says so.
        row = alive[0] if alive and (len(alive) == 1 or alive[0]["deleted"] is not None) else None
    if request.public and (
        request.kind != "endpoint" or row is None or row["deleted"] is not None or row["access"] != "public"
    ):
        raise NotAuthenticated()
    if row is not None:
        scope = _scope(request, row["id"])
    if scope is None:
        return _Addressed(row)
    if request.key is None:
        return _of_body(tx, request, row, scope)
    # Mostly there is none, and all that RUNS joins is not opened for that.
    found = tx.one("SELECT r.seq FROM runs r WHERE r.scope = ? AND r.key = ? AND r.key IS NOT NULL", scope, request.key)
    if found is None:
        return _Addressed(row, scope, request.key)
    known = record_of(tx, tx.need(f"{RUNS} WHERE r.seq = ?", found["seq"]))
    kept = tx.one("SELECT q.fingerprint FROM requests q JOIN runs r ON r.seq = q.run WHERE r.id = ?", known.id)
    asked = "" if kept is None else kept["fingerprint"]
    if request.is_same_request is not None and not request.is_same_request(known, asked):
        raise Conflict(
            f"the idempotency key `{request.key}` belongs to run {known.id}, which came from another request; "
            "take a new key for a new request",
            code="idempotency_conflict",
        )
    return _Addressed(row, scope, request.key, known)


def _scope(request: TriggerRequest, addressed: str) -> str:
    """Among which runs the key of a request is the only one: those of what it addresses, by id."""
    # Who is not known must not be able to take a key from who is, nor to learn what was done under it.
    return f"{request.kind}:{addressed}{':anonymous' if request.public else ''}"


def _of_body(tx: Transaction, request: TriggerRequest, row: Row | None, scope: str) -> _Addressed:
    """The same for a request without a key: in an endpoint's deduplication window its body is one.

    A window begins with the run that was accepted first. That one's time is a part of its key, so the next window has
    a key of its own, and the unique index holds both.
    """
    if request.body is None or request.kind != "endpoint" or row is None or row["deleted"] is not None:
        return _Addressed(row)
    window = row["deduplication_window"]
    if window is None:
        return _Addressed(row)
    body = request.body()
    scope = f"{BODY_SCOPE}{scope}"
    # Either way round: a time that lies ahead was noted before the clock was set back. One that lies ahead by far is
    # that of no window which is open now.
    span = window * 1_000_000 - 1
    run = tx.one(
        f"""{RUNS} WHERE r.scope = ? AND r.key >= ? AND r.key <= ? AND r.key IS NOT NULL
            ORDER BY r.key DESC LIMIT 1""",
        scope,
        f"{body}:{max(0, tx.clock - span):020}",
        f"{body}:{tx.clock + span:020}",
    )
    known = None if run is None else record_of(tx, run)
    return _Addressed(row, scope, f"{body}:{tx.now:020}", known)
