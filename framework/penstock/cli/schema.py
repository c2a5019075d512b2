"""`penstock schema`: the JSON Schema of each kind of document."""

from __future__ import annotations

import json

import click

from penstock.cli.group import Command
from penstock.cli.session import Session


@click.command(cls=Command)
@click.argument("kind", required=False)
@click.pass_obj
def schema(session: Session, kind: str | None) -> None:
    """Print the JSON Schema of a KIND of document; without one, list the kinds."""
    from penstock import codec

    if kind is None:
        session.output.answer({"kinds": list(codec.KINDS)}, codec.KINDS, codec.KINDS)
        return
    document = codec.schema(kind)
    session.output.answer(document, json.dumps(document, indent=2, ensure_ascii=False).splitlines(), [kind])
