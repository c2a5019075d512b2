"""Moving a gate from any door: what is told to plugins and targets, and the runs that end with it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from attrs import evolve

from penstock.callers import Caller
from penstock.contract.hooks import Event
from penstock.errors import RegistryError
from penstock.registry import GateOutcome
from penstock.registry.gates import GateKind
from penstock.workspace.services import Services


def move_gate(
    services: Services,
    caller: Caller,
    kind: GateKind,
    ref: str,
    version: str | None = None,
    *,
    open: bool,
    reason: str = "",
    cancel_runs: bool = False,
    expect_revision: int | None = None,
) -> GateOutcome:
    """Move one gate, tell plugins and targets, and pass on the cancel requests that were asked for with it."""
    registry = services.registry
    # It closes before anything is looked at that may have to be waited for, and what it cancels is asked in the same
    # decision: a kill leaves no closed gate whose runs go on.
    outcome = registry.set_gate(
        kind,
        ref,
        open=open,
        caller=caller,
        reason=reason,
        version=version,
        cancel_runs=cancel_runs,
        expect_revision=expect_revision,
    )
    if outcome.changed:
        services.tell("penstock_gate_changed", gate_event(kind, outcome.subject_id, outcome.subject, open))
    with suppress(RegistryError, OSError, ImportError):  # the gate has moved
        for run_id in outcome.ended:
            services.outbox.tell_run(registry.runs.get(run_id))
    services.give_time(at_once=True)
    with suppress(RegistryError):
        return evolve(outcome, unsynced=registry.outbox.unsynced(outcome.subject_id))
    return outcome


def look_at_unfinished(services: Services, *, endpoint: str | None = None, published: str | None = None) -> None:
    """Look at the unfinished runs of an endpoint or published pipeline: what ended on its target has ended here too."""
    registry = services.registry
    runs = [registry.runs.get(run) for run in registry.runs.unfinished(endpoint=endpoint, published=published)]
    services.follower.look(runs)


def gate_event(kind: str, subject_id: str, subject: str, open: bool) -> Event:
    """The event that tells plugins how a gate is now."""
    return Event(kind=kind, subject_id=subject_id, subject=subject, at=datetime.now(UTC), data={"open": open})
