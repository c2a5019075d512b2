"""`penstock publish` and `validate`: freeze a pipeline, or see whether it could be, writing nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from penstock.cli.answers import details_rows, short_digest
from penstock.cli.bundled import asking, bundled_lines, yes
from penstock.cli.click_ext import Command
from penstock.cli.options import FILE, target
from penstock.cli.session import Session
from penstock.cli.tables import Table, record
from penstock.errors import PenstockError, Problem, SpecInvalid, UsageError, format_path
from penstock.text import count_text, size_text


@click.command(cls=Command)
@click.argument("file", required=False, type=FILE)
@click.option("--from", "source", metavar="REF", help="Publish the snapshot of an endpoint, version, pipeline or run.")
@click.option("--name", help="Another name than the spec's.")
@click.option("--label", help="Another label than the next number.")
@target
@click.option("--endpoint", metavar="NAME", help="Add it to this endpoint, which is created when it is not there.")
@click.option("--default", is_flag=True, help="Make the new version the endpoint's default.")
@yes
def publish(
    session: Session,
    file: Path | None,
    source: str | None,
    name: str | None,
    label: str | None,
    target: str | None,
    endpoint: str | None,
    default: bool,
    yes: bool,
) -> None:
    """Freeze the pipeline in FILE under a name and a label on a target."""
    if (file is None) == (source is None):
        raise UsageError("give a spec file or --from REF, one of the two")
    if default and endpoint is None:
        raise UsageError("--default needs --endpoint NAME")
    with session.workspace(target) as workspace:
        verbs = workspace.pipelines
        if file is None:
            publishing = partial(verbs.publish_from, str(source))
            outcome = publishing(name=name, label=label, target=target, endpoint=endpoint, default=default)
        else:
            from_file = partial(
                verbs.publish, file, name=name, label=label, target=target, endpoint=endpoint, default=default
            )
            outcome = asking(session.output, yes, lambda large_code: from_file(large_code=large_code))
    one = outcome.published
    session.output.warn(_problem_text(problem) for problem in outcome.warnings)
    verb = "published" if outcome.created else "already published"
    lines: list[str | Table] = [f"{verb} {one.name}:{one.label} on {one.target} ({short_digest(one.digest)})"]
    if told := details_rows(one):
        lines.append(record((f"  {key}", value) for key, value in told))
    lines += bundled_lines(outcome.bundled)
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


@click.command(cls=Command)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@target
def validate(session: Session, files: tuple[Path, ...], target: str | None) -> None:
    """Check spec files, what travels with them, and whether the target can run them.

    Every file is checked, and everything that is wrong is said at once.
    """
    from penstock.workspace.publishing import MOST_CODE

    valid: list[dict[str, object]] = []
    lines: list[str] = []
    digests: list[str] = []
    wrong: list[tuple[Path, PenstockError]] = []
    with session.workspace(target) as workspace:
        for file in files:
            try:
                found = workspace.pipelines.validate(file, target=target)
            except PenstockError as error:
                wrong.append((file, error))
                continue
            name, steps = found.pipeline.name, len(found.pipeline.steps)
            lines.append(
                f"{file}: {name}, {count_text(steps, 'step')}, runs on {found.target} ({short_digest(found.digest)})"
            )
            lines += bundled_lines(found.bundled)
            session.output.warn(f"{file}: {_problem_text(problem)}" for problem in found.warnings)
            digests.append(found.digest)
            code = sum(one.size for one in found.bundled if one.kind == "code")
            if code > MOST_CODE:
                session.output.warn([f"{file}: {size_text(code)} of code; publish asks before it takes so much along"])
            same = {"digest": found.digest, "target": found.target, "warnings": found.warnings}
            valid.append({"file": str(file), "name": name, **same, "bundled": found.bundled})
    if not wrong:
        session.output.answer({"files": valid}, lines, digests)
        return
    if not session.output.json:
        session.output.answer(None, lines, digests)
    if len(wrong) == 1:
        raise wrong[0][1]
    details = [
        detail
        for file, error in wrong
        for detail in error.details or (Problem(error.code, error.message, where=str(file)),)
    ]
    raise SpecInvalid(f"{len(wrong)} of {len(files)} files are not valid", details=details)


def _problem_text(problem: Problem) -> str:
    """A target's warning on one line."""
    return f"{format_path(problem.path)}: {problem.message}" if problem.path else problem.message
