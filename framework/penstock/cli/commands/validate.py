"""`penstock validate`: check spec files and write nothing."""

from __future__ import annotations

from pathlib import Path

import click

from penstock.cli.click_ext import Command
from penstock.cli.commands.publish import problem_text, short_digest
from penstock.cli.options import FILE, target
from penstock.cli.session import Session
from penstock.errors import PenstockError, Problem, SpecInvalid


@click.command(cls=Command)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FILE)
@target
def validate(session: Session, files: tuple[Path, ...], target: str | None) -> None:
    """Check spec files, what travels with them, and whether the target can run them.

    Every file is checked, and everything that is wrong is said at once.
    """
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
            steps = len(found.pipeline.steps)
            plural = "" if steps == 1 else "s"
            lines.append(
                f"{file}: {found.pipeline.name}, {steps} step{plural}, "
                f"runs on {found.target} ({short_digest(found.digest)})"
            )
            session.output.warn(f"{file}: {problem_text(problem)}" for problem in found.warnings)
            digests.append(found.digest)
            valid.append(
                {
                    "file": str(file),
                    "name": found.pipeline.name,
                    "digest": found.digest,
                    "target": found.target,
                    "warnings": found.warnings,
                }
            )
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
