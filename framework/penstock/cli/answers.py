"""How pages of a listing and gates are answered, and the commands that open and close a gate."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from penstock.cli.click_ext import Group
from penstock.cli.output import Output
from penstock.cli.session import Session
from penstock.cli.tables import Table
from penstock.cli.times import moment_text
from penstock.records import Gate, Page, PublishedRecord, Unsynced

if TYPE_CHECKING:
    from penstock.registry import GateOutcome
    from penstock.workspace import Workspace
    from penstock.workspace.endpoints import Endpoints
    from penstock.workspace.pipelines import Pipelines

T = TypeVar("T")


def answer_page(
    output: Output,
    page: Page[T],
    things: str,
    columns: tuple[str, ...],
    row: Callable[[T], tuple[object, ...]],
    identity: Callable[[T], str],
) -> None:
    """Answer a page: JSON with `items`, `hidden`, `more` and `next`, bare ids, or a table and its notes.

    `things` is the plural of what is listed.
    """
    notes = []
    if page.hidden:
        notes.append(f"{page.hidden} closed not shown: --all shows them")
    if page.more:
        notes.append(f"there are more {things}: --limit, or --before {page.next}")
    if output.quiet and not output.json:
        # Standard output holds ids only; a script's author should still learn that these are not all.
        for note in notes:
            output.note(note)
    none = f"no open {things}" if page.hidden else f"no {things}"
    body = Table(columns, [row(item) for item in page.items]) if page.items else none
    output.answer(page, [body, *notes], [identity(item) for item in page.items])


def by_whom(actor: str, verified: bool) -> str:
    """Who did something; a name that nobody checked is marked."""
    return actor if verified else f"{actor} (self-declared)"


def short_digest(text: str) -> str:
    """A text with the start of each digest in it, which is enough to compare by eye."""
    return re.sub(r"\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b", "\\1\N{HORIZONTAL ELLIPSIS}", text)


def details_rows(one: PublishedRecord) -> list[tuple[str, str]]:
    """What the backend tells of a published pipeline, but for what is said of it anyway."""
    said = (one.digest, one.external)
    return [(key, value) for key, value in one.details.items() if key[:1] != "_" and value not in said]


def unsynced_text(one: Unsynced) -> str:
    """That a target does not know of an endpoint's present state, and why."""
    why = one.message or "it is told soon"
    return f"target `{one.target}` still has endpoint `{one.endpoint}` as it was, for native triggers too: {why}"


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


def _answer_gate(output: Output, outcome: GateOutcome) -> None:
    """Answer what opening or closing a gate did."""
    already = "" if outcome.changed else "already "
    if outcome.gate is None:
        lines = [f"{outcome.subject} is {already}enabled"]
    else:
        lines = [f"{outcome.subject} is {already}disabled, {gate_text(outcome.gate)}"]
    output.warn(unsynced_text(one) for one in outcome.unsynced)
    if outcome.ended:
        lines.append(f"canceled {len(outcome.ended)} waiting: {' '.join(outcome.ended)}")
    if outcome.cancel:
        lines.append(f"asked {len(outcome.cancel)} to end: {' '.join(outcome.cancel)}")
    output.answer(outcome, lines, [outcome.subject_id])


def gate_commands(
    group: Group, metavar: str, verbs: Callable[[Workspace], Endpoints | Pipelines], *, closes: str, opens: str
) -> None:
    """Give a group the commands `disable` and `enable`; `closes` and `opens` are their help."""

    @group.command(help=closes)
    @click.argument("ref", metavar=metavar)
    @click.option("--reason", default="", help="Why; shown to every trigger that is refused.")
    @click.option("--cancel-runs", is_flag=True, help="Also cancel the unfinished runs that came this way.")
    def disable(session: Session, ref: str, reason: str, cancel_runs: bool) -> None:
        with session.workspace() as workspace:
            outcome = verbs(workspace).disable(ref, reason=reason, cancel_runs=cancel_runs)
        _answer_gate(session.output, outcome)

    @group.command(help=opens)
    @click.argument("ref", metavar=metavar)
    def enable(session: Session, ref: str) -> None:
        with session.workspace() as workspace:
            outcome = verbs(workspace).enable(ref)
        _answer_gate(session.output, outcome)
