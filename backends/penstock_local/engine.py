"""The engine of one root: one thread that sleeps until a child ends, somebody wakes it or a time comes.

Started on demand (see `wake`) or by hand: `python -m penstock_local.engine ROOT`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from penstock_local import (
    baseline,
    binding,
    database,
    environments,
    installation,
    journal,
    memory,
    moving,
    ownership,
    processes,
    starting,
    succession,
    transactions,
    troubles,
    wake,
)
from penstock_local.clock import Clock
from penstock_local.keepers import NoKeeper
from penstock_local.layout import Layout
from penstock_local.schedule import Schedule

_PATIENCE = 5.0
"""Seconds to wait for others that write to the queue, before the loop begins; whoever started us waits for longer."""
_MOMENT = 0.5
"""Seconds to wait for them in the loop, which has to hear of other things; then it pauses and tries again."""
_LONGEST_SLEEP = 2.0
"""Seconds. Somebody may have moved the root, or put something else where others wake us: they wait longer than that."""


class Engine:
    """The loop. What to do is the schedule's business."""

    def __init__(self, layout: Layout, lock: int, pipe: int) -> None:
        self._layout = layout
        self._lock = lock
        self._pipe = pipe
        self._moved = False
        self._leaving = False
        self._asked = False
        self._begun = time.monotonic()
        self._installation = installation.noted_in(lock) or installation.here()
        self._noted = self._installation
        installation.note(lock, self._noted)  # whoever started us may be of an older penstock
        self._clock = Clock()
        self._wakeups, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._database = database.connect(layout, _PATIENCE)
        self._take()
        self._schedule = Schedule(layout, self._database, self._clock, self._ring, lock)
        database.wait(self._database, _MOMENT)
        self._idle_since = time.monotonic()
        self._poll = select.epoll()
        self._watching = self._schedule.attempts.watching
        for file in (self._wakeups, self._pipe, self._schedule.attempts.keepers.poll, self._watching.poll):
            self._poll.register(file, select.EPOLLIN)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._asked_to_leave)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)

    def _take(self) -> None:
        """Let the queue belong to this root before anything of it is begun or taken for a leftover."""
        if not binding.is_taken(self._layout, self._database):
            with transactions.writing(self._database, durable=True):
                binding.take(self._layout, self._database)

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
        """Work until there was nothing to do for a while, or until asked to end. Raises sqlite3.Error, OSError."""
        orderly = False
        try:
            orderly = self._work()
        except (OSError, sqlite3.Error, NoKeeper):
            if not moving.has_moved(self._layout, self._lock):
                raise
            self._moved = orderly = True
        finally:
            if self._pipe >= 0:
                os.close(self._pipe)
            try:
                if self._moved:
                    self._follow()
                self._schedule.leave(orderly)
                if orderly:
                    self._schedule.preparation.close(moved=self._moved)
            finally:
                self._database.close()

    def _work(self) -> bool:
        """The loop; False when another engine takes over what runs."""
        self._sweep()
        self._schedule.begin()
        while not self._leaving:
            self._schedule.begins = not self._gives_way()
            self._schedule.start_ready()
            if self._gives_way() and self._schedule.quiet:
                _say(f"the engine of {self._layout.root} {starting.GIVES_WAY}{succession.successor(self._layout)}")
                return False
            self._note_whose()
            if self._schedule.busy:
                self._idle_since = time.monotonic()
            elif self._left_to_idle() <= 0 and not self._has_to_stay():
                return True
            self._wait()
        return True

    def _gives_way(self) -> bool:
        """Whether it is time to end for a successor: what waits in memory is begun at every start, and goes on now."""
        return self._asked and self._left_of_tenure() <= 0

    def _left_of_tenure(self) -> float:
        return self._begun + succession.TENURE - time.monotonic()

    def _note_whose(self) -> None:
        """Ask not to be asked while a step is a child of ours: nobody else would hear of its end."""
        stays = self._schedule.attempts.parent_of_any
        wanted = self._installation.staying() if stays else self._installation
        if wanted != self._noted:
            self._noted = wanted
            installation.note(self._lock, wanted)

    def _listen_to(self, words: bytes) -> None:
        """Somebody woke us: for the queue, or to succeed us, who then sees to what comes into the queue."""
        if succession.ASK[0] in words:
            self._asked = succession.is_awaited(self._layout)
            self._schedule.takes = not self._asked
            installation.note(self._lock, self._noted)  # one that gave up has noted that we do not give way
        self._schedule.look()

    def _go_on_alone(self) -> None:
        """The successor has gone: see to what came meanwhile."""
        self._asked, self._schedule.takes = False, True
        installation.note(self._lock, self._noted)  # as above
        self._schedule.look()

    def _follow(self) -> None:
        """Open the queue where it lies now; what is open of it takes no writes once its name is another."""
        place = moving.place_of(self._lock)
        if place is not None:
            self._database.close()
            self._database = self._schedule.notes.database = database.connect(place, _MOMENT)

    def _left_to_idle(self) -> float:
        return self._idle_since + self._schedule.idle - time.monotonic()

    def _has_to_stay(self) -> bool:
        """Stop listening, look once more, and listen again if something has come in between."""
        self._poll.unregister(self._pipe)
        os.close(self._pipe)
        self._pipe = -1
        self._schedule.look()
        self._schedule.start_ready()
        self._sweep()
        if not self._schedule.busy:
            return False
        self._pipe = wake.open_pipe(self._layout)
        self._poll.register(self._pipe, select.EPOLLIN)
        return True

    def _wait(self) -> None:
        """Sleep until something happens, then take note of it."""
        due = self._clock.next()
        times = [_LONGEST_SLEEP] if due is None else [_LONGEST_SLEEP, due - time.monotonic()]
        if not self._schedule.busy:
            times.append(self._left_to_idle())
        if self._asked:
            times.append(succession.ASK_AGAIN)
        woken = self._sleep(max(0.0, min(times)))
        if moving.has_moved(self._layout, self._lock):  # nothing is taken from it, and nothing put into its old place
            self._moved = self._leaving = True
            return
        for file in woken & {self._wakeups, self._pipe}:
            words = b""
            with contextlib.suppress(BlockingIOError):
                words = os.read(file, 65536)
            if file == self._pipe:
                self._schedule.retrying.surely(functools.partial(self._listen_to, words))
        if not wake.is_pipe(self._layout, self._pipe):  # a step put something else in its place
            self._schedule.retrying.surely(self._listen_again)
        if self._asked and not succession.is_awaited(self._layout):
            self._go_on_alone()
        if self._watching.poll.fileno() in woken:
            self._schedule.retrying.surely(self._watching.look)
        if self._wakeups in woken:
            self._schedule.attempts.held_up.look()
        self._schedule.retrying.surely(self._schedule.attempts.reap)
        self._clock.run(self._schedule.retrying.surely)

    def _sleep(self, seconds: float) -> set[int]:
        """Sleep for so long unless something happens, or do what is of use meanwhile; answers which files are ready."""
        until = time.monotonic() + seconds
        for work in self._schedule.spare_work():
            if time.monotonic() >= until:
                break
            if ready := self._poll.poll(0):
                return {file for file, _ in ready}
            self._schedule.retrying.surely(work)
        return {file for file, _ in self._poll.poll(max(0.0, until - time.monotonic()))}

    def _listen_again(self) -> None:
        """Take the place where others look for us, and see what was put into the queue meanwhile."""
        pipe = wake.open_pipe(self._layout)
        self._poll.unregister(self._pipe)
        os.close(self._pipe)
        self._pipe = pipe
        self._poll.register(self._pipe, select.EPOLLIN)
        self._schedule.look()


def _say(line: str) -> None:
    """A line in the engine's log. Raises OSError."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {line}", file=sys.stderr, flush=True)


def _note(layout: Layout, line: str) -> None:
    """A line in the engine's log of what went wrong, and its time."""
    with contextlib.suppress(OSError):
        _say(line)
        os.utime(layout.log, follow_symlinks=False)  # a full disk takes no line, and `heal` looks at the time


def main(arguments: Sequence[str]) -> int:
    """Be the engine of `ROOT`.

    With three more arguments, whoever started us has opened the lock, the pipe, and one to hear from us; with two, the
    place of a successor and that.
    """
    layout = Layout(Path(arguments[0]).absolute())
    ready = int(arguments[-1]) if len(arguments) > 1 else None
    baseline.take()
    memory.leave_attempt()
    try:
        if ready is not None:
            os.set_inheritable(ready, False)
        if len(arguments) == 4:
            claimed: wake.Claim | None = (int(arguments[1]), int(arguments[2]))
        elif len(arguments) == 3:
            claimed = succession.succeed(layout, int(arguments[1]))
        else:
            ownership.make(layout)
            claimed = wake.claim(layout)
        if claimed is None:
            if ready is None:
                print(f"another engine runs for {layout.root}", file=sys.stderr)
            starting.say(ready, starting.READY)
            return 0
        lock, pipe = claimed
        os.set_inheritable(lock, False)
        os.set_inheritable(pipe, False)
        processes.become_reaper()
        ownership.refuse_guest(layout)
        journal.refuse_elsewhere(layout.keepers)
        engine = Engine(layout, lock, pipe)
        starting.say(ready, starting.READY)
        ready = None
        engine.run()
        moving.hand_on(layout, lock)
    except Exception as error:  # whatever it is, the log gets a line and the next engine another chance
        why = troubles.in_words(error, layout)
        starting.say(ready, why.encode())
        _note(layout, f"the engine of {layout.root} {starting.GIVES_UP}{why}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
