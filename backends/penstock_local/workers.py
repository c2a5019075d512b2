"""Work on files that may take long, done beside the engine's loop: no timeout and no end of a step waits for it."""

from __future__ import annotations

import errno
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

MOST = 16
"""Threads at most that get attempts ready: one that has little to copy waits for none that have much, as long as there
are no more of them.
"""
MOST_REMOVING = 1
"""Threads at most that remove, which nobody waits for: two that met in a folder would leave it both."""
_SWITCH = 0.0005
"""Seconds that a thread may keep the interpreter from the loop: a tenth of Python's own, for many small files."""

_Work = Callable[[], Any]
_Then = Callable[[Any], None]


class Workers:
    """A few threads. What they return is told to whoever asked, in the engine's own thread.

    `ring` is called by a worker when something is done. The threads die with the process: what they make is made for
    an attempt that is not on record yet, or removed for one that is over.
    """

    def __init__(self, ring: Callable[[], None], most: int) -> None:
        self.open = 0
        """How many pieces of work have not been collected."""
        self._ring = ring
        self._most = most
        self._threads = 0
        self._todo: SimpleQueue[tuple[_Work, _Then]] = SimpleQueue()
        self._done: SimpleQueue[tuple[_Then, Any]] = SimpleQueue()

    def start(self, work: _Work, then: _Then) -> None:
        """Do some work; `then` is called with what it returns or with the exception that it raised.

        Raises OSError when there is no thread to do it and none to be had.
        """
        if self._threads < min(self.open + 1, self._most):
            self._begin_another()
        self.open += 1
        self._todo.put((work, then))

    def _begin_another(self) -> None:
        sys.setswitchinterval(_SWITCH)
        try:
            threading.Thread(target=self._run, name="penstock-files", daemon=True).start()
        except RuntimeError:  # all that Python says where the machine has none left
            if not self._threads:
                raise OSError(errno.EAGAIN, "no thread can be started") from None
        else:
            self._threads += 1

    def collect(self) -> None:
        """Tell what is done. Call it in the engine's thread."""
        while not self._done.empty():
            then, result = self._done.get()
            self.open -= 1
            then(result)

    def _run(self) -> None:
        while True:
            work, then = self._todo.get()
            try:
                result = work()
            except Exception as error:  # whatever it is, whoever asked decides what it means
                result = error
            self._done.put((then, result))
            self._ring()
