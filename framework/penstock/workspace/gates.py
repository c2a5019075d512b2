"""Closing and opening gates, the same for endpoints, versions and published pipelines."""

from __future__ import annotations

from typing import Literal

from penstock.contract.hooks import Event
from penstock.dispatch import run_event
from penstock.errors import PenstockError
from penstock.records import Caller
from penstock.registry import GateOutcome
from penstock.workspace.context import Context


def move_gate(
    context: Context,
    caller: Caller,
    kind: Literal["endpoint", "version", "pipeline"],
    ref: str,
    *,
    open: bool,
    version: str | None = None,
    reason: str = "",
    cancel_runs: bool = False,
) -> GateOutcome:
    """Move one gate, tell plugins and targets, and pass on the cancel requests that were asked for with it."""
    registry = context.registry()
    if cancel_runs:
        context.dispatcher.refresh_all()  # what has ended needs no cancelling
    outcome = registry.set_gate(
        kind, ref, open=open, caller=caller, reason=reason, version=version, cancel_runs=cancel_runs
    )
    if outcome.changed:
        event = Event(kind=kind, subject_id=outcome.subject_id, subject=outcome.subject, data={"open": open})
        context.tell("penstock_gate_changed", event)
    for run_id in outcome.ended:
        context.tell("penstock_run_changed", run_event(registry.get_run(run_id)))
    for run_id in outcome.cancel:
        try:
            context.dispatcher.cancel(run_id)
        except PenstockError:
            continue  # the request is recorded; a later command passes it on
    context.dispatcher.sync()
    return outcome
