"""`penstock history`: who changed what, through which door, when and why."""

from __future__ import annotations

from datetime import datetime

import click

from penstock.cli.answers import answer_page, by_whom
from penstock.cli.click_ext import Command
from penstock.cli.options import paging
from penstock.cli.output import Output
from penstock.cli.session import Session
from penstock.cli.times import moment_text, read_moment
from penstock.records import HistoryRecord, Page


@click.command(cls=Command)
@click.option("--since", callback=read_moment, metavar="TIME", help="Only from this time on.")
@click.option("--by", metavar="ACTOR", help="Only by this actor.")
@paging("Also what happened to runs.")
def history(
    session: Session, since: datetime | None, by: str | None, every: bool, limit: int, before: str | None
) -> None:
    """Show what changed in this workspace, newest first."""
    with session.workspace() as workspace:
        page = workspace.admin.history(since=since, by=by, limit=limit, before=before, runs=every)
    answer_history(session.output, page)


def answer_history(output: Output, page: Page[HistoryRecord]) -> None:
    """Answer a page of history."""
    columns = ("WHEN", "ACTION", "SUBJECT", "CHANGE", "BY", "DOOR", "REASON")
    answer_page(output, page, "changes", columns, _row, lambda one: str(one.seq))


def _row(one: HistoryRecord) -> tuple[object, ...]:
    change = " -> ".join(part for part in (one.from_, one.to) if part is not None)
    who = by_whom(one.by, one.verified)
    subject = f"{one.subject} {one.subject_id[:8]}" if one.kind == "run" else one.subject
    return moment_text(one.happened), one.action, subject, change, who, one.door, one.reason
