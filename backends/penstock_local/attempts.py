"""The attempts that have processes: starting them, noticing their end, leaving nothing of them behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from penstock_local import processes
from penstock_local.clock import Clock
from penstock_local.jobs import Step

_SUSPICION = 0.1
"""Seconds in which a child without a token may still turn out to be between two programs."""


class Attempts:
    """Every attempt from its spawn until nothing of it is left; then `over` is called with the step."""

    def __init__(self, clock: Clock, over: Callable[[Step], None]) -> None:
        self.steps: dict[str, Step] = {}
        self._clock = clock
        self._over = over
        self._live: dict[int, Step] = {}
        self._suspects: dict[int, float] = {}
        self._devnull = os.open(os.devnull, os.O_RDWR)

    def start(self, step: Step, command: Sequence[str], folder: str, environment: Mapping[str, str], log: Path) -> None:
        """Spawn a step's process. Raises OSError, ValueError."""
        step.process = processes.spawn(command, folder, environment, log, self._devnull)
        self._live[step.process.pid] = step
        self.steps[step.token] = step

    def reap(self) -> None:
        """Take note of the children that ended."""
        any_ended = False
        for pid, code in processes.exited():
            any_ended = True
            self._suspects.pop(pid, None)
            step = self._live.pop(pid, None)
            if step is None or step.process is None:
                continue
            if step.killed or not step.stopping:
                processes.signal_group(pid, signal.SIGKILL)
            step.process.returncode = step.exit_code = code
            step.process = None
        if any_ended:
            self._sweep()

    def _sweep(self) -> None:
        """End what outlived its step, and finish the attempts of which nothing is left."""
        held: set[str] = set()
        for pid in processes.children():
            if pid in self._live:
                continue
            token = processes.token_of(pid)
            step = self.steps.get(token or "")
            if step is None:
                if token is None and not self._is_nobodys(pid):
                    continue
            elif step.process is not None:
                continue
            else:
                held.add(step.token)
                if step.stopping and not step.killed:
                    continue  # it was told to end and has time to do so
            processes.signal_child(pid, signal.SIGKILL)
        for step in [step for step in self.steps.values() if step.process is None and step.token not in held]:
            del self.steps[step.token]
            self._over(step)

    def _is_nobodys(self, pid: int) -> bool:
        """Whether a child has been without a token for too long to be just between two programs."""
        now = time.monotonic()
        if pid not in self._suspects:
            self._suspects[pid] = now
            self._clock.later(_SUSPICION, self._sweep)
        return now >= self._suspects[pid] + _SUSPICION

    def stop(self, token: str, why: str, grace: float) -> None:
        """Tell the processes of an attempt to end, and KILL what is left of them after the time of grace."""
        step = self.steps.get(token)
        if step is None or step.stopping or step.process is None:
            return
        step.stopping = why
        _signal(step, signal.SIGTERM)
        self._clock.later(grace, lambda: self._kill(token))

    def _kill(self, token: str) -> None:
        step = self.steps.get(token)
        if step is not None:
            step.killed = True
            _signal(step, signal.SIGKILL)
            self._sweep()

    def end_all(self, patience: float) -> bool:
        """KILL everything below this process; whether nothing is left within `patience` seconds."""
        deadline = time.monotonic() + patience
        while left := processes.children():
            if time.monotonic() > deadline:
                break
            for pid in left:
                processes.signal_child(pid, signal.SIGKILL)
            for _ in processes.exited():
                pass
            time.sleep(0.002)
        for step in self._live.values():
            if step.process:
                step.process.returncode = -signal.SIGKILL
        os.close(self._devnull)
        return not left


def _signal(step: Step, number: signal.Signals) -> None:
    child = step.process.pid if step.process else None
    for handle in processes.signal_tokens({step.token}, number, child):
        os.close(handle)
