"""Patterns of `.gitignore` as git matches them, byte by byte, in time that no pattern can blow up.

Written as git's `wildmatch` reads them: a library that turns them into plain regular expressions takes exponential time
for `*a*a*a*b`. Here the part after a `*` or `**` is taken where it is first found and never looked for again, which is
right because the next `*` can stand for whatever is in between; only the last one may have to give back.
"""

from __future__ import annotations

import re
import string
from enum import Enum

_PRINTABLE = {chr(code) for code in range(0x20, 0x7F)}
_CLASSES = {
    "alnum": set(string.ascii_letters + string.digits),
    "alpha": set(string.ascii_letters),
    "blank": set(" \t"),
    "cntrl": {chr(code) for code in (*range(0x20), 0x7F)},
    "digit": set(string.digits),
    "graph": _PRINTABLE - {" "},
    "lower": set(string.ascii_lowercase),
    "print": _PRINTABLE,
    "punct": set(string.punctuation),
    "space": set(" \t\n\r\v\f"),
    "upper": set(string.ascii_uppercase),
    "xdigit": set(string.hexdigits),
}


class _Wild(Enum):
    """What stands for any text: `STAR` within one name, the others for folders; `SOME` for at least one of them."""

    STAR = "[^/]*"
    DEEP = "(?:[^/]+/)*?"
    SOME = "(?:[^/]+/)+?"
    REST = ".*"


class _Never(Exception):
    """The pattern matches nothing: git cannot read it."""


def compile_glob(pattern: str, *, path: bool) -> re.Pattern[str] | None:
    """What matches the whole of a text; None for a pattern that git cannot read, which matches nothing.

    Pattern and text are bytes put as characters one by one (Latin-1). With `path` the text is a path, in which `**`
    stands for folders; else it is one name.
    """
    try:
        return re.compile(_regex(_tokens(pattern, path)), re.DOTALL)
    except _Never:
        return None


def _tokens(pattern: str, path: bool) -> list[str | _Wild]:
    """The pattern in parts: a regular expression for one character, or a `_Wild`."""
    tokens: list[str | _Wild] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            wild, at = _stars(pattern, at, path)
            tokens.append(wild)
        elif char == "[":
            found, at = _set(pattern, at + 1)
            tokens.append(f"[{''.join(map(re.escape, sorted(found)))}]" if found else "(?!)")
        elif char == "\\":
            if at + 1 == len(pattern):
                raise _Never
            tokens.append(re.escape(pattern[at + 1]))
            at += 2
        else:
            tokens.append("[^/]" if char == "?" else re.escape(char))
            at += 1
    return tokens


def _stars(pattern: str, at: int, path: bool) -> tuple[_Wild, int]:
    end = at
    while pattern[end : end + 1] == "*":
        end += 1
    if path and end - at > 1 and (at == 0 or pattern[at - 1] == "/"):
        if end == len(pattern):
            return _Wild.REST, end
        if pattern[end] == "/":
            return _Wild.DEEP, end + 1
        if pattern.startswith("\\/", end):
            return _Wild.SOME, end + 2
    return _Wild.STAR, end


def _set(pattern: str, at: int) -> tuple[set[str], int]:
    """The characters of a set whose `[` is before `at`, and where it ends. A `/` is in none."""
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    found: set[str] = set()
    before = ""
    first = True
    while first or pattern[at : at + 1] != "]":
        first = False
        char, escaped, at = _one(pattern, at)
        after = pattern[at : at + 1]
        if char == "-" and not escaped and before and after not in ("", "]"):
            last, _, at = _one(pattern, at)
            found.update(map(chr, range(ord(before), ord(last) + 1)))
            before = ""
        elif char == "[" and not escaped and after == ":" and (end := _class_end(pattern, at)):
            if pattern[at + 1 : end] not in _CLASSES:
                raise _Never
            found |= _CLASSES[pattern[at + 1 : end]]
            before, at = "", end + 2
        else:
            found.add(char)
            before = char
    everything = {chr(code) for code in range(1, 256)}
    return (everything - found if negated else found) - {"/"}, at + 1


def _class_end(pattern: str, at: int) -> int | None:
    """Where `:]` ends the name of a class that begins with the `:` at a place, or None when this is none."""
    end = pattern.find("]", at + 1)
    if end < 0:
        raise _Never
    return end - 1 if end > at + 1 and pattern[end - 1] == ":" else None


def _one(pattern: str, at: int) -> tuple[str, bool, int]:
    """The character at a place of a set, whether it is escaped, and the place after it."""
    escaped = pattern[at : at + 1] == "\\"
    at += escaped
    if at >= len(pattern):
        raise _Never
    return pattern[at], escaped, at + 1


def _regex(tokens: list[str | _Wild]) -> str:
    """Names and folders between two `**` have a fixed number, so where they begin says where they end."""
    parts: list[list[str | _Wild]] = [[]]
    for token in tokens:
        if token in (_Wild.DEEP, _Wild.SOME):
            parts.append([])
        parts[-1].append(token)
    *middle, last = map(_names, parts)
    return "".join(f"(?>{part})" for part in middle) + last


def _names(tokens: list[str | _Wild]) -> str:
    """One `*` after the other within a name; the last of a name gives back, the others need not."""
    written, is_open = "", False
    for index, token in enumerate(tokens):
        if token is not _Wild.STAR:
            written += token.value if isinstance(token, _Wild) else token
            continue
        later = next((other for other in tokens[index + 1 :] if other in (_Wild.STAR, "/")), "/")
        written += (")" if is_open else "") + ("[^/]*" if later == "/" else "(?>[^/]*?")
        is_open = later != "/"
    return written
