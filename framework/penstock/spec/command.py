"""Commands are argument lists: splitting the string form, finding placeholders, filling them in.

A value replaces its placeholder inside one argument and is never looked at again, so no value can become a
second argument, a placeholder or shell code.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from attrs import frozen

from penstock.errors import Problem, SpecInvalid

_MARK = re.compile(r"\$\$\{\{|\$\{\{")
_BROKEN = re.compile(r"\$\{\{(?:[^{}\n]*\}\}|\s*[^\s{}]*)")
_INSIDE = re.compile(r"\s*([a-z]+(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)+)\s*\}\}")
_OPERATORS = "|&;<>()`"
_EXPANDED = re.compile(r"[A-Za-z_{(?@*#$!0-9-]")
_BLANK = " \t\r\n"
_SHELL_HINT = "a command is not run by a shell; for shell features write `[bash, -c, ...]`"
_QUOTE_HINT = f"{_SHELL_HINT}, and quote what is meant as it stands"
_GLOB = re.compile(r"[*?]|\[[^/][^\[/\]]*\[?\]")
_RANGE = re.compile(r"\{(?:[+-]?\d+|[A-Za-z])\.\.(?:[+-]?\d+|[A-Za-z])(?:\.\.[+-]?\d+)?\}")
_HOME = re.compile(r"(?:[A-Za-z_]\w*\+?=(?:.*:)?)?~", re.ASCII | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=", re.ASCII)
_BUILTINS = re.compile(
    r"[.:!{}]|\[\[|\]\]|alias|bg|bind|break|builtin|caller|case|cd|chdir|command|compgen|complete|compopt|continue|coproc"
    r"|declare|dirs|disown|do|done|elif|else|enable|esac|eval|exec|exit|export|fc|fg|fi|for|function|getopts|hash|help"
    r"|history|if|in|jobs|let|local|logout|mapfile|popd|pushd|read|readarray|readonly|return|select|set|shift|shopt"
    r"|source|suspend|then|time|times|trap|type|typeset|ulimit|umask|unalias|unset|until|wait|while"
)
"""First words that only a shell knows, or that would change nothing but a process of their own.

They are bash's builtins and keywords, and `chdir` of dash. Left are those that are programs too on ordinary images of
Debian: `[`, `echo`, `false`, `kill`, `printf`, `pwd`, `test` and `true`. GNU's `time` is on few; quoted it is meant.
"""
COMMAND_CODES = frozenset({"command_invalid", "placeholder_invalid", "shell_operator"})
"""Codes of what is wrong with a command that cannot be read."""
_LINE_HINT = "end the line before it with a backslash, use `>` instead of `|`, or write `[bash, -c, ...]`"


class CommandInvalid(SpecInvalid, ValueError):
    """A command or placeholder that cannot be read. `code` is stable; `details` are there if there are several."""

    def __init__(self, message: str, code: str, details: Iterable[Problem] = ()) -> None:
        super().__init__(message, code=code, details=details)


@frozen
class Reference:
    """What one placeholder names: `${{ steps.a.outputs.b }}` has scope `steps` and names `("a", "outputs", "b")`."""

    scope: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        """The placeholder in its canonical spelling."""
        return f"${{{{ {'.'.join((self.scope, *self.names))} }}}}"


def pieces(text: str, wrong: list[CommandInvalid] | None = None) -> Iterator[str | Reference]:
    """Cut a text into literal parts and references; `$${{` is the literal `${{`. Raises CommandInvalid.

    With `wrong`, what would be raised is added to that instead, and left out.
    """
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
            broken = _broken(text, found.start())
            if wrong is None:
                raise _no_placeholder(broken)
            wrong.append(_no_placeholder(broken))
            position = found.start() + len(broken)
            continue
        scope, *names = inside[1].split(".")
        yield Reference(scope, tuple(names))
        position = inside.end()
    if position < len(text):
        yield text[position:]


def _broken(text: str, start: int) -> str:
    """A placeholder that cannot be read: up to its braces, or its first word when they are missing."""
    found = _BROKEN.match(text, start)
    assert found is not None
    return found[0]


def _no_placeholder(broken: str) -> CommandInvalid:
    shown = broken if len(broken) <= 40 else f"{broken[:37]}..."
    return CommandInvalid(
        f"`{shown}` is not a placeholder: write `${{{{ parameters.name }}}}`, or `$${{{{` for the text itself",
        "placeholder_invalid",
    )


def references(text: str, wrong: list[CommandInvalid] | None = None) -> list[Reference]:
    """The references in a text, in order. Raises CommandInvalid; `wrong` as for `pieces`."""
    return [piece for piece in pieces(text, wrong) if isinstance(piece, Reference)]


def readable(text: str) -> str:
    """A text without the placeholders in it that cannot be read."""
    kept = pieces(text, [])
    return "".join(str(piece) if isinstance(piece, Reference) else piece.replace("${{", "$${{") for piece in kept)


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
    refused with code `shell_operator`: nothing would interpret them. So are words that a shell would expand or obey
    itself, unless they are quoted: `*.csv`, `~/x`, `{a,b}`, `A=1 prog`, `cd x`, `# x`. Raises CommandInvalid with all
    that is wrong.
    """
    wrong: list[CommandInvalid] = []
    words: list[str] = []
    word: _Word | None = None
    quote = ""
    position = 0
    end = len(text.rstrip(_BLANK))
    while position < len(text):
        char = text[position]
        taken = _placeholder_at(text, position)
        if taken:
            word = word or _Word(position)
            wrong += word.placeholder(taken)
            position += len(taken)
            continue
        if char == "\\" and quote != "'":
            escaped = text[position + 1 : position + 2]
            position += 2
            if escaped == "\n":
                continue
            if not escaped:
                wrong.append(CommandInvalid("the command ends in a backslash", "command_invalid"))
            word = word or _Word(position - 2)
            word.quoted("\\" + escaped if quote == '"' and escaped not in '$`"\\' else escaped)
            continue
        position += 1
        if char == quote:
            quote = ""
        elif quote == "" and char in "'\"":
            quote, word = char, word or _Word(position - 1)
            word.quoted("")
        elif quote == "" and char in _BLANK:
            if char == "\n" and (words or word) and position < end:
                message = f"a line of its own would be another command: {_LINE_HINT}"
                wrong.append(CommandInvalid(message, "shell_operator"))
            if word is not None:
                wrong += word.expanded(text[word.start : position - 1], first=not words)
                words.append(word.finish())
            word = None
        else:
            wrong += _shell(text, position - 1, quote)
            word = word or _Word(position - 1)
            if quote:
                word.quoted(char)
            else:
                word.plain(char)
    if quote:
        wrong.append(CommandInvalid(f"the command has an unclosed {quote} quote", "command_invalid"))
    if word is not None:
        wrong += word.expanded(text[word.start : position], first=not words)
        words.append(word.finish())
    _refuse(wrong)
    return tuple(words)


def _refuse(wrong: list[CommandInvalid]) -> None:
    """Raise what was found: each placeholder that cannot be read, and of a shell's words the first stands for all."""
    found = list(
        {(one.code, "" if one.code == "shell_operator" else one.message): one for one in reversed(wrong)}.values()
    )
    found.reverse()
    if len(found) == 1:
        raise found[0]
    if found:
        details = [Problem(one.code, one.message) for one in found]
        raise CommandInvalid(f"{len(found)} problems", found[0].code, details)


class _Word:
    """One argument while it is read. What quotes made of `${{` is text, and must not become a placeholder."""

    def __init__(self, start: int) -> None:
        self.start = start
        self._done: list[str] = []
        self._open: list[str] = []
        self._bare: list[str] = []

    def plain(self, char: str) -> None:
        """Add a character that a shell would look at."""
        self._open.append(char)
        self._bare.append(char)

    def quoted(self, text: str) -> None:
        """Add text that a shell would take as it stands."""
        self._open.append(text)
        self._bare.append("\0")

    def placeholder(self, text: str) -> Iterator[CommandInvalid]:
        """Add a placeholder, or the escape of one; what is wrong with it."""
        self._close()
        self._bare.append("\0")
        if text.startswith("${{"):
            if not _INSIDE.match(text, 3):
                yield _no_placeholder(text)
            elif self._done and self._done[-1].endswith("$"):
                # `$` + `${{` is the escape, so this argument has no spelling.
                message = f"`$` directly before `{text}` would make it literal text"
                yield CommandInvalid(message, "placeholder_invalid")
        self._done.append(text)

    def expanded(self, source: str, *, first: bool) -> Iterator[CommandInvalid]:
        """What a shell would do with the word, which is written `source`, and nobody here does."""
        bare, shown = "".join(self._bare), source if len(source) <= 40 else f"{source[:37]}..."
        why = ""
        if first and _ASSIGNMENT.match(bare):
            why = "would set no variable: write it below the step's `env`;"
        elif first and _BUILTINS.fullmatch(bare):
            why = "is no program but a word of the shell:"
        elif bare.startswith("#"):
            why = "would begin no comment:"
        elif _GLOB.search(bare) or _HOME.match(bare) or _is_braced(bare):
            why = "would not be expanded:"
        if why:
            yield CommandInvalid(f"`{shown}` {why} {_QUOTE_HINT}", "shell_operator")

    def finish(self) -> str:
        self._close()
        return "".join(self._done)

    def _close(self) -> None:
        if self._open:
            self._done.append("".join(self._open).replace("${{", "$${{"))
            self._open = []


def _is_braced(bare: str) -> bool:
    """Whether a word has a range or a list in braces, which may be nested."""
    lists: list[bool] = []
    for char in bare:
        if char == "{":
            lists.append(False)
        elif char == "," and lists:
            lists[-1] = True
        elif char == "}" and lists and lists.pop():
            return True
    return bool(_RANGE.search(bare))


def _placeholder_at(text: str, position: int) -> str:
    if text.startswith("$${{", position):
        # The escape covers the literal it opens, up to its braces, so that it stays in one word.
        inside = _INSIDE.match(text, position + 4)
        return text[position : inside.end()] if inside else "$${{"
    if text.startswith("${{", position):
        inside = _INSIDE.match(text, position + 3)
        return text[position : inside.end()] if inside else _broken(text, position)
    return ""


def _shell(text: str, position: int, quote: str) -> Iterator[CommandInvalid]:
    """What a shell would make of a character, which nobody here does."""
    char, after = text[position], text[position + 1 : position + 2]
    if (quote == "" and char in _OPERATORS) or (quote != "'" and char == "`"):
        yield CommandInvalid(f"`{char}` has no meaning here: {_SHELL_HINT}", "shell_operator")
    if quote != "'" and char == "$" and (_EXPANDED.match(after) or (quote == "" and after in ("'", '"'))):
        shown = text[position : position + 12].split()[0]
        yield CommandInvalid(f"`{shown}` would not be expanded: {_SHELL_HINT}", "shell_operator")
