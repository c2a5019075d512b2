"""Keepers that a signal holds up: nobody would start, note or be told of their steps, so that is not for long."""

from __future__ import annotations

import signal
from functools import partial

from penstock_local import processes
from penstock_local.clock import Clock
from penstock_local.keepers import Keepers

_PATIENCE = 2.0
"""Seconds in which a keeper may be held up before it is let go on, and again before it is ended."""


class HeldUp:
    """Lets our keepers go on that are held up; those that are held up again are ended and leave us their steps."""

    def __init__(self, keepers: Keepers, clock: Clock) -> None:
        self._keepers = keepers
        self._clock = clock
        self._known: set[int] = set()

    def look(self) -> None:
        """Take note of those that are held up. Their parent is woken for it, as for an end."""
        for pid in self._keepers.stopped - self._known:
            self._known.add(pid)
            self._clock.later(_PATIENCE, partial(self._go_on, pid, signal.SIGCONT))

    def _go_on(self, pid: int, number: signal.Signals) -> None:
        if pid not in self._keepers.stopped:
            self._known.discard(pid)
            return
        processes.signal_child(pid, number)
        self._clock.later(_PATIENCE, partial(self._go_on, pid, signal.SIGKILL))
