"""`penstock status`, `history` and `registry`: what a workspace holds, who changed it, and its file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from penstock.cli.answers import answer_page, by_whom, short_digest
from penstock.cli.click_ext import Command, Group
from penstock.cli.options import FILE, paging
from penstock.cli.output import Output
from penstock.cli.session import Session
from penstock.cli.tables import record
from penstock.cli.times import moment_text, read_moment
from penstock.errors import RegistryError
from penstock.records import HistoryRecord, Page
from penstock.text import count_text


@click.command(cls=Command)
def status(session: Session) -> None:
    """Show where this workspace is and what is in it.

    No target is asked: runs are counted as they were last seen, which `run list` renews.
    """
    with session.workspace() as workspace:
        now = workspace.admin.status()
    runs = ", ".join(f"{count} {state}" for state, count in now.runs.items() if count)
    waiting = [
        f"{count_text(count, thing)} to {what}"
        for count, thing, what in (
            (now.pending_hand_overs, "run", "hand over"),
            (now.pending_cancels, "run", "cancel"),
            (now.pending_syncs, "endpoint", "sync"),
            (now.pending_retires, "publication", "retire"),
        )
        if count
    ]
    table = record(
        [
            ("configuration", now.config or "none, using defaults"),
            ("registry", now.registry if now.exists else f"{now.registry} (made by the first publish)"),
            ("target", now.target),
            ("endpoints", now.endpoints),
            ("published", now.published),
            ("runs", f"{runs} (as last seen)" if runs else "none"),
            ("waiting", ", ".join(waiting)),
        ]
    )
    session.output.answer(now, [table], [str(now.registry)])


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
    change = " -> ".join(short_digest(part) for part in (one.from_, one.to) if part is not None)
    who = by_whom(one.by, one.verified)
    subject = f"{one.subject} {one.subject_id[:8]}" if one.kind == "run" else one.subject
    return moment_text(one.happened), one.action, subject, change, who, one.door, one.reason


@click.group(cls=Group)
def registry() -> None:
    """Look after the registry file."""


@registry.command()
def check(session: Session) -> None:
    """Check the registry file and the laws in it."""
    with session.workspace() as workspace:
        report = workspace.admin.check()
    session.output.answer(report, ["ok" if report.ok else "not ok", *(f"  {line}" for line in report.lines)])
    if not report.ok:
        click.get_current_context().exit(RegistryError.exit_code)


@registry.command()
@click.argument("destination", metavar="FILE", type=FILE)
def backup(session: Session, destination: Path) -> None:
    """Write a consistent copy of the registry to FILE, which must not exist, while it is in use."""
    with session.workspace() as workspace:
        workspace.admin.backup(destination)
    session.output.answer({"backup": str(destination)}, [f"wrote {destination}"], [str(destination)])


@registry.command()
@click.argument("source", metavar="FILE", type=FILE)
def restore(session: Session, source: Path) -> None:
    """Put the backup FILE in the registry's place; the old one is kept beside it. Nothing else may use it meanwhile."""
    with session.workspace() as workspace:
        done = workspace.admin.restore(source)
    lines = [f"restored {done.registry} from {source}"]
    if done.replaced is not None:
        lines.append(f"the old registry is {done.replaced}")
    if done.active_again:
        lines.append(f"active again, though revoked since: {', '.join(f'token {name}' for name in done.active_again)}")
    if done.open_again:
        lines.append(f"open again, though closed since: {', '.join(done.open_again)}")
    if not done.compared:
        lines.append("the old registry cannot be read: what it had revoked or closed since is not known")
    if not done.readers_kept:
        lines.append("its group could not be given to it, so others cannot read it any more: let them in again")
    session.output.answer(done, lines, [str(done.registry)])
