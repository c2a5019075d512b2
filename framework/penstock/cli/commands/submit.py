"""`penstock submit`: trigger an endpoint, a version, a published pipeline, or a spec file as a trial run."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli import options
from penstock.cli.bundled import asking, yes
from penstock.cli.click_ext import Command
from penstock.cli.given import Given, parameters
from penstock.cli.progress import answer_submitted
from penstock.cli.session import Session
from penstock.errors import ParameterInvalid


@click.command(cls=Command)
@click.argument("ref")
@parameters
@click.option("--experiment", metavar="NAME", help="The name that groups runs; else the endpoint's.")
@click.option("--description", default="", help="What this run is for.")
@click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="A tag of the run; may be repeated.")
@options.idempotency_key
@options.target
@options.wait
@yes
def submit(
    session: Session,
    ref: str,
    texts: tuple[str, ...],
    file: Path | None,
    experiment: str | None,
    description: str,
    tags: tuple[str, ...],
    idempotency_key: str | None,
    target: str | None,
    wait: bool,
    yes: bool,
) -> None:
    """Trigger REF: `name`, `name@version`, a published pipeline's id or `name:label`, or a spec file.

    A file runs as it is, without being published. --target is for a file only: everything else runs where it
    was published. The run goes on when this command has ended.
    """
    given = Given(file, texts)
    tagged = options.pairs(tags, "--tag")
    with session.workspace(target) as workspace:
        try:
            submitted = asking(
                session.output,
                yes,
                lambda large_code: workspace.runs.submit(
                    ref,
                    parameters=given.values,
                    experiment=experiment,
                    description=description,
                    tags=tagged,
                    idempotency_key=idempotency_key,
                    target=target,
                    large_code=large_code,
                ),
            )
        except ParameterInvalid as error:
            raise given.located(error) from None
        answer_submitted(session.output, workspace, submitted, wait=wait)
