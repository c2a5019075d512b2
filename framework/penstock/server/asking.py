"""Threads for what asks targets, apart from those of all other requests: a target that hangs holds up only its like."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any


class Asking:
    """At most so many threads at once that end with the process, whatever they wait for; those of an executor would
    keep it alive.
    """

    def __init__(self, most: int = 16) -> None:
        self._few = asyncio.Semaphore(most)

    async def do(self, work: Callable[[], Any]) -> Any:
        """Do what may wait for a target. Who is cancelled meanwhile leaves it behind."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def tell(answer: Any, error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(answer)
            else:
                done.set_exception(error)

        def run() -> None:
            answer, raised = None, None
            try:
                answer = work()
            except BaseException as error:
                raised = error
            with suppress(RuntimeError):  # nobody is there any more
                loop.call_soon_threadsafe(tell, answer, raised)

        async with self._few:
            threading.Thread(target=run, name="penstock-asking", daemon=True).start()
            return await done
