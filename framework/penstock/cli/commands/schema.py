"""`penstock schema`: the JSON Schema of each kind of document, and of what commands print."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import click

from penstock.cli.click_ext import Command
from penstock.cli.session import Session


@click.command(cls=Command)
@click.argument("kind", required=False)
def schema(session: Session, kind: str | None) -> None:
    """Print the JSON Schema of a KIND of document, or of `--json`; without one, list the kinds."""
    from penstock import codec
    from penstock.config import workspace_schema
    from penstock.errors import UsageError, did_you_mean

    def output() -> dict[str, Any]:
        from penstock.cli.schemas import output_schema

        return output_schema()

    makers: dict[str, Callable[[], dict[str, Any]]] = {name: partial(codec.schema, name) for name in codec.KINDS}
    makers |= {"Workspace": workspace_schema, "Output": output}
    if kind is None:
        session.output.answer({"kinds": list(makers)}, list(makers), list(makers))
        return
    if kind not in makers:
        raise UsageError(f"there is no kind `{kind}` ({did_you_mean(kind, makers)})", code="kind_unknown")
    document = makers[kind]()
    session.output.answer(document, session.output.json_text(document, indent=2).splitlines(), [kind])
