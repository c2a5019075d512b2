"""`penstock schema`: the JSON Schema of each kind of document."""

from __future__ import annotations

import json

import click

from penstock.cli.click_ext import Command
from penstock.cli.session import Session


@click.command(cls=Command)
@click.argument("kind", required=False)
@click.pass_obj
def schema(session: Session, kind: str | None) -> None:
    """Print the JSON Schema of a KIND of document; without one, list the kinds."""
    from penstock import codec
    from penstock.config import workspace_schema
    from penstock.errors import UsageError, did_you_mean

    makers = {name: lambda name=name: codec.schema(name) for name in codec.KINDS} | {"Workspace": workspace_schema}
    if kind is None:
        session.output.answer({"kinds": list(makers)}, list(makers), list(makers))
        return
    if kind not in makers:
        raise UsageError(f"there is no kind `{kind}` ({did_you_mean(kind, makers)})", code="kind_unknown")
    document = makers[kind]()
    session.output.answer(document, json.dumps(document, indent=2, ensure_ascii=False).splitlines(), [kind])
