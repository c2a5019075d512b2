"""Which installation an engine is of: a mark of its code and its interpreter, which costs little to make.

The mark is made anew of what lies on disk whenever somebody asks, because that is what an engine started now would run,
whatever the asking process loaded long ago. Whoever claims an engine's lock notes mark and words in the lock's file,
where others read it. A step may write there too: at worst an engine then ends in order, and another one begins.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen

import penstock
from penstock.opening import read_file
from penstock.text import printable
from penstock_local import baseline, interpreters

_PARTS = ("", "contract", "snapshot", "spec")
"""The folders of the package `penstock` whose modules an engine runs; that nothing is missing here is tested."""
_MODULE = re.compile(r"\w+\.pyc?")
_STAYS = "-"
_MARK = re.compile(r"[0-9a-f]{64}|-")
_SIZE = 1024
"""Bytes that a note has: it is written over the one before, because a full disk takes no new ones."""


@frozen
class Installation:
    """What an engine is made of: code, interpreter, and what it keeps of its caller; `mark` tells such apart."""

    mark: str
    words: str

    def gives_way_to(self, mark: str) -> bool:
        """Whether an engine of this one is to end for an engine of the one with that mark."""
        return self.mark not in (_STAYS, mark)

    def staying(self) -> Installation:
        """The same as that of an engine which cannot end in order for now, and is left alone."""
        return evolve(self, mark=_STAYS)


def here() -> Installation:
    """The installation that engines are started from by this process, as it is now."""
    return Installation(mark_here(), _words())


def mark_here() -> str:
    """Its mark alone, in a millisecond."""
    python, home = interpreters.own(), _folder(__file__)
    found = repr((os.path.realpath(home), python, _interpreter(python), list(_code(home)), baseline.of_caller()))
    return hashlib.sha256(found.encode("utf-8", "surrogateescape")).hexdigest()


def _folder(file: str | None) -> str:
    return os.path.dirname(os.path.abspath(file or ""))  # noqa: PTH100, PTH120  # text, and every hand-over asks


def _interpreter(python: str) -> tuple[str, int, int]:
    """Which file an interpreter is, links followed, and what tells its versions apart."""
    real = os.path.realpath(python)
    return real, *_about(real)


def _about(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)  # noqa: PTH116  # text, as above
    except OSError:  # it is being replaced, or was removed
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _code(home: str) -> Iterator[tuple[str, str, int, int]]:
    """Every module that an engine may load: where it lies, its size, when it was changed; or the zip that has them."""
    package = _folder(penstock.__file__)
    for folder in (home, *(os.path.join(package, part) for part in _PARTS)):  # noqa: PTH118  # text, as above
        above = os.path.dirname(home)  # noqa: PTH120  # text, as above
        real = os.path.realpath(folder)
        try:
            with os.scandir(real) as entries:
                # Editors leave files of their own beside a module while it is edited.
                modules = [one for one in entries if _MODULE.fullmatch(one.name)]
            found = sorted((one.name, *_about(one.path)) for one in modules)
        except OSError:
            yield above, "", *_about(above)
            continue
        for name, size, changed in found:
            yield real, name, size, changed


def _words() -> str:
    from importlib import metadata  # an engine needs none of it, and would have it in memory all its life

    version = ""
    with contextlib.suppress(Exception):  # whatever is wrong with what an installer left
        version = f" {metadata.version('penstock')}"
    python = f"Python {sys.version.split()[0]} of `{interpreters.own()}`"
    return printable(f"penstock{version} in `{_folder(__file__)}`, {python}")


def note(file: int, installation: Installation) -> None:
    """Write it into an open file. A disk that takes no note leaves an engine of which nothing is known."""
    data = f"{installation.mark}\n{installation.words}".encode("utf-8", "replace")[: _SIZE - 1]
    with contextlib.suppress(OSError):
        os.pwrite(file, data.ljust(_SIZE - 1) + b"\n", 0)


def noted(path: Path) -> Installation | None:
    """What was noted last in a file; None where it holds nothing of the kind, as that of an older penstock."""
    try:
        return _read(read_file(path, 2 * _SIZE))
    except OSError:
        return None


def noted_in(file: int) -> Installation | None:
    """The same of an open file. Raises OSError."""
    return _read(os.pread(file, _SIZE, 0))


def _read(data: bytes) -> Installation | None:
    mark, _, words = data.decode("utf-8", "replace").partition("\n")
    return Installation(mark, printable(words.strip())) if _MARK.fullmatch(mark) else None
