"""Threads for what blocks: so many at once, the others wait in the order they came."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from penstock.errors import RegistryError, TooManyRequests
from penstock.registry.troubles import BUSY_SECONDS
from penstock.text import count_text

_Job = tuple[Callable[[], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Threads:
    """At most so many threads, made when they are needed, that end with the process whatever they wait for: those of
    an executor would keep it alive.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most = most
        self._name = name
        self._jobs: SimpleQueue[_Job] = SimpleQueue()
        self._made = 0
        self._busy = 0  # told by the loop's thread alone

    async def do(self, work: Callable[[], Any]) -> Any:
        """Do what blocks without holding up the others. Who is cancelled meanwhile leaves it behind.

        Raises TooManyRequests when the machine lets no thread be made and there is none yet.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        if self._busy >= self._made < self._most:
            try:
                threading.Thread(target=self._run, name=self._name, daemon=True).start()
            except RuntimeError:  # too many processes and threads: who comes later may try again
                if not self._made:
                    raise TooManyRequests("the server can begin no thread for it now; try again") from None
            else:
                self._made += 1
        self._busy += 1
        self._jobs.put((work, loop, done))
        return await done

    def _run(self) -> None:
        while True:
            work, loop, done = self._jobs.get()
            answer, raised = None, None
            try:
                answer = work()
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # nobody is there any more
                loop.call_soon_threadsafe(self._tell, done, answer, raised)
            del work, loop, done, answer, raised  # nothing is kept while there is nothing to do

    def _tell(self, done: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
        self._busy -= 1
        settle(done, answer, error)


class Writers:
    """Threads for what writes, apart from all others, because each of them may wait for a locked registry."""

    def __init__(self, most: int) -> None:
        self._threads = Threads(most, "penstock-write")
        self._most = most
        self._in_line = 0

    @property
    def busy(self) -> bool:
        """Whether the next one has to wait."""
        return self._in_line >= self._most

    async def do(self, work: Callable[[], Any]) -> Any:
        """Do what writes. Raises RegistryError `registry_busy` when its turn does not come in time."""
        until = time.monotonic() + BUSY_SECONDS

        def run() -> Any:
            if time.monotonic() > until:
                raise RegistryError("others have kept the registry busy for too long", code="registry_busy")
            return work()

        self._in_line += 1
        try:
            return await self._threads.do(run)
        finally:
            self._in_line -= 1


class Fetchers:
    """Threads for what takes as long as it has bytes: few, and a short line of those who wait for one."""

    def __init__(self, most: int, line: int) -> None:
        self._threads = Threads(most, "penstock-fetch")
        self._most = most + line
        self._in_line = 0

    async def do(self, work: Callable[[], Any]) -> Any:
        """Do what takes long. Raises TooManyRequests when the line is too long already."""
        if self._in_line >= self._most:
            raise TooManyRequests(
                f"the server fetches artifacts for {count_text(self._most, 'request')} at a time; try again"
            )

        def run() -> Any:
            try:
                return work()
            finally:
                loop.call_soon_threadsafe(self._leave)  # who left it behind still has the thread

        loop = asyncio.get_running_loop()
        self._in_line += 1
        return await self._threads.do(run)

    def _leave(self) -> None:
        self._in_line -= 1


def settle(done: asyncio.Future[Any], answer: Any, error: BaseException | None) -> None:
    """Tell whoever waits what came of it, unless nobody waits any more."""
    if done.done():
        return
    if error is None:
        done.set_result(answer)
    else:
        done.set_exception(error)
