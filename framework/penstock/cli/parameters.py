"""Parameters of a trigger as the command line gives them: a file of typed values, and `-p` texts that win."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.cli.options import pairs
from penstock.errors import ParameterInvalid, Problem, SpecInvalid
from penstock.spec.values import RawValue

if TYPE_CHECKING:
    from penstock.codec import Document


class Given:
    """The parameters that were given: `values` by name, JSON values from the file and `RawValue` from `-p`."""

    def __init__(self, file: Path | None, texts: Sequence[str]) -> None:
        self._document = None if file is None else _read(file)
        self._typed = {} if self._document is None else _mapping(self._document)
        self._texts = {name: RawValue(value) for name, value in pairs(texts, "-p").items()}

    @property
    def values(self) -> dict[str, Any]:
        """Every value; one from `-p` hides the file's."""
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
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecInvalid(f"{file}: there is no such parameter file", code="file_not_found") from None
    except UnicodeDecodeError:
        raise SpecInvalid(f"{file} is not UTF-8 text", code="document_not_utf8") from None
    except OSError as error:
        raise SpecInvalid(f"{file} cannot be read: {error.strerror}", code="file_unreadable") from None
    return codec.read_yaml(text, str(file))


def _mapping(document: Document) -> dict[str, Any]:
    data = {} if document.data is None else document.data
    if not isinstance(data, dict):
        detail = Problem("type_mismatch", "expected names and values, like `max_depth: 8`", where=document.position(()))
        raise SpecInvalid(str(detail), details=[detail])
    return {str(name): value for name, value in data.items()}
