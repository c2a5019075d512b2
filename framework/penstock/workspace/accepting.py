"""Accepting a trigger: its parameters are bound, the decision is made, and the run is handed over."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial

from attrs import frozen

from penstock.callers import Caller
from penstock.contract.run import BoundParameters
from penstock.contract.target import Location
from penstock.errors import PenstockError, one_line
from penstock.records import FrozenSnapshot, RunRecord
from penstock.registry import NewRun, Resolution, ResolutionChanged, TriggerRequest, WouldBlock, sensitive
from penstock.snapshot import Bundled
from penstock.workspace.parameters import TriggerOptions, bind_parameters, fingerprint
from penstock.workspace.services import Services


@frozen(kw_only=True)
class Submitted:
    """An accepted run. `replayed`: the idempotency key had this run already. `warnings` say if it still waits.

    `bundled` is what travelled with a spec file and what stayed at home, of each path in the spec.
    """

    run: RunRecord
    replayed: bool
    warnings: tuple[str, ...]
    bundled: tuple[Bundled, ...] = ()


def accept(
    services: Services,
    caller: Caller,
    request: TriggerRequest,
    options: TriggerOptions,
    *,
    bound: BoundParameters | None = None,
    held: ExitStack | None = None,
    known: Resolution | None = None,
) -> tuple[Submitted, Resolution | None]:
    """Accept a run and hand it over; of a refused trigger no run is left. `held` ends with the acceptance.

    Answers also what the accepted trigger resolved to. The parameters are bound outside the accepting transaction,
    against that, unless they are `bound` already; when it changed in between, it starts again. With `known` it is taken
    for what the trigger resolves to, and there is no other try: then ResolutionChanged is raised, as it is when
    a name leads elsewhere by now.
    """
    runs = services.registry.runs
    while True:
        resolution = known or runs.resolve(request)
        if isinstance(resolution, RunRecord):
            return replayed(services, resolution), None
        target = services.targets.open_frozen(resolution.placement)
        if bound is None:
            resolve = _would_block if services.registry.must_not_block else target.resolve_location
            bound = bind_parameters(resolution.snapshot, options, resolve)
        new = _new_run(services, request, resolution, bound, options)
        if new.keep is not None and services.registry.must_not_block:
            raise WouldBlock
        try:
            with services.outbox.claimed(new.id):  # we hand it over, no other thread
                run, known_already = runs.accept(request, resolution, new, caller)
                if held is not None:
                    with suppress(OSError):  # it is accepted
                        held.close()
                if not known_already:
                    return _accepted(services, run), resolution
            return replayed(services, run), None
        except ResolutionChanged:
            if known is not None:
                raise
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
        if services.outbox.wake is not None:
            services.registry.after_commit(partial(services.outbox.tell_accepted, run))
            return Submitted(run=run, replayed=False, warnings=())
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


def replayed(services: Services, run: RunRecord) -> Submitted:
    """The run that a key has already. One that its target does not have yet is handed over, or says that it waits."""
    if run.finished or run.external is not None:
        return Submitted(run=services.follower.placing.placed(run), replayed=True, warnings=())
    outbox = services.outbox
    if outbox.wake is not None:
        outbox.wake()
        why = run.waiting.message if run.waiting is not None else ""
        if not why:  # the dispatcher has heard of it, and answers do not wait for it
            return Submitted(run=run, replayed=True, warnings=())
    else:
        try:
            why = outbox.deliver(run)
            run = services.registry.runs.get(run.id)
        except PenstockError as error:
            why = error.code
    if run.finished or run.external is not None:
        return Submitted(run=run, replayed=True, warnings=())
    waits = f"run {run.id} was accepted before and waits to be handed to target `{run.target}`"
    return Submitted(run=run, replayed=True, warnings=(f"{waits}: {why}" if why else waits,))


def _would_block(location: Location) -> str:
    """A backend may look at files, or break."""
    raise WouldBlock


def _interrupted(services: Services, run_id: str) -> KeyboardInterrupt:
    """What whoever presses Ctrl-C is told: the run, if it was accepted by then."""
    try:
        run = services.registry.runs.get(run_id)
    except PenstockError:
        return KeyboardInterrupt()
    goes_on = "was handed over" if run.external is not None else "its hand-over goes on with the next command"
    return KeyboardInterrupt(f"interrupted: accepted as run {run.id}, {goes_on}")


def _fingerprint(
    services: Services,
    kept: FrozenSnapshot,
    options: TriggerOptions,
    *,
    version: str | None,
    digest: str | None,
    texts: Mapping[str, str] | None = None,
) -> str:
    hashed = partial(sensitive.keyed_hash, services.home)
    return fingerprint(kept, options, hashed, version=version, digest=digest, texts=texts)


def _new_run(
    services: Services,
    request: TriggerRequest,
    resolution: Resolution,
    bound: BoundParameters,
    options: TriggerOptions,
) -> NewRun:
    asked, run_id, keep = "", str(uuid.uuid4()), None
    if request.key is not None:
        asked = _fingerprint(
            services,
            resolution.snapshot,
            options,
            version=request.version,
            digest=request.digest,
            texts=bound.texts,
        )
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


def is_same_request(
    services: Services, options: TriggerOptions, *, version: str | None = None, digest: str | None = None
) -> Callable[[RunRecord, str], bool]:
    """Whether a run that has our idempotency key came from the same request, read against the run's own spec."""

    def is_same(run: RunRecord, kept: str) -> bool:
        snapshot = services.registry.pipelines.snapshot(run.digest)
        return _fingerprint(services, snapshot, options, version=version, digest=digest) == kept

    return is_same
