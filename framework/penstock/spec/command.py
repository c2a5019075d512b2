"""Commands are argument lists: splitting the string form, finding placeholders, filling them in.

A value replaces its placeholder inside one argument and is never looked at again, so no value can become a
second argument, a placeholder or shell code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from attrs import frozen

from penstock.errors import SpecInvalid

_MARK = re.compile(r"\$\$\{\{|\$\{\{")
_INSIDE = re.compile(r"\s*([a-z]+(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)+)\s*\}\}")
_OPERATORS = "|&;<>()`"
_EXPANDED = re.compile(r"[A-Za-z_{(?@*#$!0-9-]")
_BLANK = " \t\r\n"
_SHELL_HINT = "a command is not run by a shell; for shell features write `[bash, -c, ...]`"
_LINE_HINT = "end the line before it with a backslash, use `>` instead of `|`, or write `[bash, -c, ...]`"


class CommandInvalid(SpecInvalid, ValueError):
    """A command or placeholder that cannot be read. `code` is stable."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, code=code)


@frozen
class Reference:
    """What one placeholder names: `${{ steps.a.outputs.b }}` has scope `steps` and names `("a", "outputs", "b")`."""

    scope: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """The placeholder in its canonical spelling."""
        return f"${{{{ {'.'.join((self.scope, *self.names))} }}}}"


def pieces(text: str) -> Iterator[str | Reference]:
    """Cut a text into literal parts and references; `$${{` is the literal `${{`. Raises CommandInvalid."""
    position = 0
    for found in _MARK.finditer(text):
        if found.start() < position:
            continue
        if found.start() > position:
            yield text[position : found.start()]
        if found[0] == "$${{":
            yield "${{"
            position = found.end()
            continue
        inside = _INSIDE.match(text, found.end())
        if not inside:
            shown = text[found.start() : found.start() + 40]
            raise CommandInvalid(
                f"`{shown}` is not a placeholder: write `${{{{ parameters.name }}}}`, or `$${{{{` for the text itself",
                "placeholder_invalid",
            )
        scope, *names = inside[1].split(".")
        yield Reference(scope, tuple(names))
        position = inside.end()
    if position < len(text):
        yield text[position:]


def references(text: str) -> list[Reference]:
    """The references in a text, in order. Raises CommandInvalid."""
    return [piece for piece in pieces(text) if isinstance(piece, Reference)]


def sole_reference(text: str) -> Reference | None:
    """The reference when the text is exactly one placeholder, else None. Raises CommandInvalid."""
    found = list(pieces(text))
    return found[0] if len(found) == 1 and isinstance(found[0], Reference) else None


def fill(text: str, resolve: Callable[[Reference], str]) -> str:
    """The text with every placeholder replaced by what `resolve` says of it, verbatim. Raises CommandInvalid."""
    return "".join(piece if isinstance(piece, str) else resolve(piece) for piece in pieces(text))


def split(text: str) -> tuple[str, ...]:
    """Split a command line into arguments as a POSIX shell splits words, placeholders kept whole.

    Quotes and backslashes work as in a shell. Pipes, redirections, lists, substitutions and variables are
    refused with code `shell_operator`: nothing would interpret them. Raises CommandInvalid.
    """
    words: list[str] = []
    word: _Word | None = None
    quote = ""
    position = 0
    end = len(text.rstrip(_BLANK))
    while position < len(text):
        char = text[position]
        taken = _placeholder_at(text, position)
        if taken:
            word = word or _Word()
            word.placeholder(taken)
            position += len(taken)
            continue
        if char == "\\" and quote != "'":
            escaped = text[position + 1 : position + 2]
            position += 2
            if escaped == "\n":
                continue
            if not escaped:
                raise CommandInvalid("the command ends in a backslash", "command_invalid")
            word = word or _Word()
            word.literal("\\" + escaped if quote == '"' and escaped not in '$`"\\' else escaped)
            continue
        position += 1
        if char == quote:
            quote = ""
        elif quote == "" and char in "'\"":
            quote, word = char, word or _Word()
        elif quote == "" and char in _BLANK:
            if char == "\n" and (words or word) and position < end:
                raise CommandInvalid(f"a line of its own would be another command: {_LINE_HINT}", "shell_operator")
            if word is not None:
                words.append(word.finish())
            word = None
        else:
            _refuse_shell(text, position - 1, quote)
            word = word or _Word()
            word.literal(char)
    if quote:
        raise CommandInvalid(f"the command has an unclosed {quote} quote", "command_invalid")
    if word is not None:
        words.append(word.finish())
    return tuple(words)


class _Word:
    """One argument while it is read. What quotes made of `${{` is text, and must not become a placeholder."""

    def __init__(self) -> None:
        self._done: list[str] = []
        self._open: list[str] = []

    def literal(self, text: str) -> None:
        self._open.append(text)

    def placeholder(self, text: str) -> None:
        self._close()
        if text.startswith("${{") and self._done and self._done[-1].endswith("$"):
            # `$` + `${{` is the escape, so this argument has no spelling.
            raise CommandInvalid(f"`$` directly before `{text}` would make it literal text", "placeholder_invalid")
        self._done.append(text)

    def finish(self) -> str:
        self._close()
        return "".join(self._done)

    def _close(self) -> None:
        if self._open:
            self._done.append("".join(self._open).replace("${{", "$${{"))
            self._open = []


def _placeholder_at(text: str, position: int) -> str:
    if text.startswith("$${{", position):
        # The escape covers the literal it opens, up to its braces, so that it stays in one word.
        inside = _INSIDE.match(text, position + 4)
        return text[position : inside.end()] if inside else "$${{"
    if text.startswith("${{", position):
        inside = _INSIDE.match(text, position + 3)
        if inside:
            return text[position : inside.end()]
        list(pieces(text[position:]))  # raises with the message for a broken placeholder
    return ""


def _refuse_shell(text: str, position: int, quote: str) -> None:
    char, after = text[position], text[position + 1 : position + 2]
    if (quote == "" and char in _OPERATORS) or (quote != "'" and char == "`"):
        raise CommandInvalid(f"`{char}` has no meaning here: {_SHELL_HINT}", "shell_operator")
    if quote != "'" and char == "$" and (_EXPANDED.match(after) or (quote == "" and after in ("'", '"'))):
        shown = text[position : position + 12].split()[0]
        raise CommandInvalid(f"`{shown}` would not be expanded: {_SHELL_HINT}", "shell_operator")
