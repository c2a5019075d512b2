"""`penstock token`: who may come in by HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import cast

import click

from penstock.callers import SCOPES, Scope
from penstock.cli.click_ext import Group
from penstock.cli.session import Session
from penstock.cli.tables import Table
from penstock.cli.times import moment_text, read_duration
from penstock.records import TokenRecord


@click.group(cls=Group)
def token() -> None:
    """Tokens for callers that come in by HTTP: a scope, on some endpoints or on all."""


@token.command()
@click.argument("name")
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="Each scope holds those before it.")
@click.option("--endpoint", "endpoints", multiple=True, metavar="E", help="Only for this endpoint; may be repeated.")
@click.option(
    "--expires",
    callback=read_duration,
    metavar="DURATION",
    help="How long it lives, like 90d or 12h; for ever unless given.",
)
def create(session: Session, name: str, scope: str, endpoints: tuple[str, ...], expires: float | None) -> None:
    """Make a token, and show it this once."""
    with session.workspace() as workspace:
        made = workspace.tokens.create(
            name,
            scope=cast(Scope, scope),
            endpoints=endpoints or None,
            expires_in=None if expires is None else timedelta(seconds=expires),
        )
    lines = [made.token, f"it is shown this once; send it as `Authorization: Bearer {made.token[:16]}...`"]
    session.output.answer(made, lines, [made.token])


@token.command("list")
@click.option("--all", "every", is_flag=True, help="Also revoked ones.")
def list_(session: Session, every: bool) -> None:
    """List tokens, newest first; their secrets are not kept."""
    with session.workspace() as workspace:
        found = workspace.tokens.list(all=every)
        names = {one.id: one.name for one in workspace.endpoints.list(all=True, limit=100_000).items}
    columns = ("NAME", "SCOPE", "ENDPOINTS", "STATE", "EXPIRES", "CREATED", "ID")
    body = Table(columns, [_row(one, names) for one in found]) if found else "no tokens"
    session.output.answer({"items": found}, [body], [one.id for one in found])


@token.command()
@click.argument("name")
def revoke(session: Session, name: str) -> None:
    """Revoke a token by name or id, for good."""
    begun = datetime.now(UTC)
    with session.workspace() as workspace:
        one = workspace.tokens.revoke(name)
    already = "already " if one.revoked is not None and one.revoked < begun else ""
    session.output.answer(one, [f"{one.name} is {already}revoked: nobody comes in by it any more"], [one.id])


def _row(one: TokenRecord, names: dict[str, str]) -> tuple[object, ...]:
    endpoints = "all" if one.endpoints is None else ", ".join(names.get(each, each) for each in one.endpoints)
    expires = "never" if one.expires is None else moment_text(one.expires)
    return (one.name, one.scope, endpoints, one.state, expires, moment_text(one.created), one.id)
