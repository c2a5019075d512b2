"""What was asked for once and is good for a while: the only memory of this backend, each entry can be forgotten."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

_MOST = 512
"""How many entries are held; the oldest go."""


def _always(_: Any) -> float:
    return math.inf


class Kept:
    """Values by key. Threads may share it: they get one value, also where several asked for it at once."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._held: dict[Hashable, tuple[Any, float]] = {}
        self._lock = Lock()

    def get(self, key: Hashable, ask: Callable[[], T], ends: Callable[[T], float] = _always) -> T:
        """The value that is held, or what `ask` returns: `ends` says until when it is good, in seconds since 1970.

        Nothing is held where `ask` raises.
        """
        found: T
        with self._lock:
            found, end = self._held.get(key, (None, 0.0))
            if end > time.time():
                return found
        made = ask()
        with self._lock:
            found, end = self._held.get(key, (None, 0.0))
            if end > time.time():
                return found
            self._held.pop(key, None)
            while len(self._held) >= self._most:
                self._held.pop(next(iter(self._held)))
            self._held[key] = (made, ends(made))
        return made

    def has(self, key: Hashable) -> bool:
        """Whether a value is held that is good."""
        with self._lock:
            return self._held.get(key, (None, 0.0))[1] > time.time()

    def forget(self, key: Hashable) -> None:
        """Ask for it again, whoever wants it next."""
        with self._lock:
            self._held.pop(key, None)

    def clear(self) -> None:
        """Hold nothing, as a new process does."""
        with self._lock:
            self._held.clear()


kept = Kept()
"""What is known of workspaces, by the key of `client.Azure` and what it is."""
