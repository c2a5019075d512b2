"""Which files of code stay at home: `.gitignore` rules as git reads them, caches, and what never travels."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from penstock.opening import read_file
from penstock.snapshot.globs import NeverMatches, regex_of

STATE = ".penstock"
"""The state folder of a workspace, with its registry and secrets."""
ALWAYS = frozenset({".git", STATE})
"""Names that never travel, be it code or data, at any depth, whatever the rules say."""
CACHES = frozenset({"__pycache__", ".venv", "node_modules", ".tox", ".nox", ".ipynb_checkpoints", ".hypothesis"})
"""Names of folders that are no code although they lie in it; they never travel with code."""
_MARKS = ("pyvenv.cfg", "CACHEDIR.TAG")
"""Files by which a folder says itself that it is an environment or a cache."""
_LARGEST = 2**20
"""Bytes of a `.gitignore`: a hundred times what large projects have."""

_MEMORY = 2**28
"""Bytes that RE2 may use for the rules of one file: what real ones need, many times over."""


@frozen
class Rules:
    """The rules of one `.gitignore`, for paths below its folder `base` (with `/` at the end, or empty).

    `ignores` says for each rule whether what it matches is ignored. `patterns` are all of them at once, as a set of
    RE2's, over paths with `d` before a folder and `f` before a file.
    """

    base: str
    ignores: tuple[bool, ...]
    patterns: Any

    def decide(self, path: str) -> bool | None:
        """Whether a path (folders end in `/`) is ignored, kept by a `!` rule, or not spoken of (None)."""
        inner = path[len(self.base) :]
        marked = f"d{inner[:-1]}" if inner.endswith("/") else f"f{inner}"
        matching = self.patterns.Match(os.fsencode(marked))
        return self.ignores[max(matching)] if matching else None


def is_cache(entry: Path) -> bool:
    """Whether a folder holds what tools made and can make again: an environment, packages, a cache.

    One that may not be looked into says nothing of itself.
    """
    return entry.name in CACHES or any(_is_file(entry / mark) for mark in _MARKS)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # from Python 3.11, of a folder that may not be looked into
        return False


def rules_above(top: Path, folder: Path) -> tuple[Rules, ...]:
    """The rules for paths below `top` that stand in it and in each folder on the way to `folder`, not in that."""
    parts = folder.relative_to(top).parts
    bases = ["".join(f"{part}/" for part in parts[:length]) for length in range(len(parts))]
    return tuple(rules for base in bases if (rules := read_rules(top / base, base)) is not None)


def read_rules(folder: Path, base: str) -> Rules | None:
    """The rules in a folder, or None when it has none. Raises OSError, also for more rules than can be matched."""
    file = folder / ".gitignore"
    if not file.is_file():
        return None
    if file.stat().st_size > _LARGEST:
        raise OSError(errno.EFBIG, f"its .gitignore is larger than {_LARGEST:,} bytes")
    import re2  # it takes milliseconds to load, and most folders have no rules

    options = re2.Options()
    options.encoding, options.max_mem, options.log_errors = re2.Options.Encoding.LATIN1, _MEMORY, False
    patterns, ignores = re2.Set.FullMatchSet(options), []
    # Bytes as characters one by one: git compares bytes, and a name need not be text.
    lines = (
        read_file(Path(os.path.realpath(file)), _LARGEST).removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
    )
    try:
        for regex, ignored in (rule for line in lines for rule in _read_line(line.removesuffix("\r"))):
            patterns.Add(regex.encode("latin-1"))
            ignores.append(ignored)
        patterns.Compile()
    except re2.error:
        raise OSError(errno.EFBIG, "its .gitignore has more rules than can be matched") from None
    return Rules(base, tuple(ignores), patterns)


def is_ignored(rules: tuple[Rules, ...], path: str) -> bool:
    """Whether a path stays at home; the rules nearest to it decide first. Its folder is known to travel."""
    return next((decided for each in reversed(rules) if (decided := each.decide(path)) is not None), False)


def _read_line(line: str) -> Iterator[tuple[str, bool]]:
    """The rule of a line: its regular expression, and whether it ignores what it matches."""
    pattern = _trimmed(line)
    if not pattern or pattern.startswith("#"):
        return
    ignores = not pattern.startswith("!")
    pattern = pattern if ignores else pattern[1:]
    kind = "d" if pattern.endswith("/") else "[df]"
    pattern = pattern.removesuffix("/")
    try:
        if "/" in pattern:
            yield kind + regex_of(pattern.removeprefix("/"), path=True), ignores
        else:
            yield f"{kind}(?:[^/]+/)*{regex_of(pattern, path=False)}", ignores
    except NeverMatches:
        return


def _trimmed(line: str) -> str:
    """The line without spaces at its end, unless they are escaped."""
    end = len(line.rstrip(" "))
    escapes = end - len(line[:end].rstrip("\\"))
    return line[: end + escapes % 2]
