"""Patterns of `.gitignore` as git's `wildmatch` reads them, as regular expressions for RE2, over bytes.

A library that hands them to Python's `re` takes exponential time for `*a*a*a*b`; RE2 takes linear time for all.
"""

from __future__ import annotations

import re
import string
from itertools import groupby

_PRINTABLE = {chr(code) for code in range(0x20, 0x7F)}
_ALL = {chr(code) for code in range(1, 256)}
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


class NeverMatches(Exception):
    """The pattern matches nothing, be it that git cannot read it."""


def regex_of(pattern: str, *, path: bool) -> str:
    """The regular expression for the whole of a text. Raises NeverMatches.

    Pattern and text are bytes put as characters one by one (Latin-1). With `path` the text is a path, in which `**`
    stands for folders; else it is one name.
    """
    # As git does it: what comes before the first special character is compared by itself, and the rest begins anew.
    start = len(re.split(r"[*?\[\\]", pattern, maxsplit=1)[0])
    regex: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        if char == "*":
            folders = path and (at == start or pattern[at - 1] == "/")
            found, at = _stars(pattern, at, folders)
        elif char == "[":
            found, at = _set(pattern, at + 1)
        else:
            char, escaped, at = _one(pattern, at)
            found = "[^/]" if char == "?" and not escaped else re.escape(char)
        regex.append(found)
    return "".join(regex)


def _stars(pattern: str, at: int, folders: bool) -> tuple[str, int]:
    """What stands for any text, in one name or, when there are two stars and `folders`, in many."""
    end = at
    while pattern[end : end + 1] == "*":
        end += 1
    if folders and end - at > 1:
        if end == len(pattern):
            return "(?s:.*)", end
        if pattern[end] == "/":
            return "(?s:.*/)?", end + 1
        if pattern.startswith("\\/", end):
            return "(?s:.*/)", end + 2
    return "[^/]*", end


def _set(pattern: str, at: int) -> tuple[str, int]:
    """The set whose `[` is before `at`, and where it ends. A `/` is in none."""
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
                raise NeverMatches
            found |= _CLASSES[pattern[at + 1 : end]]
            before, at = "", end + 2
        else:
            found.add(char)
            before = char
    chosen = (_ALL - found if negated else found) - {"/"}
    if not chosen:
        raise NeverMatches
    return f"[{_ranges(chosen)}]", at + 1


def _ranges(chosen: set[str]) -> str:
    """The inside of a set of RE2's, in which neighbours are one range."""
    codes = sorted(map(ord, chosen))
    # What of neighbours stays the same is how far the code is ahead of its place.
    runs = [list(run) for _, run in groupby(enumerate(codes), key=lambda one: one[1] - one[0])]
    return "".join(f"\\x{run[0][1]:02x}-\\x{run[-1][1]:02x}" for run in runs)


def _class_end(pattern: str, at: int) -> int | None:
    """Where `:]` ends the name of a class that begins with the `:` at a place, or None when this is none."""
    end = pattern.find("]", at + 1)
    if end < 0:
        raise NeverMatches
    return end - 1 if end > at + 1 and pattern[end - 1] == ":" else None


def _one(pattern: str, at: int) -> tuple[str, bool, int]:
    """The character at a place, whether it is escaped, and the place after it."""
    escaped = pattern[at : at + 1] == "\\"
    at += escaped
    if at >= len(pattern):
        raise NeverMatches
    return pattern[at], escaped, at + 1
