"""Engines and keepers, recognised for what they are: one that a step brought up is not the step's, and nobody ends it.

An engine that is started from within a step of another root becomes a child of that root's engine, as every orphan
below it does, and so does the keeper of an engine that was killed. They are known by what they run and by the lock that
they hold: a command line can be anybody's.
"""

from __future__ import annotations

import os
from pathlib import Path

from penstock import locks
from penstock_local.troubles import is_machines

_MODULES = (b"penstock_local.engine", b"penstock_local.keeper")
_LOCKS = ("engine.lock", "engine.next")
_JOURNALS = "keepers"


def is_one(pid: int) -> bool:
    """Whether a process is an engine or a keeper, or the shell that is about to become an engine.

    Raises OSError for trouble of this machine: what is not known is no reason to end it.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123  # the path is text, and it is read often
            words = file.read(1 << 16).split(b"\0")
        return any(module in words for module in _MODULES) and _holds_a_lock(pid)
    except OSError as error:  # it has ended, or is another user's
        if is_machines(error):
            raise
        return False


def _holds_a_lock(pid: int) -> bool:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        path = Path(os.fsdecode(os.readlink(link)))  # noqa: PTH115  # one call for each open file
        if (path.name in _LOCKS or path.parent.name == _JOURNALS) and locks.is_taken(link, os.O_NONBLOCK):
            return True
    return False
