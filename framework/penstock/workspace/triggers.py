"""Triggers: from a reference or a spec file to what is to be accepted, and a run once more."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from penstock import codec
from penstock.callers import Caller
from penstock.errors import ParameterInvalid, PenstockError, Problem, RegistryError
from penstock.records import RunRecord
from penstock.registry import ResolutionChanged, TriggerRequest, WouldBlock, sensitive
from penstock.snapshot import Snapshot
from penstock.targets.facade import OpenTarget
from penstock.workspace import publishing
from penstock.workspace.accepting import Submitted, accept, is_same_request, replayed
from penstock.workspace.parameters import (
    TriggerOptions,
    archive_paths,
    bind_parameters,
    declared_by,
    request_text,
)
from penstock.workspace.references import Kind, Located, locate, split_version
from penstock.workspace.resolution_cache import Resolved
from penstock.workspace.services import Services


def submit(
    services: Services,
    caller: Caller,
    ref: str,
    version: str | None,
    options: TriggerOptions,
    *,
    only: Kind | None = None,
) -> Submitted:
    """Trigger what a reference names: an endpoint, a version of it or a published pipeline, or what `only` says.

    What it led to the last time is tried first: the parameters are checked against that, and the acceptance decides
    whether it still holds. If it does not, or anything is wrong, all is looked up, unless this thread must not block:
    then WouldBlock is raised.
    """
    registry, cache, asked = services.registry, services.resolution_cache, (ref, version, only)
    cached = cache.get(asked)
    if cached is not None:
        request = _request(services, caller, ref, cached.located, options)
        # A replay decides nothing, so nobody waits for a turn to decide; who must not block never waits for one.
        if registry.must_not_block or request.key is None or not registry.runs.is_known(request):
            try:
                return accept(services, caller, request, options, known=cached.resolution)[0]
            except RegistryError:
                raise
            except (PenstockError, ResolutionChanged):
                cache.forget(asked)
    if registry.must_not_block:
        raise WouldBlock
    while True:
        found = locate(registry, ref, version, replay=options.idempotency_key is not None, only=only)
        request = _request(services, caller, ref, found, options)
        try:
            done, resolution = accept(services, caller, request, options)
        except ResolutionChanged:  # the name leads elsewhere by now
            continue
        if resolution is not None:
            cache.remember(asked, Resolved(found, resolution))
        return done


def _request(services: Services, caller: Caller, ref: str, found: Located, options: TriggerOptions) -> TriggerRequest:
    name = split_version(ref)[0]
    return TriggerRequest(
        kind="endpoint" if found.kind == "endpoint" else "published",
        ref=found.id,
        name=name if found.kind == "endpoint" and name != found.id else None,
        version=found.version,
        key=options.idempotency_key,
        body=partial(_body, services, found, options) if options.deduplicate else None,
        is_same_request=is_same_request(services, options, version=found.version),
        rerun_of=options.rerun_of,
        public=caller.rights is not None and caller.rights.public,
        most_unfinished=services.max_unfinished_runs,
    )


def _body(services: Services, found: Located, options: TriggerOptions) -> str:
    """What stands for a request without a key. Hashed with this workspace's key: it may hold sensitive values."""
    asked = codec.to_json([found.id, request_text(options, found.version)])
    return sensitive.keyed_hash(services.home, asked)


def submit_file(
    services: Services,
    caller: Caller,
    path: Path | str,
    target: str | None,
    options: TriggerOptions,
    *,
    large_code: bool = False,
) -> Submitted:
    """Run a spec file as a trial: its snapshot is kept and put on the target, but not published."""
    opened = services.targets.open(target)
    source = publishing.load(path, caller)
    name = source.pipeline.name
    if options.idempotency_key is not None and services.exists:
        digest = publishing.take(services, source, None, large_code=True).digest
        known = services.registry.runs.replay(_trial(services, name, digest, options, target))
        if known is not None:
            return replayed(services, known)
    publishing.validate(opened, caller, source)
    services.make_registry()
    taken = publishing.take(services, source, services.store, large_code=large_code)
    request = _trial(services, name, taken.digest, options, target)
    submitted = _accept_trial(services, caller, opened, taken, request, options)
    return evolve(submitted, bundled=taken.bundled)


def submit_again(services: Services, caller: Caller, run: RunRecord, options: TriggerOptions) -> Submitted:
    """Run once more what a run resolved to; a trial's snapshot is put on its target again if it is gone."""
    found = None
    if run.endpoint_id is not None:
        found = Located(kind="endpoint", id=run.endpoint_id, version=run.version)
    elif run.published is not None:
        found = Located(kind="published", id=run.published)
    if found is not None:
        return accept(services, caller, _request(services, caller, found.id, found, options), options)[0]
    request = _trial(services, run.pipeline, run.digest, options, run.target)
    known = services.registry.runs.replay(request)
    if known is not None:
        return replayed(services, known)
    services.refuse_copy()
    taken = publishing.load_snapshot(services, run.digest)
    return _accept_trial(services, caller, services.targets.open(run.target), taken, request, options)


def parameters_of(services: Services, run: RunRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that make the same run again: all but those whose content came with the snapshot, and with `given`
    in place of the sensitive ones, which were not kept.

    Raises ParameterInvalid for others among the given.
    """
    kept = services.registry.pipelines.snapshot(run.digest)
    declared = declared_by(kept)
    archived = archive_paths(kept)
    fixed = [name for name in given if name in declared and not declared[name].sensitive]
    if fixed:
        message = "a rerun has the value that the run had, and takes sensitive ones only; submit it to change others"
        raise ParameterInvalid.of([Problem("parameter_fixed", message, (name,)) for name in fixed], "parameters")
    again = {
        name: value
        for name, value in run.parameters.items()
        if not (name in declared and (declared[name].sensitive or (declared[name].is_artifact and value in archived)))
    }
    return again | dict(given)


def not_kept(services: Services, run: RunRecord) -> frozenset[str]:
    """The sensitive parameters that a run had a value of."""
    declared = declared_by(services.registry.pipelines.snapshot(run.digest))
    hidden = (name for name, one in declared.items() if one.sensitive)
    return frozenset(name for name in hidden if run.parameters.get(name) is not None)


def _trial(
    services: Services, pipeline: str, digest: str, options: TriggerOptions, target: str | None
) -> TriggerRequest:
    """The request that triggers a trial. A `target` that the caller named is part of what was asked for."""
    is_same = is_same_request(services, options, digest=digest)
    return TriggerRequest(
        kind="file",
        ref=pipeline,
        digest=digest,
        key=options.idempotency_key,
        is_same_request=lambda run, kept: target in (None, run.target) and is_same(run, kept),
        rerun_of=options.rerun_of,
    )


def _accept_trial(
    services: Services,
    caller: Caller,
    target: OpenTarget,
    taken: Snapshot,
    request: TriggerRequest,
    options: TriggerOptions,
) -> Submitted:
    kept = publishing.frozen_snapshot(taken)
    # Nothing is put on the target for a trigger that is refused (law 6).
    bound = bind_parameters(kept, options, target.resolve_location)
    with ExitStack() as held:
        held.enter_context(services.retiring_held_off(target.placement))
        publication = target.publish(taken, target.compile(taken))
        services.registry.pipelines.record_trial(kept, target.placement, publication)
        request = evolve(request, placement=target.placement)
        return accept(services, caller, request, options, bound=bound, held=held)[0]
