"""Triggers that are there at the same time: accepted one after the other on the loop, where no thread has to be woken,
and answered after one commit.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

from penstock.registry import GroupCommit, Registry, WouldBlock
from penstock.server.threads import Threads, settle

_Job = tuple[Callable[[], Any], "asyncio.Future[Any]"]

_Decided = tuple["asyncio.Future[Any]", Any, list[Callable[[], None]]]
"""Who waits for an answer, the answer, and what is to be done between the commit and that."""

_MOST = 64
"""About how many share one commit at the most: others want their turn too."""

_LOOKS = 3
"""How often the loop goes round before a commit: what has arrived meanwhile has come so far by then."""

_QUICK = 0.002
"""How many seconds a commit may take that is made on the loop; waking a thread for it costs about a tenth of that."""

_TRUST = 20
"""By how many commits the quick ones must be ahead of the slow ones for the next one to be made on the loop."""
_SLOW, _MOST_TRUST = 10, 40
"""As how many a slow one counts, and by how many the quick ones are ahead at the most: one slow commit among many does
not make a disk slow.
"""


_TELLING = 32
"""How many threads tell plugins of what was accepted, each of which may take its time."""

_log = logging.getLogger("penstock.server")


class GroupCommits:
    """Does on the loop what decides something quickly; what would block the loop is done `in_thread`.

    With `told` others are told of it, who may take their time: that holds up the answer to who asked, and nobody else.
    """

    def __init__(
        self, registry: Registry, in_thread: Callable[[Callable[[], Any]], Awaitable[Any]], *, told: bool = False
    ) -> None:
        self._registry = registry
        self._telling = Threads(_TELLING, "penstock-tell").do if told else None
        self._tasks = set[asyncio.Task[None]]()
        self._in_thread = in_thread
        self._committing = Threads(1, "penstock-commit")
        self._quick = 0
        self._client: object = None
        self._alone = False
        self._jobs: list[_Job] = []
        self._round: asyncio.Task[None] | None = None

    async def do(self, work: Callable[[], Any], *, client: object) -> Any:
        """Do it, and answer once what it decided is durable. Raises what `work` raises, or the commit.

        Who is the only `client` for a while waits for no others.
        """
        self._alone, self._client = client == self._client, client
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.append((work, done))
        if self._round is None and self._alone and self._is_quick:
            with self._registry.group_commit() as group:
                self._answer(self._decide(group), *_timed(group))
        elif self._round is None:
            self._round = asyncio.create_task(self._rounds())
        try:
            return await done
        except WouldBlock:
            return await self._in_thread(work)

    async def _rounds(self) -> None:
        """One commit after the other, for as long as there is something to do."""
        try:
            while self._jobs:
                await self._one_round()
        finally:
            self._round = None

    async def _one_round(self) -> None:
        decided, done = list[_Decided](), 0
        try:
            with self._registry.group_commit() as group:
                # Those that decide nothing count too: however many come, what was decided is committed in time.
                while self._jobs and done < _MOST:
                    done += len(self._jobs)
                    decided += self._decide(group)
                    for _ in range(0 if self._alone else _LOOKS):
                        await asyncio.sleep(0)
                commit = partial(_timed, group)
                self._answer(decided, *(commit() if self._is_quick else await self._committing.do(commit)))
        except Exception as error:  # there was no thread, and so no commit
            self._answer(decided, None, error)

    @property
    def _is_quick(self) -> bool:
        """Whether commits take so little time that no thread is woken for one."""
        return self._quick >= _TRUST

    def _decide(self, group: GroupCommit) -> list[_Decided]:
        """Do all jobs; what was decided is to be committed, and then answered."""
        jobs, self._jobs = self._jobs, []
        return [decided for work, done in jobs for decided in self._try(group, work, done)]

    def _answer(self, decided: list[_Decided], seconds: float | None, failed: BaseException | None) -> None:
        if seconds is not None:  # else nothing was written, which says nothing of the disk
            self._quick = min(self._quick + 1, _MOST_TRUST) if seconds < _QUICK else max(0, self._quick - _SLOW)
        for one in decided:
            done, answer, after = one
            if failed is not None or not after:
                settle(done, answer, failed)
            elif self._telling is None:
                _do(after)
                settle(done, answer, None)
            else:
                task = asyncio.create_task(self._tell_others(one, self._telling))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _tell_others(self, decided: _Decided, do: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        """Tell of what is durable whoever hears of it, and then answer."""
        done, answer, after = decided
        try:
            await do(partial(_do, after))
        except Exception as error:  # it holds all the same
            _log.warning("nobody was told of what was accepted: %s", error)
        finally:
            settle(done, answer, None)

    def _try(self, group: GroupCommit, work: Callable[[], Any], done: asyncio.Future[Any]) -> list[_Decided]:
        """The answer to give after the commit; none when it is clear already that there is another."""
        try:
            with group.joined():
                return [(done, work(), group.take_after())]
        except BaseException as error:
            settle(done, None, error)
        return []


def _timed(group: GroupCommit) -> tuple[float | None, BaseException | None]:
    """Commit what was decided: how long it took to write it, in seconds, and what stood in its way."""
    began = time.perf_counter()
    try:
        wrote = group.commit()
    except WouldBlock as error:  # nothing was written; each does its own again in a thread
        return None, error
    except Exception as error:
        return time.perf_counter() - began, error
    return time.perf_counter() - began if wrote else None, None


def _do(works: Iterable[Callable[[], None]]) -> None:
    for work in works:
        work()
