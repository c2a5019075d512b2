"""How gates are shown: closed since when, by whom and why, and what a close did to runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.cli.output import Output
from penstock.cli.times import moment_text
from penstock.records import Gate

if TYPE_CHECKING:
    from penstock.registry import GateOutcome


def state_text(enabled: bool) -> str:
    """A gate's state in one word."""
    return "enabled" if enabled else "disabled"


def gate_text(gate: Gate) -> str:
    """Since when a gate is closed, by whom and why."""
    why = f": {gate.reason}" if gate.reason else ""
    return f"since {moment_text(gate.since)} by {gate.by}{why}"


def gate_rows(enabled: bool, gate: Gate | None) -> list[tuple[str, object]]:
    """The record rows of a gate."""
    return [("state", state_text(enabled)), ("closed", None if gate is None else gate_text(gate))]


def answer_gate(output: Output, outcome: GateOutcome) -> None:
    """Answer what opening or closing a gate did."""
    already = "" if outcome.changed else "already "
    if outcome.gate is None:
        lines = [f"{outcome.subject} is {already}enabled"]
    else:
        lines = [f"{outcome.subject} is {already}disabled, {gate_text(outcome.gate)}"]
    if outcome.ended:
        lines.append(f"canceled {len(outcome.ended)} waiting: {' '.join(outcome.ended)}")
    if outcome.cancel:
        lines.append(f"asked {len(outcome.cancel)} to end: {' '.join(outcome.cancel)}")
    output.answer(outcome, lines, [outcome.subject_id])
