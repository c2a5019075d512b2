"""From a trigger to an accepted run: resolve, settle the parameters, accept, hand over."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from penstock import codec, snapshot
from penstock.dispatcher import run_event
from penstock.errors import ParameterInvalid
from penstock.places import Place
from penstock.records import Caller, RunRecord
from penstock.registry import Accepted, Resolution, ResolutionMoved, TriggerOrder
from penstock.snapshot import Snapshot
from penstock.workspace import freezing
from penstock.workspace.acceptance import Settled, same_parameters, settle
from penstock.workspace.context import Context
from penstock.workspace.publishing import kept_snapshot
from penstock.workspace.references import locate


@frozen(kw_only=True)
class Submitted:
    """An accepted run. `replayed`: the idempotency key had this run already. `warnings` say if it still waits."""

    run: RunRecord
    replayed: bool
    warnings: tuple[str, ...]


@frozen(kw_only=True)
class Request:
    """What a trigger asks for, apart from what it addresses. `base` is the caller's folder, see `Location`."""

    parameters: Mapping[str, Any]
    experiment: str | None
    description: str
    tags: Mapping[str, str]
    key: str | None
    base: Path | None
    rerun_of: str | None = None


def order_of_reference(context: Context, ref: str, version: str | None, request: Request) -> TriggerOrder:
    """The order that triggers what a reference names. Raises NotFound."""
    found = locate(context.registry(), ref, version)
    return TriggerOrder(
        kind=found.kind,
        ref=found.id,
        version=found.version,
        key=request.key,
        same=_same(context, request, version=found.version),
        rerun_of=request.rerun_of,
    )


def accept_file(context: Context, caller: Caller, path: Path, target: str | None, request: Request) -> Submitted:
    """Run a spec file as a trial: its snapshot is kept and put on the target, but not published."""
    place = context.places.open(target)
    source = freezing.read(path)
    freezing.check(place, source)
    context.registry(create=True)
    taken = freezing.take(source, context.store)
    return _accept_trial(context, caller, place, taken, source.pipeline.name, request)


def accept_again(context: Context, caller: Caller, run: RunRecord, request: Request) -> Submitted:
    """Run once more what a run resolved to; a trial's snapshot is put on its target again if it is gone."""
    if run.resolved_from != "file":
        addressed = run.endpoint_id or run.published or ""
        return accept(context, caller, order_of_reference(context, addressed, run.version, request), request)
    taken = kept_snapshot(context, run.digest)
    return _accept_trial(context, caller, context.places.open(run.target), taken, run.pipeline, request)


def _accept_trial(
    context: Context, caller: Caller, place: Place, taken: Snapshot, pipeline: str, request: Request
) -> Submitted:
    with context.publications(alone=False):
        context.registry().record_publication(
            target=place.target.name,
            backend=place.target.backend,
            digest=taken.digest,
            identity=place.identity,
            options=place.options,
            publication=freezing.deliver(place, taken),
            spec=taken.canonical,
            archives=json.dumps(snapshot.archive_data(taken)),
        )
        order = TriggerOrder(
            kind="file",
            ref=pipeline,
            digest=taken.digest,
            target=place.target.name,
            identity=place.identity,
            key=request.key,
            same=_same(context, request, digest=taken.digest),
            rerun_of=request.rerun_of,
        )
        return accept(context, caller, order, request)


def given_by(context: Context, run: RunRecord) -> dict[str, Any]:
    """The parameters that make the same run again: all but those whose content came with the snapshot."""
    spec, archives = context.registry().snapshot_data(run.digest)
    declared = codec.from_canonical(spec).parameters
    archived = {archive["path"] for archive in json.loads(archives)}
    return {
        name: value for name, value in run.parameters.items() if not (declared[name].is_artifact and value in archived)
    }


def accept(context: Context, caller: Caller, order: TriggerOrder, request: Request) -> Submitted:
    """Accept a run and hand it over; a refusal leaves nothing behind.

    The parameters are settled outside the accepting transaction, against what the trigger resolved to; when
    that moved in between, it starts again.
    """
    registry = context.registry()
    while True:
        resolution = registry.resolve(order)
        if isinstance(resolution, RunRecord):
            return Submitted(run=resolution, replayed=True, warnings=())
        place = context.places.open_frozen(resolution.target, resolution.identity)
        settled = _settle(place, resolution.spec, resolution.archives, request)
        try:
            run, replayed = registry.accept(order, resolution, _accepted(resolution, settled, request), caller)
        except ResolutionMoved:
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


def _same(
    context: Context, request: Request, *, version: str | None = None, digest: str | None = None
) -> Callable[[RunRecord], bool]:
    """Whether a run that has our idempotency key came from the same request."""

    def same(run: RunRecord) -> bool:
        spec, archives = context.registry().snapshot_data(run.digest)
        try:
            settled = _settle(context.places.open(run.target), spec, archives, request)
        except ParameterInvalid:
            return False
        return (
            digest in (None, run.digest)
            and version == (run.version if run.resolved_from == "pinned" else None)
            and request.rerun_of == run.rerun_of
            and request.experiment in (None, run.experiment)
            and request.description == run.description
            and dict(request.tags) == dict(run.tags)
            and same_parameters(codec.from_canonical(spec), settled, run.parameters)
        )

    return same


def _accepted(resolution: Resolution, settled: Settled, request: Request) -> Accepted:
    return Accepted(
        id=str(uuid.uuid4()),
        experiment=request.experiment or resolution.endpoint or resolution.pipeline,
        description=request.description,
        tags=request.tags,
        parameters=settled.parameters,
        values=settled.values,
        artifacts=settled.artifacts,
        travelling=settled.travelling,
    )
