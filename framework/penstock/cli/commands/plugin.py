"""`penstock plugin`: what is installed and what this workspace uses."""

from __future__ import annotations

import click

from penstock.cli.click_ext import Group
from penstock.cli.session import Session
from penstock.cli.tables import Table


@click.group(cls=Group)
def plugin() -> None:
    """Installed plugins."""


@plugin.command("list")
def list_(session: Session) -> None:
    """List installed plugins, and which of them this workspace uses."""
    with session.workspace() as workspace:
        found = workspace.targets.plugins()
    rows = [(one.name, one.distribution, "used" if one.enabled else "not used", one.origin) for one in found]
    body = Table(("PLUGIN", "FROM PACKAGE", "STATE", "SET BY"), rows) if rows else "no plugins"
    session.output.answer({"items": found}, [body], [one.name for one in found])
