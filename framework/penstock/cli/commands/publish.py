"""`penstock publish`: freeze a pipeline, from a file or from something that is already there."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.click_ext import Command
from penstock.cli.options import FILE, target
from penstock.cli.session import Session
from penstock.contract.target import Problem
from penstock.errors import UsageError, format_path


@click.command(cls=Command)
@click.argument("file", required=False, type=FILE)
@click.option("--from", "source", metavar="REF", help="Publish the snapshot of an endpoint, version, pipeline or run.")
@click.option("--name", help="Another name than the spec's.")
@click.option("--label", help="Another label than the next number.")
@target
@click.option("--endpoint", metavar="NAME", help="Add it to this endpoint, which is created when it is not there.")
@click.option("--default", is_flag=True, help="Make the new version the endpoint's default.")
def publish(
    session: Session,
    file: Path | None,
    source: str | None,
    name: str | None,
    label: str | None,
    target: str | None,
    endpoint: str | None,
    default: bool,
) -> None:
    """Freeze the pipeline in FILE under a name and a label on a target."""
    if (file is None) == (source is None):
        raise UsageError("give a spec file or --from REF, one of the two")
    if default and endpoint is None:
        raise UsageError("--default needs --endpoint NAME")
    with session.workspace(target) as workspace:
        verbs = workspace.pipelines
        if file is not None:
            outcome = verbs.publish(file, name=name, label=label, target=target, endpoint=endpoint, default=default)
        else:
            outcome = verbs.publish_from(
                str(source), name=name, label=label, target=target, endpoint=endpoint, default=default
            )
    one = outcome.published
    session.output.warn(problem_text(problem) for problem in outcome.warnings)
    verb = "published" if outcome.created else "already published"
    lines = [f"{verb} {one.name}:{one.label} on {one.target} ({short_digest(one.digest)})"]
    if outcome.endpoint is not None:
        version = f"{outcome.endpoint.name}@{outcome.version}"
        added = "added" if outcome.version_added else "was there already"
        if outcome.default_moved:
            lines.append(f"{version} is now the default")
        elif outcome.endpoint.default == outcome.version:
            lines.append(f"{version} {added} and is the default")
        else:
            lines.append(f"{version} {added}, default stays {outcome.endpoint.default}")
    session.output.answer(outcome, lines, [one.id])


def short_digest(digest: str) -> str:
    """The start of a digest, enough to compare by eye."""
    return f"{digest[:19]}…"


def problem_text(problem: Problem) -> str:
    """A target's warning on one line."""
    return f"{format_path(problem.path)}: {problem.message}" if problem.path else problem.message
