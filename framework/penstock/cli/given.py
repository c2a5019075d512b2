"""Parameters as the command line gives them: `-p NAME=VALUE`, and `--params FILE` or `--params -`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from penstock.cli import options
from penstock.errors import ParameterInvalid, Problem, SpecInvalid
from penstock.spec.values import RawValue

if TYPE_CHECKING:
    from penstock.codec import Document

F = TypeVar("F", bound=Callable[..., Any])


def parameters(function: F) -> F:
    """`-p` and `--params` of a command, as `texts` and `file`."""
    file = click.option(
        "--params",
        "file",
        type=options.FILE,
        metavar="FILE",
        help="Parameters as YAML or JSON, from standard input if `-`; -p wins.",
    )
    text = click.option(
        "-p", "--parameter", "texts", multiple=True, metavar="NAME=VALUE", help="Read by the declared type."
    )
    return text(file(function))


class Given:
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

    try:
        if str(file) == "-":
            file = Path("standard input")
            document = codec.load_document(file, sys.stdin.buffer)
        else:
            document = codec.load_document(file)
    except SpecInvalid as error:
        raise ParameterInvalid(error.message, code=error.code, details=error.details) from None
    wrong = [*document.problems]
    if not isinstance(document.data, dict):
        message = "expected names and values, like `max_depth: 8`"
        wrong.append(Problem("type_mismatch", message, where=document.position(())))
    if wrong:
        raise ParameterInvalid.of(wrong, str(file))
    return document
