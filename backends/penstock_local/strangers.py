"""Children of an engine whose environment names no step: whose they may be, and their end once they are nobody's.

A program started by `env -i`, or one that writes its title over its environment, becomes such a child when its parent
ends. Its group, its session or its log may still tell its step. Where none does it may be any step's that was there
when it began and has not ended yet.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence

from attrs import define

from penstock_local import neighbours, processes
from penstock_local.clock import Clock
from penstock_local.jobs import Step
from penstock_local.layout import Layout

_SUSPICION = 0.1
"""Seconds in which a child without a token may still turn out to be between two programs."""

Owner = str | int
"""The token of a step, or the pid of a neighbour's keeper whose engine is gone: its steps' orphans come to us."""


@define(eq=False)
class _Stranger:
    """When it began, and whose it may be: they only become fewer, as what starts later is not where it comes from."""

    began: int
    owners: set[Owner]
    settled: bool = False
    since: float | None = None


class Strangers:
    """Children of this engine of which no step is known; they are ended once no step and no neighbour may have them.

    `look_again` is called when one may have been looked at for long enough.
    """

    def __init__(self, layout: Layout, clock: Clock, look_again: Callable[[], None]) -> None:
        self._layout = layout
        self._clock = clock
        self._look_again = look_again
        self._looks_again = False
        self._known: dict[int, _Stranger] = {}

    def forget(self, pid: int) -> None:
        """One of them has ended."""
        self._known.pop(pid, None)

    def end(self, pids: Sequence[int], steps: Sequence[Step]) -> None:
        """End those that nobody claims; `pids` are all there are, `steps` those of which something is left.

        One with a token of another engine is claimed while one is among ours.
        """
        if self._known:  # of one that has a token by now, nothing is kept
            self._known = {pid: self._known[pid] for pid in pids if pid in self._known}
        if not pids:
            return
        near = {pid for pid in pids if neighbours.is_one(pid)}
        ours = {step.token: step for step in steps if not step.adopted}  # what those leave does not come to us
        leaders: dict[Owner, int] = {token: step.pid for token, step in ours.items()}
        leaders |= {pid: pid for pid in near if neighbours.is_keeper(pid)}
        began = functools.cache(processes.began)
        now = time.monotonic()
        for pid in pids:
            if pid in near or (near and processes.token_of(pid) is not None):
                continue
            found = self._known.get(pid)
            if found is None:
                told = self._told(pid, ours)
                found = _Stranger(began(pid), set(leaders) if told is None else told)
                self._known[pid] = found
            found.owners &= leaders.keys()
            if not found.settled:
                found.owners = {owner for owner in found.owners if began(leaders[owner]) <= found.began}
                found.settled = all(leaders[owner] for owner in found.owners)  # else one has no known pid yet
            if found.owners:
                continue
            if found.since is None:
                found.since = now
            if now >= found.since + _SUSPICION:
                processes.signal_child(pid, signal.SIGKILL)
            elif not self._looks_again:  # once for all of them: there may be thousands
                self._looks_again = True
                self._clock.later(_SUSPICION, self._once_more)

    def _told(self, pid: int, steps: Mapping[str, Step]) -> set[Owner] | None:
        """The step that a child's group, session or log tells, nobody where it has ended; None when they tell none."""
        by_pid = {step.pid: token for token, step in steps.items() if step.pid}
        with contextlib.suppress(ProcessLookupError):
            for leader in (os.getpgid(pid), os.getsid(pid)):
                token = by_pid.get(leader) or processes.token_of(leader) or ""
                if token in steps:
                    return {token}
        runs = os.path.realpath(self._layout.runs)
        for path in processes.outputs_of(pid):
            match path.removeprefix(runs).split("/"):
                case ["", run, "logs", name]:
                    return {token for token, step in steps.items() if (step.job.id, f"{step.name}.log") == (run, name)}
        return None

    def _once_more(self) -> None:
        """Who was without a claim the last time was so for too long to be just between two programs, or has one."""
        self._looks_again = False
        self._look_again()
