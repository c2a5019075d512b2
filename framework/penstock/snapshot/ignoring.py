"""Which files of code stay at home: `.gitignore` rules as git reads them, caches, and what never travels."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import frozen

from penstock.contract.target import HOME_MARK
from penstock.opening import end_of, read_file
from penstock.snapshot.globs import NeverMatches, regex_of
from penstock.snapshot.refused import NotBundled, text_of, unreadable
from penstock.text import name_text

STATE = ".penstock"
"""The state folder of a workspace, with its registry and secrets."""
ALWAYS = frozenset({".git", STATE})
"""Names that never travel, be it code or data, at any depth, whatever the rules say."""
CACHES = frozenset(
    [
        "__pycache__",
        "__pypackages__",
        ".eggs",
        ".hypothesis",
        ".ipynb_checkpoints",
        ".nox",
        ".pixi",
        ".tox",
        ".venv",
        ".gradle",
        ".terraform",
        "bower_components",
        "node_modules",
    ]
)
"""Names of folders that are no code although they lie in it; they never travel with code."""
_MARKS = ("pyvenv.cfg", "conda-meta/history", "CACHEDIR.TAG")
"""Files by which a folder says itself that it is an environment or a cache."""
_LARGEST = 2**20
"""Bytes of a `.gitignore`: a hundred times what large projects have."""
_LONGEST = 4096
"""Bytes of one rule: no path is longer."""
_MOST_WILD = 2**17
"""Bytes of those rules of a file that have wildcards."""
_MOST_WORK = 10**10
"""Bytes of rules with wildcards, times bytes of the names that they are held against, in one walk.

RE2 takes a nanosecond for one of it at the worst, and a hundredth where names are alike. A hundred thousand files of
fifteen letters under a kilobyte of such rules are a sixth of it.
"""
_MEMORY = 2**26
"""Bytes that RE2 may use for the rules of one file."""
_WILD = frozenset("*?[\\")
_HINT = "write fewer rules with `*`, `?` or `[`, or name whole folders"


@frozen
class _Matcher:
    """Rules by their numbers, for paths, or for names alone: those without wildcards, and a set of RE2's.

    What they are held against has a `d` before a folder and an `f` before a file. The first pattern of the set is none
    of a rule and matches everything: where it does not, RE2 gave up. `size` is what the set's patterns have in bytes.
    """

    plain: Mapping[bytes, int]
    patterns: Any
    numbers: tuple[int, ...]
    size: int

    def last(self, marked: bytes) -> int:
        """The number of the last rule that matches, or -1. Raises ValueError where nobody can say."""
        plain = self.plain.get(marked, -1)
        if self.patterns is None:
            return plain
        matching: list[int] = self.patterns.Match(marked)
        if 0 not in matching:
            raise ValueError
        return max(plain, self.numbers[max(matching)])


@frozen
class Rules:
    """The rules of one `.gitignore`, for paths below its folder `base` (with `/` at the end, or empty).

    `ignores` says for each rule whether what it matches is ignored.
    """

    base: str
    ignores: tuple[bool, ...]
    names: _Matcher
    paths: _Matcher

    def decide(self, path: str) -> bool | None:
        """Whether a path (folders end in `/`) is ignored, kept by a `!` rule, or not spoken of (None)."""
        mark, inner = self._marked(path)
        try:
            number = max(self.names.last(mark + inner.rpartition(b"/")[2]), self.paths.last(mark + inner))
        except ValueError:
            raise too_many(self.base, "has more rules than can be matched") from None
        return self.ignores[number] if number >= 0 else None

    def work(self, path: str) -> int:
        """What it costs at the most to decide, in the unit of `_MOST_WORK`."""
        inner = self._marked(path)[1]
        return self.names.size * len(inner.rpartition(b"/")[2]) + self.paths.size * len(inner)

    def _marked(self, path: str) -> tuple[bytes, bytes]:
        inner = path[len(self.base) :].encode("utf-8", "surrogateescape")
        return (b"d", inner[:-1]) if inner.endswith(b"/") else (b"f", inner)


class Ignoring:
    """Decides for one walk what stays at home, and ends it before that takes too long."""

    def __init__(self) -> None:
        self._work = 0

    def decide(self, rules: tuple[Rules, ...], path: str) -> bool:
        """Whether a path stays at home; the rules nearest to it decide first. Its folder is known to travel.

        Raises NotBundled.
        """
        for each in reversed(rules):
            self._work += each.work(path)
            if self._work > _MOST_WORK:
                raise too_many(each.base, "has more rules with wildcards than can be held against so many names")
            decided = each.decide(path)
            if decided is not None:
                return decided
        return False


def too_many(base: str, what: str, line: int | None = None) -> NotBundled:
    """The refusal of the rules in the folder `base`."""
    place = f"{text_of(base)}.gitignore" + ("" if line is None else f":{line}")
    return NotBundled("ignore_rules_large", f"`{place}` {what}", _HINT)


def is_cache(entry: Path) -> bool:
    """Whether a folder holds what tools made and can make again: an environment, packages, a cache.

    One that may not be looked into says nothing of itself.
    """
    return entry.name in CACHES or any(_is_file(entry / mark) for mark in _MARKS)


def is_home(entry: Path) -> bool:
    """Whether a target keeps its files in a folder."""
    return _is_file(entry / HOME_MARK)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # from Python 3.11, of a folder that may not be looked into
        return False


def rules_above(top: Path, folder: Path) -> tuple[Rules, ...]:
    """The rules for paths below `top` that stand in it and in each folder on the way to `folder`, not in that.

    Raises NotBundled.
    """
    parts = folder.relative_to(top).parts
    bases = ["".join(f"{part}/" for part in parts[:length]) for length in range(len(parts))]
    return tuple(rules for base in bases if (rules := read_rules(top / base, name_text(base))) is not None)


def read_rules(folder: Path, base: str) -> Rules | None:
    """The rules in a folder, or None when it has none. Raises NotBundled, also for more than can be matched."""
    file = folder / ".gitignore"
    try:
        if not file.is_file():
            return None
        if file.stat().st_size > _LARGEST:
            raise too_many(base, f"is larger than {_LARGEST:,} bytes")
        text = read_file(end_of(file)[0] if file.is_symlink() else file, _LARGEST)
    except OSError as error:
        raise unreadable(f"{text_of(base)}.gitignore", error) from None
    ignores: list[bool] = []
    names, paths = _Reading(), _Reading()
    # Bytes as characters one by one: git compares bytes, and a name need not be text.
    lines = text.removeprefix(b"\xef\xbb\xbf").decode("latin-1").split("\n")
    for number, line in enumerate(lines, 1):
        rule = _trimmed(line.removesuffix("\r"))
        if not rule or rule.startswith("#"):
            continue
        if len(rule) > _LONGEST:
            raise too_many(base, f"is a rule of more than {_LONGEST:,} bytes", number)
        kept = rule.startswith("!")
        pattern = rule[kept:]
        kinds = "d" if pattern.endswith("/") else "df"
        pattern = pattern.removesuffix("/")
        is_path = "/" in pattern
        reading = paths if is_path else names
        reading.add(pattern.removeprefix("/") if is_path else pattern, kinds, len(ignores), is_path=is_path)
        ignores.append(not kept)
        if names.size + paths.size > _MOST_WILD:
            raise too_many(base, f"has more than {_MOST_WILD:,} bytes of rules with wildcards up to here", number)
    try:
        return Rules(base, tuple(ignores), names.matcher(), paths.matcher())
    except ValueError:
        raise too_many(base, "has more rules than can be matched") from None


class _Reading:
    """Rules while they are read."""

    def __init__(self) -> None:
        self.size = 0
        self._plain: dict[bytes, int] = {}
        self._wild: list[tuple[bytes, int]] = []

    def add(self, pattern: str, kinds: str, number: int, *, is_path: bool) -> None:
        """Add a rule for these kinds of what lies in a folder; one that matches nothing is none."""
        if _WILD.isdisjoint(pattern):
            self._plain.update(dict.fromkeys(((kind + pattern).encode("latin-1") for kind in kinds), number))
            return
        self.size += len(pattern)
        with suppress(NeverMatches):
            self._wild.append((f"[{kinds}]{regex_of(pattern, path=is_path)}".encode("latin-1"), number))

    def matcher(self) -> _Matcher:
        """All of them at once. Raises ValueError when RE2 cannot."""
        patterns = None
        if self._wild:
            import re2  # it takes milliseconds to load, and most folders have no such rules

            options = re2.Options()
            options.encoding, options.max_mem, options.log_errors = re2.Options.Encoding.LATIN1, _MEMORY, False
            patterns = re2.Set.FullMatchSet(options)
            try:
                for regex in (b"(?s:.*)", *(regex for regex, _ in self._wild)):
                    patterns.Add(regex)
                patterns.Compile()
            except re2.error:
                raise ValueError from None
        return _Matcher(self._plain, patterns, (-1, *(number for _, number in self._wild)), self.size)


def _trimmed(line: str) -> str:
    """The line without spaces at its end, unless they are escaped."""
    end = len(line.rstrip(" "))
    escapes = end - len(line[:end].rstrip("\\"))
    return line[: end + escapes % 2]
