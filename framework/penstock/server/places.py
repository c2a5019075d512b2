"""How many requests may be at what at a time, so that those that wait for something leave room for all others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from penstock.errors import TooManyRequests
from penstock.text import count_text

READS = ("GET", "HEAD")
"""The methods that change nothing."""


class Places:
    """The places of a server: of so many requests at a time, a quarter is kept for those that read."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._all, self._changing, self._sending = 0, 0, 0

    @property
    def crowded(self) -> bool:
        """Whether who only waits for news should go, and come again."""
        return self._all > self._most - self._most // 4

    def enter(self, method: str) -> None:
        """Count a request."""
        self._all += 1
        self._changing += method not in READS

    def leave(self, method: str) -> None:
        """Count it no more."""
        self._all -= 1
        self._changing -= method not in READS

    def check(self, method: str) -> None:
        """Raise TooManyRequests when a request that was counted has no place."""
        if self._all > self._most or (method not in READS and self._changing > self._most - self._most // 4):
            raise TooManyRequests(f"the server answers {count_text(self._most, 'request')} at a time; try again")

    @contextmanager
    def sending(self) -> Iterator[None]:
        """While a body is waited for. At most half of the places wait for one. Raises TooManyRequests."""
        self._sending += 1
        try:
            most = max(1, self._most // 2)
            if self._sending > most:
                bodies = "body" if most == 1 else "bodies"
                raise TooManyRequests(f"the server waits for {most:,} {bodies} at a time; try again")
            yield
        finally:
            self._sending -= 1
