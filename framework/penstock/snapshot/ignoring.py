"""Which files stay at home: `.gitignore` rules as git reads them, and what never travels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

from penstock.snapshot.globs import compile_glob

ALWAYS = frozenset({".git", ".penstock", "__pycache__"})
"""Names that never travel, at any depth, whatever the rules say."""


@frozen
class _Rule:
    """One line: what matches a path below the rules' folder or, with `by_name`, the last name of it."""

    regex: re.Pattern[str]
    ignores: bool
    folders_only: bool
    by_name: bool

    def matches(self, path: str, name: str, is_folder: bool) -> bool:
        """Whether the rule is about the path itself. A folder was decided on before what is in it, as git does it."""
        if self.folders_only and not is_folder:
            return False
        return self.regex.fullmatch(name if self.by_name else path) is not None


@frozen
class Rules:
    """The rules of one `.gitignore`, for paths below its folder `base` (with `/` at the end, or empty)."""

    base: str
    rules: tuple[_Rule, ...]

    def decide(self, path: str) -> bool | None:
        """Whether a path (folders end in `/`) is ignored, kept by a `!` rule, or not spoken of (None)."""
        inner = _bytewise(path[len(self.base) :].removesuffix("/").encode())
        name, is_folder = inner.rpartition("/")[2], path.endswith("/")
        return next((rule.ignores for rule in reversed(self.rules) if rule.matches(inner, name, is_folder)), None)


def read_rules(folder: Path, base: str) -> Rules | None:
    """The rules in a folder, or None when it has none. Raises OSError."""
    file = folder / ".gitignore"
    if not file.is_file():
        return None
    text = _bytewise(file.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    return Rules(base, tuple(rule for line in text.split("\n") for rule in _read_line(line.removesuffix("\r"))))


def is_ignored(rules: tuple[Rules, ...], path: str) -> bool:
    """Whether a path stays at home; the rules nearest to it decide first. Its folder is known to travel."""
    return next((decided for each in reversed(rules) if (decided := each.decide(path)) is not None), False)


def _read_line(line: str) -> Iterator[_Rule]:
    pattern = _trimmed(line)
    if not pattern or pattern.startswith("#"):
        return
    ignores = not pattern.startswith("!")
    pattern = pattern if ignores else pattern[1:]
    folders_only = pattern.endswith("/")
    pattern = pattern.removesuffix("/")
    by_name = "/" not in pattern
    regex = compile_glob(pattern.removeprefix("/"), path=not by_name)
    if regex is not None:  # git passes over lines that it cannot read, too
        yield _Rule(regex, ignores, folders_only, by_name)


def _trimmed(line: str) -> str:
    """The line without spaces at its end, unless they are escaped."""
    end = len(line.rstrip(" "))
    escapes = end - len(line[:end].rstrip("\\"))
    return line[: end + escapes % 2]


def _bytewise(data: bytes) -> str:
    """Bytes as characters one by one: git compares bytes, and a name need not be text."""
    return data.decode("latin-1")
