"""`penstock status`: a workspace at a glance."""

from __future__ import annotations

import click

from penstock.cli.click_ext import Command
from penstock.cli.session import Session
from penstock.cli.tables import record


@click.command(cls=Command)
def status(session: Session) -> None:
    """Show where this workspace is and what is in it."""
    with session.workspace() as workspace:
        now = workspace.admin.status()
    runs = ", ".join(f"{count} {state}" for state, count in now.runs.items() if count)
    waiting = [
        f"{count} {what}"
        for count, what in (
            (now.pending_hand_overs, "runs to hand over"),
            (now.pending_cancels, "runs to cancel"),
            (now.pending_syncs, "endpoints to sync"),
            (now.pending_retires, "publications to retire"),
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
            ("runs", runs or "none"),
            ("waiting", ", ".join(waiting)),
        ]
    )
    session.output.answer(now, [table], [str(now.registry)])
