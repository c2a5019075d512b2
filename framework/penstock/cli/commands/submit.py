"""`penstock submit`: trigger an endpoint, a version, a published pipeline, or a spec file as a trial run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from penstock.cli import options
from penstock.cli.click_ext import Command
from penstock.cli.progress import answer_submitted
from penstock.cli.session import Session
from penstock.errors import ParameterInvalid, Problem, SpecInvalid
from penstock.spec.values import RawValue

if TYPE_CHECKING:
    from penstock.codec import Document


@click.command(cls=Command)
@click.argument("ref")
@click.option("-p", "--parameter", "texts", multiple=True, metavar="NAME=VALUE", help="Read by the declared type.")
@click.option("--params", "file", type=options.FILE, metavar="FILE", help="Parameters as YAML or JSON; -p wins.")
@click.option("--experiment", metavar="NAME", help="The name that groups runs; else the endpoint's.")
@click.option("--description", default="", help="What this run is for.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag of the run; may be repeated.")
@options.idempotency_key
@options.target
@options.wait
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
) -> None:
    """Trigger REF: `name`, `name@version`, a published pipeline's id or `name:label`, or a spec file.

    A file runs as it is, without being published. --target is for a file only: everything else runs where it
    was published. The run goes on when this command has ended.
    """
    given = _Given(file, texts)
    tagged = options.pairs(tags, "--tag")
    with session.workspace(target) as workspace:
        try:
            submitted = workspace.runs.submit(
                ref,
                parameters=given.values,
                experiment=experiment,
                description=description,
                tags=tagged,
                idempotency_key=idempotency_key,
                target=target,
            )
        except ParameterInvalid as error:
            raise given.located(error) from None
        answer_submitted(session.output, workspace, submitted, wait=wait)


class _Given:
    """Parameters of a trigger as they were given: a file of typed values, and `-p` texts that win."""

    def __init__(self, file: Path | None, texts: Sequence[str]) -> None:
        self._document = None if file is None else _read(file)
        self._typed: dict[str, Any] = {} if self._document is None else self._document.data
        self._texts = {name: RawValue(value) for name, value in options.pairs(texts, "-p").items()}

    @property
    def values(self) -> dict[str, Any]:
        """Every value by its name; one from `-p` hides the file's."""
        return self._typed | self._texts

    def located(self, error: ParameterInvalid) -> ParameterInvalid:
        """The same error, with the place in the file for each value that came from it."""
        details = [self._place(detail) for detail in error.details]
        message = str(details[0]) if len(details) == 1 else error.message
        return ParameterInvalid(message, code=error.code, details=details)

    def _place(self, detail: Problem) -> Problem:
        name = detail.path[0] if detail.path else None
        if self._document is None or detail.where or name not in self._typed or name in self._texts:
            return detail
        return detail.at(self._document.position(detail.path))


def _read(file: Path) -> Document:
    from penstock import codec

    document = codec.load_document(file)
    wrong = [*document.problems]
    if not isinstance(document.data, dict):
        message = "expected names and values, like `max_depth: 8`"
        wrong.append(Problem("type_mismatch", message, where=document.position(())))
    if wrong:
        raise SpecInvalid.of(wrong, str(file))
    return document
