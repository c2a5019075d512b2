"""The words of a filter, which a listing of jobs and one of log entries read in the same way (AIP-160)."""

from __future__ import annotations

import re
from collections.abc import Callable

from penstock_vertex_emulator.errors import ApiError, invalid

_SHOWN = 200
"""Characters of a filter that are shown of what is wrong with it."""


class FilterWords:
    """The words of a filter that are left to read: each of the kind `sign`, `text` (without its quotes) or `word`.

    `pattern` has a group of each kind, and `unquoted` takes the backslashes out of a text. Raises ApiError for what the
    pattern does not match.
    """

    def __init__(self, text: str, pattern: re.Pattern[str], unquoted: Callable[[str], str]) -> None:
        self._text = text
        self.words: list[tuple[str, str]] = []
        position = 0
        while text[position:].strip():
            found = pattern.match(text, position)
            if found is None:
                raise self.wrong(f"unexpected {text[position:].strip()[:20]!r}")
            kind = str(found.lastgroup)
            self.words.append((kind, unquoted(found[kind]) if kind == "text" else found[kind]))
            position = found.end()

    @property
    def shown(self) -> str:
        """The filter, as an error shows it."""
        return repr(self._text[:_SHOWN])

    def wrong(self, what: str) -> ApiError:
        """What is wrong with the filter."""
        return invalid(f"filter {self.shown}: {what}")

    def take(self, *wanted: str) -> bool:
        """Whether the next word is one of these, which is read then; a text is none."""
        if self.words and self.words[0][0] != "text" and self.words[0][1] in wanted:
            self.words.pop(0)
            return True
        return False

    def next(self, what: str) -> tuple[str, str]:
        """The next word, which is read. Raises ApiError when there is none."""
        if not self.words:
            raise self.wrong(f"{what} is missing at the end")
        return self.words.pop(0)
