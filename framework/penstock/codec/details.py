"""What went wrong while structuring, as details: paths out of cattrs' nested errors, positions out of the document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)

from penstock.codec import shapes
from penstock.errors import Problem, did_you_mean
from penstock.spec.command import CommandInvalid

if TYPE_CHECKING:
    from penstock.codec.reading import Document

_KEY_CODES = frozenset({"cycle", "env_name_invalid", "key_invalid", "limit_not_applicable", "unknown_key"})
"""Codes of problems that are shown at a key rather than at its value."""


class Mismatch(ValueError):
    """A value that its place in the document does not allow."""

    def __init__(self, message: str, *, hint: str = "", code: str = "type_mismatch") -> None:
        super().__init__(message)
        self.hint = hint
        self.code = code


def located(details: Iterable[Problem], document: Document | None) -> list[Problem]:
    """The details with their positions filled in, in the order of the document."""
    if document is None:
        return list(details)
    placed = []
    for detail in details:
        path = detail.path[:-1] if detail.code == "missing_key" else detail.path
        if detail.code == "missing_key" or detail.code in _KEY_CODES:
            placed.append((document.key_line_column(path), detail.at(document.key_position(path))))
        else:
            placed.append((document.line_column(path), detail.at(document.position(path))))
    return [detail for _, detail in sorted(placed, key=lambda pair: pair[0])]


def details_of(error: BaseException) -> list[Problem]:
    """Everything that an error of the converter says, with paths."""
    if isinstance(error, ClassValidationError):
        return [detail for inner in error.exceptions for detail in _of_attribute(inner, error.cl)]
    if isinstance(error, BaseExceptionGroup):
        return [detail for inner in error.exceptions for detail in _of_item(inner)]
    if not isinstance(error, ValueError | TypeError):
        raise error  # a mistake in code is none of the document's
    if isinstance(error, CommandInvalid) and error.details:
        return list(error.details)
    message = str(error.args[0]) if error.args else type(error).__name__
    code = getattr(error, "code", None)
    return [Problem(code if isinstance(code, str) else "value_invalid", message, hint=getattr(error, "hint", ""))]


def _of_attribute(error: BaseException, cls: type) -> list[Problem]:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [shapes.key_of(cls, field.name) for field in attrs.fields(cls) if field.init]
        return [
            Problem("unknown_key", f"unknown key `{key[:80]}`", (key,), hint=did_you_mean(key, known))
            for key in sorted(error.extra_fields)
        ]
    name = next((note.name for note in _notes(error) if isinstance(note, AttributeValidationNote)), None)
    if name is None:
        return details_of(error)
    key = shapes.key_of(cls, name)
    if isinstance(error, KeyError):
        return [Problem("missing_key", f"missing key `{key}`", (key,))]
    return [detail.under(key) for detail in details_of(error)]


def _of_item(error: BaseException) -> list[Problem]:
    index = next((note.index for note in _notes(error) if isinstance(note, IterableValidationNote)), None)
    return [detail if index is None else detail.under(index) for detail in details_of(error)]


def _notes(error: BaseException) -> list[Any]:
    return getattr(error, "__notes__", [])
