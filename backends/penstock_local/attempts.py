"""The attempts that have processes: starting them, noticing their end, leaving nothing of them behind.

Keepers are their parents. Only where one was killed are steps children of the engine itself, which reaps them then.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections import deque
from pathlib import Path
from typing import Protocol

from attrs import evolve

from penstock_local import neighbours, processes, signals
from penstock_local.clock import Clock
from penstock_local.events import Ended, Event, Failed, Started
from penstock_local.held_up import HeldUp
from penstock_local.jobs import Step
from penstock_local.journal import PATIENCE
from penstock_local.keepers import Keepers
from penstock_local.layout import Layout
from penstock_local.own_keeper import Request
from penstock_local.signals import Signals
from penstock_local.strangers import Strangers
from penstock_local.watching import Watching

_UNANSWERED = 0.5
"""Seconds for a keeper to say a step's pid; then the step is found by its token."""
_LOOK_AGAIN = 0.5
"""Seconds after which to see whether the keepers of an earlier engine live."""


class Listener(Protocol):
    """Who is told what became of an attempt. Every attempt is told of once."""

    def over(self, step: Step) -> None:
        """It has ended, and nothing of it is left."""

    def not_started(self, step: Step, error: OSError | ValueError) -> None:
        """It could not be started."""

    def lost(self, step: Step) -> None:
        """Its keeper and the engine over it are gone, and nothing of it is left."""

    def cut_short(self, step: Step) -> None:
        """It was ended because this engine ends, see `Attempts.end_all`."""


class Attempts:
    """Every attempt from its start until nothing of it is left. Call `keepers.recover` before anything is started."""

    def __init__(self, layout: Layout, clock: Clock, listener: Listener) -> None:
        self.steps: dict[str, Step] = {}
        self.watching = Watching(clock)
        self.keepers = Keepers(layout, self.watching)
        self._layout = layout
        self._clock = clock
        self._listener = listener
        self.mine = secrets.token_hex(4)
        self._ours: dict[int, Step] = {}
        self._strangers = Strangers(layout, clock, self._sweep)
        self._heard: deque[Event] = deque()
        self._any_ended = False
        self.held_up = HeldUp(self.keepers, clock)
        self._told: set[str] = set()
        self._signals = Signals(clock, self.steps, self._sweep)
        self._ends = False

    @property
    def parent_of_any(self) -> bool:
        """Whether a step is our own child, of whose end nobody would hear without us."""
        return bool(self._ours)

    @property
    def quiet(self) -> bool:
        """Whether a keeper has every step, none is being ended, and no end is left to be worked out."""
        running = all(step.live and not step.stopping for step in self.steps.values())
        return running and not self._ours and self.keepers.live

    def token(self) -> str:
        """A token for another attempt. By what it begins with, the engine knows what its own steps left."""
        return self.mine + secrets.token_hex(12)

    def start(self, step: Step, request: Request, door: str | None = None) -> None:
        """Have a step's process started, through the `door` of its control group. Raises OSError, NoKeeper."""
        self.keepers.spawn(evolve(request, door=door) if door else request)
        step.live = True
        self.steps[step.token] = step

    def reap(self) -> None:
        """Take note of what keepers say and of children that ended.

        Raises OSError, TimeoutError; then do it again, nothing is lost: what has ended and was not noted is not reaped.
        """
        self._take_in()
        for pid, code in processes.exited():
            self._any_ended = True
            self._strangers.forget(pid)
            if pid not in self._ours:
                # What a dead keeper leaves to us may come before we know that it is dead.
                self.keepers.bury_the_dead()
                self._take_in()
            step = self._ours.get(pid)
            if step is None:
                continue
            if self._ends and code == -signal.SIGKILL:
                del self._ours[pid]
                self._cut_short(step)
                continue
            self.keepers.note_end(step.token, code)
            del self._ours[pid]
            if step.killed or not step.stopping:
                processes.signal_group(pid, signal.SIGKILL)
            self._ended(step, code)
        if self._any_ended:
            self._sweep()
            self._any_ended = False

    def _take_in(self) -> None:
        """Act on what happened, in such a way that it can be tried again."""
        self._heard += self.keepers.hear()
        while self._heard:
            event = self._heard[0]
            step = self.steps.get(event.token)
            if step is not None and step.live:
                self._act_on(event, step)
            self._heard.popleft()

    def _act_on(self, event: Event, step: Step) -> None:
        if isinstance(event, Started):
            self._started(step, event.pid, event.parent)
            return
        self._any_ended = True
        if isinstance(event, Ended):
            if step.adopted:  # what it leaves does not come to us
                processes.end_leftovers({step.token}, [self._log(step)], PATIENCE)
            self._ended(step, event.code)
        elif isinstance(event, Failed):
            self.forget(step)
            self._listener.not_started(step, event.error)
        else:
            processes.end_leftovers({step.token}, [self._log(step)], PATIENCE)
            if self._ends:
                self._cut_short(step)
            else:
                self.forget(step)
                self._listener.lost(step)

    def _started(self, step: Step, pid: int, parent: int) -> None:
        step.pid, step.parent = pid, parent
        if parent == os.getpid():
            self._ours[pid] = step
        if step.stopping and (step.killed or step.token not in self._told):  # before it could be reached
            self._signals.soon(step.token, signal.SIGKILL if step.killed else signal.SIGTERM)

    def _ended(self, step: Step, code: int) -> None:
        step.live, step.exit_code = False, code

    def forget(self, step: Step) -> None:
        """Look after an attempt no more: nothing of it is left, or somebody else sees to what is."""
        del self.steps[step.token]
        self._told.discard(step.token)
        self.watching.end(step.token)

    def _cut_short(self, step: Step) -> None:
        self.forget(step)
        self._listener.cut_short(step)

    def _log(self, step: Step) -> Path:
        return self._layout.log_of(step.job.id, step.name)

    def adopt(self, step: Step, found: Started) -> None:
        """Let a step that an earlier engine started count as running here; its keeper has it still."""
        step.live, step.adopted, step.pid, step.parent = True, True, found.pid, found.parent
        self.steps[step.token] = step
        self.watching.adopt(step.token, self._log(step))
        if len(self.steps) == 1:
            self._look_again()

    def _look_again(self) -> None:
        """See to it that the loop does not sleep for long: nobody tells of the death of somebody else's child."""
        if self.keepers.waits_for_left:
            self._clock.later(_LOOK_AGAIN, self._look_again)

    # Leaving nothing behind

    def _sweep(self) -> None:
        """End what outlived its step, and finish the attempts of which nothing is left."""
        held: set[str] = set()
        mine = self.keepers.pids
        others: list[int] = []
        for pid in processes.children():
            if pid in self._ours or pid in mine:
                continue
            token = processes.token_of(pid)
            step = self.steps.get(token or "")
            if step is None:
                if token is None or not token.startswith(self.mine):
                    others.append(pid)
                    continue
            elif step.live:
                continue
            else:
                held.add(step.token)
                if step.stopping and not step.killed:
                    continue  # it was told to end and has time to do so
            if not neighbours.is_one(pid):
                processes.signal_child(pid, signal.SIGKILL)
        self._strangers.end(others, [step for step in self.steps.values() if step.live or step.token in held])
        for step in [step for step in self.steps.values() if not step.live and step.token not in held]:
            self.forget(step)
            self._listener.over(step)

    def stop(self, token: str, why: str, grace: float) -> None:
        """Tell the processes of an attempt to end, and KILL what is left of them after the time of grace."""
        step = self.steps.get(token)
        if step is None or step.stopping or not step.live:
            return
        step.stopping = why
        self._clock.later(0.0, lambda: self._tell(step))
        self._clock.later(grace, lambda: self._kill(token))

    def _tell(self, step: Step) -> None:
        if step.live and not step.killed:
            self.keepers.gentle(step.token)
            if step.pid:
                self._signals.soon(step.token, signal.SIGTERM)
            else:
                self._clock.later(_UNANSWERED, lambda: self._tell_unanswered(step))

    def _tell_unanswered(self, step: Step) -> None:
        """Tell a step to end whose keeper does not say where it is."""
        if step.live and not step.pid and not step.killed and signals.send([step], signal.SIGTERM):
            self._told.add(step.token)

    def _kill(self, token: str) -> None:
        step = self.steps.get(token)
        if step is not None:
            step.killed = True
            self._signals.soon(token, signal.SIGKILL)

    def end_all(self, patience: float) -> bool:
        """KILL every attempt and everything else below this process but other engines and what is theirs.

        An attempt that had ended before that is told of as ever, and any other as cut short. Answers whether nothing
        is left within `patience` seconds.
        """
        deadline = time.monotonic() + patience
        self._ends = True
        # Keepers first, which would note that their steps were killed: from then on what is noted ended by itself.
        adopted = [step for step in self.steps.values() if step.adopted]
        for step in adopted:
            if neighbours.is_one(step.parent):
                processes.signal_child(step.parent, signal.SIGKILL)
        self.keepers.end()
        with contextlib.suppress(TimeoutError):
            processes.end_leftovers({step.token for step in adopted}, map(self._log, adopted), patience)
        while (left := self._below()) or self.steps:
            if time.monotonic() > deadline:
                return False
            for pid in left:
                processes.signal_child(pid, signal.SIGKILL)
            with contextlib.suppress(OSError, TimeoutError):
                self.reap()
            time.sleep(0.002)
        return True

    def _below(self) -> list[int]:
        pids = processes.children()
        near = {pid for pid in pids if pid not in self.keepers.pids and neighbours.is_one(pid)}
        foreign = {pid for pid in pids if near and not (processes.token_of(pid) or self.mine).startswith(self.mine)}
        return [pid for pid in pids if pid not in near | foreign]
