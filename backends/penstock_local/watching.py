"""Noticing that the logs of running steps grow, by inotify: a step that says nothing costs nothing, nor do its lines.

Steps write into their logs themselves, so what is known is when the kernel told that a log had grown: of one that
grows all the time some twenty times a second. A step that is over in a moment is not watched, only measured at its end.
Where inotify is not to be had, no times are kept, and all else goes on.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import time
from pathlib import Path

from attrs import define

from penstock_local import logs
from penstock_local.clock import Clock
from penstock_local.times import INTERVAL, Marks

_MODIFY = 2
"""`IN_MODIFY` of sys/inotify.h."""
_EVENT = struct.Struct("i12x")
"""`struct inotify_event` of a watched file, which has no name in it: which watch; -1 when some were lost."""
_TROUBLED = 1.0
"""Seconds until the next mark after one that could not be written."""


@define(eq=False)
class _Watched:
    """A log that a step writes; `file` is open, so it is this one whatever lies in its place."""

    file: int
    marks: Marks
    size: int
    watch: int = -1
    due: float = 0.0

    def mark(self, now: float) -> bool:
        """Mark what came since the last time; False when it is too early for that."""
        if now < self.due:
            return False
        size = os.fstat(self.file).st_size
        if size != self.size:
            self.size = size
            self.due = now + self.marks.interval
            try:
                self.marks.add(size, time.time())
            except OSError:  # the log goes on without
                self.due = now + _TROUBLED
        return True


class Watching:
    """The logs of running steps, by their tokens. Call `look` when `poll` is readable."""

    def __init__(self, clock: Clock) -> None:
        self.poll = select.epoll()
        self._clock = clock
        self._by_token: dict[str, _Watched] = {}
        self._by_watch: dict[int, _Watched] = {}
        self._young: set[_Watched] = set()
        self._due = False
        self._grown: set[int] = set()
        self._resting = False
        self._libc = ctypes.CDLL(None)
        self._notify = -1
        if hasattr(self._libc, "inotify_init1"):
            self._notify = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._notify >= 0:
            self.poll.register(self._notify, select.EPOLLIN)

    def begin(self, token: str, log: Path, opened: int) -> None:
        """A step is about to write to its log, which is open. Nothing is raised: it does so without us too."""
        if self._notify < 0:
            return
        self.end(token)
        with contextlib.suppress(OSError):
            file = os.dup(opened)
            size = os.fstat(file).st_size
            self._by_token[token] = watched = _Watched(file, Marks(log, size), size)
            self._young.add(watched)
            if not self._due:
                self._due = True
                self._clock.later(INTERVAL, self._watch)

    def _watch(self) -> None:
        """Watch the logs of steps that have been there for a while, and mark what came until then."""
        self._due = False
        now = time.monotonic()
        for watched in self._young:
            # Whatever lies under its name, and wherever the root is moved.
            path = b"/proc/self/fd/%d" % watched.file
            watched.watch = self._libc.inotify_add_watch(self._notify, path, _MODIFY)
            if watched.watch >= 0:
                self._by_watch[watched.watch] = watched
                watched.mark(now)
        self._young.clear()

    def adopt(self, token: str, log: Path) -> None:
        """A step writes to its log that an earlier engine started; what came since then has no time."""
        with contextlib.suppress(OSError):
            file = logs.open_to_append(log)
            try:
                self.begin(token, log, file)
            finally:
                os.close(file)

    def end(self, token: str) -> None:
        """A step writes no more."""
        watched = self._by_token.pop(token, None)
        if watched is None:
            return
        if watched.watch >= 0 or watched in self._young:
            watched.due = 0.0
            watched.mark(time.monotonic())
        watched.marks.close()
        if watched.watch >= 0:
            self._by_watch.pop(watched.watch, None)
            self._libc.inotify_rm_watch(self._notify, watched.watch)
            self._hear()  # that it is watched no more, which would wake us up
            if self._grown and not self._resting:
                self.look()
        self._young.discard(watched)
        os.close(watched.file)

    def look(self) -> None:
        """Mark what has grown, and rest for a while if anything has."""
        if self._mark() and not self._resting:
            self._resting = True
            self.poll.unregister(self._notify)  # else the kernel wakes us up, if only to find that it need not
            self._clock.later(INTERVAL, self._go_on)

    def _go_on(self) -> None:
        if self._mark():
            self._clock.later(INTERVAL, self._go_on)
            return
        with contextlib.suppress(OSError):  # the kernel has no memory for it: then there are no more times
            self.poll.register(self._notify, select.EPOLLIN)
            self._resting = False

    def _mark(self) -> bool:
        """Mark what has grown as far as it is time; whether anything has, or is to be marked later."""
        heard = self._hear()
        now = time.monotonic()
        self._grown = {
            watch for watch in self._grown if watch in self._by_watch and not self._by_watch[watch].mark(now)
        }
        return heard or bool(self._grown)

    def _hear(self) -> bool:
        """Note which logs have grown; whether there was anything to hear."""
        try:
            data = os.read(self._notify, 65536)  # once: there may always be more
        except BlockingIOError:
            return False
        for (watch,) in _EVENT.iter_unpack(data):
            self._grown |= {watch} if watch >= 0 else self._by_watch.keys()
        return True
