"""The limit `pattern`: regular expressions of a dialect whose matching takes time linear in the text.

The dialect is that of RE2 (https://github.com/google/re2/wiki/Syntax): no look-around, no back-references, no atomic
groups, no possessive quantifiers, no verbose mode, counts up to 1000. A value matches when the pattern is found
anywhere in it, so that `^` and `$` are written where they are meant. These mean otherwise than in Python's `re`:

- `$` is the end of the text, never the place before a last line break;
- `\\d`, `\\w` and `\\b` know ASCII alone (`\\pL` and `\\p{Nd}` know Unicode);
- `\\s` is space, tab, line feed, form feed and carriage return, and nothing else;
- `[[:alpha:]]` and its like are classes of characters.

What Python reads and RE2 would silently take for something else is refused: `{,3}` (literal text to RE2), `\\1` to
`\\99` (octal at times), `\\B` and `\\C` (which look inside a character). So is `\\Z`, with the hint to write `\\z`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from penstock.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_SIZE = 5_000
"""The largest compiled pattern, in instructions: with the longest value that is about a second, whatever both hold."""

_ESCAPE_OR_COUNT = re.compile(r"\\(?P<escape>[1-9][0-9]?|.)|(?P<count>\{,[0-9]*\})", re.DOTALL)
_ESCAPES = {
    "B": "write the characters that may stand there",
    "C": "write `.`, or `(?s:.)` for any character",
    "Z": "write `$` or `\\z` for the end of the text",
}
_FOREIGN = (
    (r"perl operator: \(\?<?[=!]", "look-around cannot be read", "say what the whole value is, or use `enum`"),
    (r"perl operator: \(\?P", "a back-reference cannot be read", "write out what is repeated"),
    (r"perl operator: \(\?>", "an atomic group cannot be read", "write `(?:`"),
    (r"perl operator: \(\?#", "a comment cannot be read", "leave it out"),
    (r"perl operator: \(\?\(", "a condition cannot be read", "write both cases, with `|`"),
    (r"perl operator: \(\?[a-zA-Z]", "of the flags only `i`, `m`, `s` and `U` can be read", "leave the others out"),
    (r"repetition operator: .*\+$", "a possessive quantifier cannot be read", "write it without the last `+`"),
    (r"repetition size", "a pattern repeats at most 1000 times", "use `minLength` and `maxLength`"),
)
"""What people write for other engines: how RE2 complains of it, what to say instead, and what to do."""


class PatternInvalid(ValueError):
    """A pattern that cannot be read; `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern is found in a text, in time linear in it. Raises PatternInvalid."""
    return compiled(pattern)(text) is not None


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Callable[[str], Any]:
    """The search for a pattern: a function of a text. Raises PatternInvalid."""
    import re2  # it takes milliseconds to load, and most pipelines have no pattern

    _refuse_misread(pattern)
    options = re2.Options()
    options.log_errors = False
    try:
        found = re2.compile(pattern, options)
    except UnicodeEncodeError:
        raise PatternInvalid("a lone surrogate is not Unicode text") from None
    except re2.error as error:
        raise _explained(error) from None
    if found.programsize > MAX_SIZE:
        raise _too_large()
    search: Callable[[str], Any] = found.search
    return search


def _refuse_misread(pattern: str) -> None:
    for found in _ESCAPE_OR_COUNT.finditer(pattern):
        escape = found["escape"]
        if found["count"]:
            hint = f"write `{{0{found['count'][1:]}`, or `\\{found['count']}` for the text itself"
            raise PatternInvalid(f"a count without its least (`{found['count']}`) cannot be read", hint)
        if escape in _ESCAPES:
            raise PatternInvalid(f"the escape `\\{escape}` cannot be read", _ESCAPES[escape])
        if escape[0] in "123456789":
            hint = "write out what is repeated, or `\\x01` for the character"
            raise PatternInvalid(f"a back-reference (`\\{escape}`) cannot be read", hint)


def _explained(error: Exception) -> PatternInvalid:
    raw = error.args[0] if error.args else ""
    message = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
    if "too large" in message:
        return _too_large()
    for complaint, what, hint in _FOREIGN:
        if re.search(complaint, message):
            return PatternInvalid(what, hint)
    return PatternInvalid(printable(message[:80]), "patterns are read as RE2 reads them")


def _too_large() -> PatternInvalid:
    return PatternInvalid("the pattern is too large", "use `minLength` and `maxLength` in place of large counts")
