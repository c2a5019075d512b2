"""Signalling the processes of steps: of several at once, because all that the machine has are looked through for that.

For two hundred steps one by one the engine would hear of nothing else for seconds.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Mapping

from penstock_local import processes
from penstock_local.clock import Clock
from penstock_local.jobs import Step

AT_ONCE = 32
"""Steps at a time: meanwhile their processes are held open, and the engine hears of nothing."""


class Signals:
    """Signals of `steps`, by their tokens; `sweep` is called when some were killed."""

    def __init__(self, clock: Clock, steps: Mapping[str, Step], sweep: Callable[[], None]) -> None:
        self._clock = clock
        self._steps = steps
        self._sweep = sweep
        self._wanted: dict[str, signal.Signals] = {}

    def soon(self, token: str, number: signal.Signals) -> None:
        """Signal a step with the others that are to be signalled now."""
        if not self._wanted:
            self._clock.later(0.0, self._send_some)
        self._wanted[token] = number

    def _send_some(self) -> None:
        """Raises OSError; then it may be called again."""
        number = next(iter(self._wanted.values()))
        tokens = [token for token, wanted in self._wanted.items() if wanted == number][:AT_ONCE]
        send([self._steps[token] for token in tokens if token in self._steps], number)
        for token in tokens:
            del self._wanted[token]
        if self._wanted:
            self._clock.later(0.0, self._send_some)
        if number == signal.SIGKILL:
            self._clock.later(0.0, self._sweep)


def send(steps: Collection[Step], number: signal.Signals) -> bool:
    """Signal the processes of steps; whether there are any. Raises OSError."""
    children = [(step.pid, step.parent) for step in steps if step.live and step.pid]
    handles = processes.signal_tokens({step.token for step in steps}, number, children)
    for handle in handles:
        os.close(handle)
    return bool(handles)
