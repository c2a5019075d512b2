"""How a page of a listing is answered: a table, what it leaves out, and how to see the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from penstock.cli.output import Output
from penstock.cli.tables import Table
from penstock.records import Page

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
    body = Table(columns, [row(item) for item in page.items]) if page.items else f"no {things}"
    output.answer(page, [body, *notes], [identity(item) for item in page.items])


def by_whom(actor: str, verified: bool) -> str:
    """Who did something; a name that nobody checked is marked."""
    return actor if verified else f"{actor} (self-declared)"
