"""From a trigger to an accepted run: resolve, bind the parameters, accept, hand over."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from penstock import codec, snapshot
from penstock.contract.run import BoundParameters
from penstock.errors import ParameterInvalid, PenstockError, Problem, one_line
from penstock.records import Caller, FrozenSnapshot, RunRecord
from penstock.registry import NewRun, Resolution, ResolutionChanged, TriggerRequest, sensitive
from penstock.snapshot import Snapshot
from penstock.targets.facade import OpenTarget
from penstock.workspace import publishing
from penstock.workspace.parameters import TriggerOptions, archive_paths, bind_parameters, fingerprint, request_text
from penstock.workspace.references import Located
from penstock.workspace.services import Services


@frozen(kw_only=True)
class Submitted:
    """An accepted run. `replayed`: the idempotency key had this run already. `warnings` say if it still waits."""

    run: RunRecord
    replayed: bool
    warnings: tuple[str, ...]


def submit(services: Services, caller: Caller, found: Located, options: TriggerOptions) -> Submitted:
    """Trigger an endpoint, a version of it or a published pipeline."""
    request = TriggerRequest(
        kind="endpoint" if found.kind == "endpoint" else "published",
        ref=found.id,
        version=found.version,
        key=options.idempotency_key,
        body=partial(_body, services, found, options) if options.deduplicate else None,
        is_same_request=_is_same(services, options, version=found.version),
        rerun_of=options.rerun_of,
        public=caller.rights is not None and caller.rights.public,
        most_unfinished=services.max_unfinished_runs,
    )
    return _accept(services, caller, request, options)


def _body(services: Services, found: Located, options: TriggerOptions) -> str:
    """What stands for a request without a key. Hashed with this workspace's key: it may hold sensitive values."""
    asked = codec.to_json([found.id, request_text(options, found.version)])
    return sensitive.keyed_hash(services.home, asked)


def submit_file(
    services: Services, caller: Caller, path: Path | str, target: str | None, options: TriggerOptions
) -> Submitted:
    """Run a spec file as a trial: its snapshot is kept and put on the target, but not published."""
    opened = services.targets.open(target)
    source = publishing.load(path, caller)
    name = source.pipeline.name
    if options.idempotency_key is not None and services.exists:
        with tempfile.TemporaryDirectory() as store:
            digest = snapshot.take(source.pipeline, source.folder, Path(store), document=source.document).digest
        known = services.registry.runs.replay(_trial(services, name, digest, options, target))
        if known is not None:
            return Submitted(run=known, replayed=True, warnings=())
    publishing.validate(opened, caller, source)
    services.make_registry()
    taken = snapshot.take(source.pipeline, source.folder, services.store, document=source.document)
    request = _trial(services, name, taken.digest, options, target)
    return _accept_trial(services, caller, opened, taken, request, options)


def submit_again(services: Services, caller: Caller, run: RunRecord, options: TriggerOptions) -> Submitted:
    """Run once more what a run resolved to; a trial's snapshot is put on its target again if it is gone."""
    if run.endpoint_id is not None:
        return submit(services, caller, Located(kind="endpoint", id=run.endpoint_id, version=run.version), options)
    if run.published is not None:
        return submit(services, caller, Located(kind="published", id=run.published), options)
    request = _trial(services, run.pipeline, run.digest, options, run.target)
    known = services.registry.runs.replay(request)
    if known is not None:
        return Submitted(run=known, replayed=True, warnings=())
    taken = publishing.load_snapshot(services, run.digest)
    return _accept_trial(services, caller, services.targets.open(run.target), taken, request, options)


def parameters_of(services: Services, run: RunRecord, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that make the same run again: all but those whose content came with the snapshot, and with `given`
    in place of the sensitive ones, which were not kept.

    Raises ParameterInvalid for others among the given.
    """
    kept = services.registry.pipelines.snapshot(run.digest)
    declared = codec.from_canonical(kept.spec).parameters
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


def _trial(
    services: Services, pipeline: str, digest: str, options: TriggerOptions, target: str | None
) -> TriggerRequest:
    """The request that triggers a trial. A `target` that the caller named is part of what was asked for."""
    is_same = _is_same(services, options, digest=digest)
    return TriggerRequest(
        kind="file",
        ref=pipeline,
        digest=digest,
        key=options.idempotency_key,
        is_same_request=lambda run, kept: target in (None, run.target) and is_same(run, kept),
        rerun_of=options.rerun_of,
    )


def _is_same(
    services: Services, options: TriggerOptions, *, version: str | None = None, digest: str | None = None
) -> Callable[[RunRecord, str], bool]:
    """Whether a run that has our idempotency key came from the same request, read against the run's own spec."""

    def is_same(run: RunRecord, kept: str) -> bool:
        snapshot = services.registry.pipelines.snapshot(run.digest)
        return _fingerprint(services, snapshot, options, version=version, digest=digest) == kept

    return is_same


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
        return _accept(services, caller, evolve(request, placement=target.placement), options, bound, held)


def _accept(
    services: Services,
    caller: Caller,
    request: TriggerRequest,
    options: TriggerOptions,
    bound: BoundParameters | None = None,
    held: ExitStack | None = None,
) -> Submitted:
    """Accept a run and hand it over; of a refused trigger no run is left. `held` ends with the acceptance.

    The parameters are bound outside the accepting transaction, against what the trigger resolved to, unless they
    are `bound` already; when that changed in between, it starts again.
    """
    runs = services.registry.runs
    while True:
        resolution = runs.resolve(request)
        if isinstance(resolution, RunRecord):
            return Submitted(run=resolution, replayed=True, warnings=())
        target = services.targets.open_frozen(resolution.placement)
        if bound is None:
            bound = bind_parameters(resolution.snapshot, options, target.resolve_location)
        new = _new_run(services, request, resolution, bound, options)
        try:
            with services.outbox.claimed(new.id):  # we hand it over, no other thread
                run, replayed = runs.accept(request, resolution, new, caller)
                if held is not None:
                    held.close()
                if not replayed:
                    return _accepted(services, run)
            return Submitted(run=run, replayed=True, warnings=())
        except ResolutionChanged:
            bound = None
        except KeyboardInterrupt:
            raise _interrupted(services, new.id) from None
        except Exception:
            if new.keep is not None:  # a run that was not accepted leaves nothing
                services.outbox.sweep_values()
            raise


def _accepted(services: Services, run: RunRecord) -> Submitted:
    """Hand an accepted run over. From here on nothing is an error: the run is there, and somebody will see to it."""
    waits = f"run {run.id} is accepted and waits to be handed to target `{run.target}`"
    try:
        services.outbox.tell_run(run)
        why = services.outbox.hand_over(run.id, run.target)
        now = services.registry.runs.get(run.id)
        services.outbox.give_time()
    except Exception as error:
        # Its own words are about a call in which nothing happened, and here something did.
        why = error.code if isinstance(error, PenstockError) else one_line(error)
        warning = f"{waits}; whether it was handed over is not known yet ({why}): do not submit it again"
        return Submitted(run=run, replayed=False, warnings=(warning,))
    return Submitted(run=now, replayed=False, warnings=(f"{waits}: {why}",) if why else ())


def _interrupted(services: Services, run_id: str) -> KeyboardInterrupt:
    """What whoever presses Ctrl-C is told: the run, if it was accepted by then."""
    try:
        run = services.registry.runs.get(run_id)
    except PenstockError:
        return KeyboardInterrupt()
    goes_on = "was handed over" if run.external is not None else "its hand-over goes on with the next command"
    return KeyboardInterrupt(f"interrupted: accepted as run {run.id}, {goes_on}")


def _fingerprint(
    services: Services, kept: FrozenSnapshot, options: TriggerOptions, *, version: str | None, digest: str | None
) -> str:
    hashed = partial(sensitive.keyed_hash, services.home)
    return fingerprint(kept, options, hashed, version=version, digest=digest)


def _new_run(
    services: Services,
    request: TriggerRequest,
    resolution: Resolution,
    bound: BoundParameters,
    options: TriggerOptions,
) -> NewRun:
    asked, run_id, keep = "", str(uuid.uuid4()), None
    if request.key is not None:
        asked = _fingerprint(services, resolution.snapshot, options, version=request.version, digest=request.digest)
    if bound.sensitive:
        hidden = {name: bound.texts[name] for name in bound.sensitive}
        keep = partial(sensitive.keep, services.home, run_id, hidden)
    return NewRun(
        id=run_id,
        keep=keep,
        experiment=options.experiment or resolution.endpoint or resolution.pipeline,
        description=options.description,
        tags=options.tags,
        parameters=bound,
        fingerprint=asked,
    )
