"""The engine of one root: one thread that sleeps until a child ends, somebody wakes it or a time comes.

Started on demand (see `wake`) or by hand: `python -m penstock_local.engine ROOT`.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock.errors import PenstockError, one_line
from penstock_local import (
    baseline,
    binding,
    database,
    environments,
    moving,
    ownership,
    processes,
    starting,
    troubles,
    wake,
)
from penstock_local.clock import Clock
from penstock_local.layout import Layout
from penstock_local.schedule import Schedule

_PATIENCE = 60.0
"""Seconds to wait for others that write to the queue; to give up would end every step."""
_LONGEST_SLEEP = 3600.0
"""Seconds; timers of the system overflow after some weeks."""


class Engine:
    """The loop. What to do is the schedule's business."""

    def __init__(self, layout: Layout, lock: int, pipe: int) -> None:
        self._layout = layout
        self._lock = lock
        self._pipe = pipe
        self._moved = False
        self._leaving = False
        self._clock = Clock()
        self._wakeups, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._database = database.connect(layout, _PATIENCE)
        self._take()
        self._schedule = Schedule(layout, self._database, self._clock, self._ring)
        self._idle_since = time.monotonic()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wakeups, selectors.EVENT_READ)
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._selector.register(self._schedule.attempts.keepers.poll, selectors.EVENT_READ)
        self._watching = self._schedule.attempts.watching
        self._selector.register(self._watching.poll, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_leave)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _take(self) -> None:
        """Let the queue belong to this root before anything of it is begun or taken for a leftover."""
        if not binding.is_taken(self._layout, self._database):
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.execute("BEGIN IMMEDIATE")
            binding.take(self._layout, self._database)
            self._database.execute("COMMIT")
            self._database.execute("PRAGMA synchronous = NORMAL")

    def _asked_to_leave(self, number: int, frame: Any) -> None:
        self._leaving = True

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # full: the loop has enough to wake up for
            os.write(self._wakeup, b"\0")

    def _sweep(self) -> None:
        try:
            environments.sweep(self._layout, self._database)
        except (OSError, sqlite3.Error) as error:
            if not (isinstance(error, OSError) or troubles.is_machines(error)):
                raise
            _note(self._layout, f"cannot remove environments that nobody needs: {error}")

    def run(self) -> None:
        """Work until there was nothing to do for a while, or until asked to leave. Raises sqlite3.Error, OSError."""
        orderly = False
        try:
            self._work()
            orderly = True
        finally:
            if self._pipe >= 0:
                os.close(self._pipe)
            try:
                if self._moved:
                    self._follow()
                self._schedule.leave(orderly)
                if orderly:
                    self._schedule.preparation.close()
            finally:
                self._database.close()

    def _work(self) -> None:
        self._schedule.attempts.keepers.begin()  # it comes up while we look
        self._sweep()
        self._schedule.look()
        # Of an earlier engine's steps run those that were adopted, and of ours none yet.
        self._schedule.clean_up()
        while not self._leaving:
            self._schedule.start_ready()
            if self._schedule.busy:
                self._idle_since = time.monotonic()
            elif self._left_to_idle() <= 0 and not self._has_to_stay():
                return
            self._wait()

    def _follow(self) -> None:
        """Open the queue where it lies now; what is open of it takes no writes once its name is another."""
        place = moving.place_of(self._lock)
        if place is not None:
            self._database.close()
            self._database = self._schedule.notes.database = database.connect(place, _PATIENCE)

    def _left_to_idle(self) -> float:
        return self._idle_since + self._schedule.idle - time.monotonic()

    def _has_to_stay(self) -> bool:
        """Stop listening, look once more, and listen again if something has come in between."""
        self._selector.unregister(self._pipe)
        os.close(self._pipe)
        self._pipe = -1
        self._schedule.look()
        self._schedule.start_ready()
        self._sweep()
        if not self._schedule.busy:
            return False
        self._pipe = wake.open_pipe(self._layout)
        self._selector.register(self._pipe, selectors.EVENT_READ)
        return True

    def _wait(self) -> None:
        """Sleep until something happens, then take note of it."""
        due = self._clock.next()
        times = [_LONGEST_SLEEP] if due is None else [_LONGEST_SLEEP, due - time.monotonic()]
        if not self._schedule.busy:
            times.append(self._left_to_idle())
        woken = {key.fd for key, _ in self._selector.select(max(0.0, min(times)))}
        if moving.has_moved(self._layout, self._lock):  # nothing is taken from it, and nothing put into its old place
            self._moved = self._leaving = True
            return
        for file in woken & {self._wakeups, self._pipe}:
            with contextlib.suppress(BlockingIOError):
                os.read(file, 65536)
            if file == self._pipe:
                self._schedule.look()
        if not wake.is_pipe(self._layout, self._pipe):  # a step put something else in its place
            self._listen_again()
        if self._watching.poll.fileno() in woken:
            self._watching.look()
        self._schedule.attempts.reap()
        self._clock.run()

    def _listen_again(self) -> None:
        """Take the place where others look for us, and see what was put into the queue meanwhile."""
        self._selector.unregister(self._pipe)
        os.close(self._pipe)
        self._pipe = wake.open_pipe(self._layout)
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._schedule.look()


def _why(error: Exception) -> str:
    return str(error) if isinstance(error, PenstockError) else one_line(error)


def _note(layout: Layout, line: str) -> None:
    """A line in the engine's log, and its time."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with contextlib.suppress(OSError):
        print(f"{now} {line}", file=sys.stderr, flush=True)
        os.utime(layout.log)  # a full disk takes no line, and `heal` looks at the time


def main(arguments: Sequence[str]) -> int:
    """Be the engine of `ROOT`.

    With three more arguments, whoever started us has opened the lock, the pipe, and one to hear from us.
    """
    layout = Layout(Path(arguments[0]).absolute())
    ready = int(arguments[3]) if len(arguments) == 4 else None
    baseline.take()
    try:
        if ready is not None:
            os.set_inheritable(ready, False)
            lock, pipe = int(arguments[1]), int(arguments[2])
        else:
            ownership.make(layout)
            claimed = wake.claim(layout)
            if claimed is None:
                print(f"another engine runs for {layout.root}", file=sys.stderr)
                return 0
            lock, pipe = claimed
        os.set_inheritable(lock, False)
        os.set_inheritable(pipe, False)
        processes.become_reaper()
        ownership.refuse_guest(layout)
        engine = Engine(layout, lock, pipe)
        starting.say(ready, starting.READY)
        ready = None
        engine.run()
        moving.hand_on(layout, lock)
    except Exception as error:  # whatever it is, the log gets a line and the next engine another chance
        starting.say(ready, _why(error).encode())
        _note(layout, f"the engine of {layout.root} {starting.GIVES_UP}{_why(error)}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
