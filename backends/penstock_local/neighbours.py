"""Engines and keepers, recognised for what they are: one that a step brought up is not the step's, and nobody ends it.

An engine that is started from within a step of another root becomes a child of that root's engine, as every orphan
below it does, and so does the keeper of an engine that was killed. They are known by what they run and by the lock that
they hold: a command line can be anybody's.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from penstock import locks
from penstock_local.troubles import is_machines

_KEEPER = b"penstock_local.keeper"
_MODULES = (b"penstock_local.engine", _KEEPER)
_LOCKS = ("engine.lock", "engine.next")
_JOURNALS = "keepers"


def is_one(pid: int) -> bool:
    """Whether a process is an engine or a keeper, or the shell that is about to become an engine.

    Raises OSError for trouble of this machine: what is not known is no reason to end it.
    """
    return root_of(pid) is not None


def root_of(pid: int) -> Path | None:
    """The root that a process is an engine or a keeper of, see `is_one`; None when it is none. Raises OSError."""
    try:
        words = _words(pid)
        return _root_locked_by(pid) if any(module in words for module in _MODULES) else None
    except OSError as error:  # it has ended, or is another user's
        if is_machines(error):
            raise
        return None


def is_keeper(pid: int) -> bool:
    """Whether what is one, see `is_one`, is a keeper. Raises OSError."""
    try:
        return _KEEPER in _words(pid)
    except OSError as error:
        if is_machines(error):
            raise
        return False


def open_files(pid: int) -> Iterator[tuple[Path, os.stat_result]]:
    """The system's link to each open file of a process that may be looked into, its folder among them, and what the
    system knows of that.
    """
    with contextlib.suppress(OSError):  # it has ended, or is another user's
        for link in (Path(f"/proc/{pid}/cwd"), *Path(f"/proc/{pid}/fd").iterdir()):
            with contextlib.suppress(OSError):
                yield link, link.stat()


def _words(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123  # the path is text, and it is read often
        return file.read(1 << 16).split(b"\0")


def _root_locked_by(pid: int) -> Path | None:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        path = Path(os.fsdecode(os.readlink(link)))  # noqa: PTH115  # one call for each open file
        is_journal = path.parent.name == _JOURNALS
        if (path.name in _LOCKS or is_journal) and locks.is_taken(link, os.O_NONBLOCK):
            return path.parent.parent if is_journal else path.parent
    return None
