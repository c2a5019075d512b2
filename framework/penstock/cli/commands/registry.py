"""`penstock registry`: check it, and copy it while it is in use."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.click_ext import Group
from penstock.cli.options import FILE
from penstock.cli.session import Session
from penstock.errors import RegistryError


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
