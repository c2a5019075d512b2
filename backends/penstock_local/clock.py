"""Things to do later: the engine's timers, so that it can sleep until the next one."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Clock:
    """Actions by the time they are due, on the monotonic clock."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._ticket = itertools.count()

    def later(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something after so many seconds."""
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._ticket), action))

    def next(self) -> float | None:
        """When the next action is due; None without one."""
        return self._due[0][0] if self._due else None

    def run(self, do: Callable[[Callable[[], None]], None]) -> None:
        """Have done what is due by now: `do` is given each action. What comes due meanwhile waits for its turn."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            do(heapq.heappop(self._due)[2])
