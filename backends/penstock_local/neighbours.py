"""Engines and keepers, recognised for what they are: one that a step brought up is not the step's, and nobody ends it.

An engine that is started from within a step of another root becomes a child of that root's engine, as every orphan
below it does, and so does the keeper of an engine that was killed. They are known by what they run and by the lock that
they hold: a command line can be anybody's.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from penstock import locks
from penstock_local import processes
from penstock_local.clock import Clock
from penstock_local.troubles import is_machines

_MODULES = (b"penstock_local.engine", b"penstock_local.keeper")
_LOCKS = ("engine.lock", "engine.next")
_JOURNALS = "keepers"
_SUSPICION = 0.1
"""Seconds in which a child without a token may still turn out to be between two programs."""


def is_one(pid: int) -> bool:
    """Whether a process is an engine or a keeper, or the shell that is about to become an engine.

    Raises OSError for trouble of this machine: what is not known is no reason to end it.
    """
    return root_of(pid) is not None


def root_of(pid: int) -> Path | None:
    """The root that a process is an engine or a keeper of, see `is_one`; None when it is none. Raises OSError."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123  # the path is text, and it is read often
            words = file.read(1 << 16).split(b"\0")
        return _root_locked_by(pid) if any(module in words for module in _MODULES) else None
    except OSError as error:  # it has ended, or is another user's
        if is_machines(error):
            raise
        return None


def _root_locked_by(pid: int) -> Path | None:
    for link in Path(f"/proc/{pid}/fd").iterdir():
        path = Path(os.fsdecode(os.readlink(link)))  # noqa: PTH115  # one call for each open file
        is_journal = path.parent.name == _JOURNALS
        if (path.name in _LOCKS or is_journal) and locks.is_taken(link, os.O_NONBLOCK):
            return path.parent.parent if is_journal else path.parent
    return None


class Strangers:
    """Children of this engine of which no step is known; they are ended, unless they are a neighbour's.

    `look_again` is called when one may have been looked at for long enough.
    """

    def __init__(self, clock: Clock, look_again: Callable[[], None]) -> None:
        self._clock = clock
        self._look_again = look_again
        self._since: dict[int, float] = {}

    def forget(self, pid: int) -> None:
        """One of them has ended."""
        self._since.pop(pid, None)

    def end(self, pids: Sequence[int]) -> None:
        """End those that nobody claims. One with a token of another engine is claimed while one is among ours."""
        near = {pid for pid in pids if is_one(pid)}
        for pid in pids:
            claimed = pid in near or (near and processes.token_of(pid) is not None)
            if not claimed and self._is_nobodys(pid):
                processes.signal_child(pid, signal.SIGKILL)

    def _is_nobodys(self, pid: int) -> bool:
        """Whether a child has been without a claim for too long to be just between two programs."""
        now = time.monotonic()
        if pid not in self._since:
            self._since[pid] = now
            self._clock.later(_SUSPICION, self._look_again)
        return now >= self._since[pid] + _SUSPICION
