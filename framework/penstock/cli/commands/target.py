"""`penstock target` and `plugin`: what is configured and installed, and how it is."""

from __future__ import annotations

import json

import click

from penstock.cli.click_ext import Group
from penstock.cli.session import Session
from penstock.cli.tables import Table
from penstock.errors import TargetUnavailable


@click.group(cls=Group)
def target() -> None:
    """The configured places to publish to and run on."""


@target.command("list")
def list_(session: Session) -> None:
    """List targets, and where each of their values comes from."""
    with session.workspace() as workspace:
        found = workspace.targets.list()
    rows: list[tuple[object, ...]] = []
    for one in found:
        name = f"{one.name} (default)" if one.default else one.name
        state = "available" if one.available else f"unavailable: {one.problem}"
        rows.append((name, one.backend, one.distribution, state, one.origin))
    table = Table(("TARGET", "BACKEND", "FROM PACKAGE", "STATE", "SET BY"), rows)
    options = [
        (one.name, name, _value_text(option.value), option.origin, option.takes_effect)
        for one in found
        for name, option in one.options.items()
    ]
    blocks: list[str | Table] = [table]
    if table.is_short:
        blocks += [f"{one.name}: {one.problem}" for one in found if not one.available]
    if options:
        blocks += ["", Table(("TARGET", "OPTION", "VALUE", "SET BY", "A CHANGE TAKES EFFECT"), options)]
    session.output.answer({"items": found}, blocks, [one.name for one in found])


@target.command()
@click.argument("name", required=False)
def check(session: Session, name: str | None) -> None:
    """Ask a target, by default the default one, how it is: credentials, quotas, versions, space."""
    with session.workspace() as workspace:
        name = name or workspace.config.target.value
        health = workspace.targets.check(name)
    word = "ok" if health.ok else "not ok"
    data = {"target": name, "ok": health.ok, "lines": health.lines}
    session.output.answer(data, [f"{name}: {word}", *(f"  {line}" for line in health.lines)], [name])
    if not health.ok:
        click.get_current_context().exit(TargetUnavailable.exit_code)


@click.group(cls=Group)
def plugin() -> None:
    """Installed plugins."""


@plugin.command("list")
def list_plugins(session: Session) -> None:
    """List installed plugins, and which of them this workspace uses."""
    with session.workspace() as workspace:
        found = workspace.targets.plugins()
    rows = [
        (
            one.name,
            one.distribution,
            "used" if one.enabled else "used by `serve`" if one.served else "not used",
            one.origin,
        )
        for one in found
    ]
    body = Table(("PLUGIN", "FROM PACKAGE", "STATE", "SET BY"), rows) if rows else "no plugins"
    session.output.answer({"items": found}, [body], [one.name for one in found])


def _value_text(value: object) -> str:
    """An option as a person would write it: text as it is, everything else as JSON."""
    from penstock.codec import to_data

    data = to_data(value)
    if data is None:
        return ""
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
