"""What this process does to files and folders, heard right before it is done."""

from __future__ import annotations

import _pyio  # type: ignore[import-not-found]  # typeshed does not have it
import builtins
import functools
import io
import os
import re
import stat
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_CHANGED = {
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.truncate": 0,
    "os.chmod": 0,
    "os.chown": 0,
    "os.utime": 0,
    "os.setxattr": 0,
    "os.removexattr": 0,
}
"""Audit events of files and folders, with the argument that names what they change."""

_MADE = ("mkfifo", "mknod")
_FILLED = {
    "write": 0,
    "writev": 0,
    "pwrite": 0,
    "pwritev": 0,
    "sendfile": 0,
    "posix_fallocate": 0,
    "copy_file_range": 1,
}
"""Functions of `os` that no audit event tells of: the first make something, the second change the file whose
descriptor is that argument.
"""

_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{6,}")

_IN_A_ROW = 2
"""How many writes to one file that follow each other are heard: before the first, and when it is half written."""


class Files:
    """Tells `reach` of what changes files; `hear` takes the audit events of the process.

    What is written through file objects is heard too: those that are opened for writing are made of Python's own
    in place of C. A row of writes to one file is heard before the first and before the second of them; what is
    written to a draft, a hidden file that this process has made, is not: nobody looks there before it is renamed.
    """

    def __init__(self, reach: Callable[[str], None]) -> None:
        self._tell = reach
        self._row: tuple[str, int] = ("", 0)
        self._drafts: set[str] = set()
        for name in _MADE:
            setattr(os, name, functools.partial(self._makes, name, getattr(os, name)))
        for name, argument in _FILLED.items():
            if hasattr(os, name):
                setattr(os, name, functools.partial(self._fills, getattr(os, name), argument))
        io.open = builtins.open = functools.partial(_opened, io.open)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Hear one audit event."""
        if event in _CHANGED:
            path = arguments[_CHANGED[event]]
            # Relative to another folder nothing can be looked up by its name.
            if arguments[-1] not in (-1, None) or _changes(event, path):
                self._reach(f"{event.removeprefix('os.')} {called(path)}")
        elif event == "open" and _makes_a_file(arguments[0], arguments[2]):
            self._reach(f"open {called(arguments[0])}")
            whole = os.path.realpath(os.fsdecode(arguments[0]))
            if os.path.basename(whole).startswith("."):  # noqa: PTH119  # any text
                self._drafts.add(whole)

    def _reach(self, name: str) -> None:
        self._row = ("", 0)
        self._tell(name)

    def _makes(self, name: str, real: Callable[..., Any], path: Any, *given: Any, **named: Any) -> Any:
        self._reach(f"{name} {called(path)}")
        return real(path, *given, **named)

    def _fills(self, real: Callable[..., Any], argument: int, *given: Any, **named: Any) -> Any:
        path = _file_behind(given[argument]) if len(given) > argument else None
        if path is not None and path not in self._drafts:
            row, self._row = self._row, (path, 1)
            if row[0] == path:
                self._row = (path, row[1] + 1)
            if self._row[1] <= _IN_A_ROW:
                self._tell(f"write {called(path)}")
        return real(*given, **named)


def called(path: Any) -> str:
    """The last part of a path, or of an open file's, without what is random in it."""
    if isinstance(path, int):
        path = _file_behind(path) or "a descriptor"
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    name = os.path.basename(text.partition("?")[0].rstrip("/"))  # noqa: PTH119  # any text
    # Drafts have random names of all kinds; they are hidden, and have a telling end at best.
    return _RANDOM.sub("*", f".*.{name.rpartition('.')[2]}" if name.startswith(".") else name)


def _opened(real: Callable[..., Any], file: Any, mode: str = "r", *given: Any, **named: Any) -> Any:
    return _pyio.open(file, mode, *given, **named) if set(mode) & set("wax+") else real(file, mode, *given, **named)


def _file_behind(descriptor: int) -> str | None:
    """The path of the file that a descriptor is on; None for what is no file, or has no name any more."""
    with suppress(OSError):
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode) and about.st_nlink:
            with suppress(OSError):
                return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115  # any text
            return "a file"
    return None


def _changes(event: str, path: Any) -> bool:
    """Whether there is anything to do: a folder that is there is not made, a file that is not is not removed."""
    if event not in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate") or isinstance(path, int):
        return True
    return os.path.lexists(path) == (event != "os.mkdir")


def _makes_a_file(path: Any, flags: int) -> bool:
    """Whether an open makes or empties a file."""
    if not isinstance(path, str | bytes | os.PathLike) or not flags & (os.O_CREAT | os.O_TRUNC):
        return False
    there = os.path.lexists(path)
    return not there if not flags & os.O_TRUNC else os.path.isfile(path) or not there  # noqa: PTH113  # any text
