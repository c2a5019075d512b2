"""From a trigger to an accepted run: resolve, settle the parameters, accept, hand over."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from penstock import codec, snapshot
from penstock.dispatch import run_event
from penstock.records import Caller, RunRecord
from penstock.registry import NewRun, Resolution, ResolutionChanged, TriggerRequest
from penstock.snapshot import Snapshot
from penstock.targets.opened import Place
from penstock.workspace import freezing
from penstock.workspace.context import Context
from penstock.workspace.parameters import Request, Settled, asked, settle
from penstock.workspace.publishing import load_snapshot
from penstock.workspace.references import Located


@frozen(kw_only=True)
class Submitted:
    """An accepted run. `replayed`: the idempotency key had this run already. `warnings` say if it still waits."""

    run: RunRecord
    replayed: bool
    warnings: tuple[str, ...]


def order_of(context: Context, found: Located, request: Request) -> TriggerRequest:
    """The order that triggers an endpoint, a version of it or a published pipeline."""
    return TriggerRequest(
        kind=found.kind,
        ref=found.id,
        version=found.version,
        key=request.key,
        same=_same(context, lambda spec: asked(spec, request, version=found.version)),
        rerun_of=request.rerun_of,
    )


def accept_file(context: Context, caller: Caller, path: Path, target: str | None, request: Request) -> Submitted:
    """Run a spec file as a trial: its snapshot is kept and put on the target, but not published."""
    place = context.places.open(target)
    source = freezing.read(path)
    name = source.pipeline.name
    if request.key is not None and context.exists:
        with tempfile.TemporaryDirectory() as folder:
            digest = freezing.take(source, Path(folder)).digest
        known = context.registry().replay(_trial(context, name, digest, request, target))
        if known is not None:
            return Submitted(run=known, replayed=True, warnings=())
    freezing.check(place, source)
    context.registry(create=True)
    taken = freezing.take(source, context.store)
    return _accept_trial(context, caller, place, taken, _trial(context, name, taken.digest, request, target), request)


def accept_again(context: Context, caller: Caller, run: RunRecord, request: Request) -> Submitted:
    """Run once more what a run resolved to; a trial's snapshot is put on its target again if it is gone."""
    if run.endpoint_id is not None:
        found = Located(kind="endpoint", id=run.endpoint_id, version=run.version)
        return accept(context, caller, order_of(context, found, request), request)
    if run.published is not None:
        return accept(context, caller, order_of(context, Located(kind="published", id=run.published), request), request)
    order = _trial(context, run.pipeline, run.digest, request, run.target)
    known = context.registry().replay(order)
    if known is not None:
        return Submitted(run=known, replayed=True, warnings=())
    taken = load_snapshot(context, run.digest)
    return _accept_trial(context, caller, context.places.open(run.target), taken, order, request)


def _trial(context: Context, pipeline: str, digest: str, request: Request, target: str | None) -> TriggerRequest:
    """The order that triggers a trial. A `target` that the caller named is part of what was asked for."""
    same = _same(context, lambda spec: asked(spec, request, digest=digest))
    return TriggerRequest(
        kind="file",
        ref=pipeline,
        digest=digest,
        key=request.key,
        same=lambda run, kept: target in (None, run.target) and same(run, kept),
        rerun_of=request.rerun_of,
    )


def _accept_trial(
    context: Context, caller: Caller, place: Place, taken: Snapshot, order: TriggerRequest, request: Request
) -> Submitted:
    archives = json.dumps(snapshot.archive_data(taken))
    # Nothing is put on the target for a trigger that is refused (law 6).
    settled = _settle(place, taken.canonical, archives, request)
    with context.publications(alone=False):
        context.registry().record_publication(
            target=place.target.name,
            backend=place.target.backend,
            digest=taken.digest,
            identity=place.identity,
            options=place.options,
            publication=freezing.deliver(place, taken),
            spec=taken.canonical,
            archives=archives,
        )
        here = evolve(order, target=place.target.name, identity=place.identity)
        return accept(context, caller, here, request, settled)


def given_by(context: Context, run: RunRecord) -> dict[str, Any]:
    """The parameters that make the same run again: all but those whose content came with the snapshot."""
    spec, archives = context.registry().snapshot_data(run.digest)
    declared = codec.from_canonical(spec).parameters
    archived = {archive["path"] for archive in json.loads(archives)}
    return {
        name: value for name, value in run.parameters.items() if not (declared[name].is_artifact and value in archived)
    }


def accept(
    context: Context, caller: Caller, order: TriggerRequest, request: Request, settled: Settled | None = None
) -> Submitted:
    """Accept a run and hand it over; of a refused trigger no run is left.

    The parameters are settled outside the accepting transaction, against what the trigger resolved to, unless they
    are `settled` already; when that moved in between, it starts again.
    """
    registry = context.registry()
    while True:
        resolution = registry.resolve(order)
        if isinstance(resolution, RunRecord):
            return Submitted(run=resolution, replayed=True, warnings=())
        place = context.places.open_frozen(resolution.target, resolution.identity)
        if settled is None:
            settled = _settle(place, resolution.spec, resolution.archives, request)
        try:
            accepted = _accepted(order, resolution, settled, request)
            run, replayed = registry.accept(order, resolution, accepted, caller)
        except ResolutionChanged:
            settled = None
            continue
        if replayed:
            return Submitted(run=run, replayed=True, warnings=())
        context.tell("penstock_run_changed", run_event(run))
        run, why = context.dispatcher.deliver(run.id)
        waits = f"the run is accepted and waits to be handed to target `{run.target}`: {why}"
        return Submitted(run=run, replayed=False, warnings=(waits,) if why else ())


def _settle(place: Place, spec: str, archives: str, request: Request) -> Settled:
    return settle(
        codec.from_canonical(spec),
        request.parameters,
        archived={archive["path"] for archive in json.loads(archives)},
        base=request.base,
        resolve=lambda location: place.operations.resolve_location(place.target, location),
    )


def _same(context: Context, read: Callable[[str], str]) -> Callable[[RunRecord, str], bool]:
    """Whether a run that has our idempotency key came from the same request, read against the run's own spec."""
    return lambda run, kept: read(context.registry().snapshot_data(run.digest)[0]) == kept


def _accepted(order: TriggerRequest, resolution: Resolution, settled: Settled, request: Request) -> NewRun:
    return NewRun(
        id=str(uuid.uuid4()),
        experiment=request.experiment or resolution.endpoint or resolution.pipeline,
        description=request.description,
        tags=request.tags,
        parameters=settled.parameters,
        values=settled.values,
        artifacts=settled.artifacts,
        bundled=settled.bundled,
        asked=asked(resolution.spec, request, version=order.version, digest=order.digest),
    )
