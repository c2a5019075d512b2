"""Which files stay at home: `.gitignore` rules as git reads them, and what never travels."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ALWAYS = frozenset({".git", ".penstock", "__pycache__"})
"""Names that never travel, at any depth, whatever the rules say."""


@frozen
class _Rule:
    regex: re.Pattern[str]
    ignores: bool
    folders_only: bool

    def matches(self, path: str) -> bool:
        """Whether the rule is about the path itself.

        A pattern of pathspec also matches everything below a folder that it matches. Here a folder was decided
        on before what is in it, as git does it, so only a match of the whole path counts.
        """
        if self.folders_only and not path.endswith("/"):
            return False
        for found in self.regex.finditer(path):
            below = "ps_d" in self.regex.groupindex and found["ps_d"] is not None
            if not below or found.end("ps_d") == len(path):
                return True
        return False


@frozen
class Rules:
    """The rules of one `.gitignore`, for paths below its folder `base` (with `/` at the end, or empty)."""

    base: str
    rules: tuple[_Rule, ...]

    def decide(self, path: str) -> bool | None:
        """Whether a path (folders end in `/`) is ignored, kept by a `!` rule, or not spoken of (None)."""
        inner = path[len(self.base) :]
        return next((rule.ignores for rule in reversed(self.rules) if rule.matches(inner)), None)


def read_rules(folder: Path, base: str) -> Rules | None:
    """The rules in a folder, or None when it has none. Raises OSError."""
    file = folder / ".gitignore"
    if not file.is_file():
        return None
    text = file.read_bytes().decode("utf-8-sig", "surrogateescape")
    return Rules(base, tuple(rule for line in text.split("\n") for rule in _read_line(line.removesuffix("\r"))))


def is_ignored(rules: tuple[Rules, ...], path: str) -> bool:
    """Whether a path stays at home; the rules nearest to it decide first. Its folder is known to travel."""
    return next((decided for each in reversed(rules) if (decided := each.decide(path)) is not None), False)


def _read_line(line: str) -> Iterator[_Rule]:
    from pathspec import GitIgnoreSpec

    line = line.rstrip(" ") if not line.endswith("\\ ") else line
    # To git `a/**` and `a/**/` are what is below `a`, to pathspec they are `a` as well.
    spelt = f"{line}*/" if line.endswith("/**/") else f"{line}/*" if line.endswith("/**") else line
    # Git passes over lines that it cannot read, too.
    with contextlib.suppress(ValueError):
        for pattern in GitIgnoreSpec.from_lines([spelt]).patterns:
            if pattern.include is not None and pattern.regex is not None:
                yield _Rule(pattern.regex, pattern.include, line.endswith("/"))
