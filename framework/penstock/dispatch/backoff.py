"""How long to leave a target alone that could not be reached, and work with targets that has a limit of time."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from penstock.errors import RegistryError, TargetUnavailable
from penstock.machine import lacked, lacks
from penstock.registry import Registry

T = TypeVar("T")

SHORTEST_PAUSE = 0.001
"""Seconds that it is left alone the first time at the least, whatever it says: so that the pause can grow."""

LONGEST_PAUSE = 300.0
"""Seconds that a target which cannot be reached is left alone at the most, unless it asks for more itself."""

RETRY_MISCONFIGURED = 30.0
"""Seconds until the next try when a target is misconfigured or broken rather than away."""

HANGS = 4.0
"""Seconds without an answer after which a target counts as one that cannot be reached; less than a look waits."""


def pause_after(failures: int, retry_after: float) -> float:
    """Seconds to wait after so many failures in a row: twice as long each time, with jitter, so that not all come
    back at once. `retry_after` is what the target asks for, and the least that it gets.
    """
    retry_after = max(retry_after, SHORTEST_PAUSE)
    doubled = retry_after * 2.0 ** min(max(failures, 1) - 1, 30)
    return max(retry_after, min(doubled, LONGEST_PAUSE) * random.uniform(0.75, 1.25))


class _Work(threading.Thread):
    """Work with one target. `asked`: since when, by the monotonic clock, it may wait for one answer of the target."""

    def __init__(self, target: str, work: Callable[[], object], deadline: float, *, at_once: bool) -> None:
        super().__init__(name=f"penstock-{target}", daemon=True)
        self.target = target
        self.at_once = at_once
        self.deadline = deadline
        self.asked = time.monotonic()
        self.raised: BaseException | None = None
        self._work = work

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.raised = error

    @property
    def silence(self) -> float:
        """Seconds since the target was asked, or answered last."""
        return time.monotonic() - self.asked


class Patience:
    """Works with targets for a limited time, and leaves those alone that cannot be reached.

    A backend's call cannot be interrupted: work that takes longer is left behind and ends with the process, so it must
    be something that may be interrupted anywhere. While it is there nobody of this process begins more with its target,
    but for what is told at once.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._left: list[_Work] = []
        self._lock = threading.Lock()

    def work(
        self, seconds: float, works: Mapping[str, Callable[[], object]], *, at_once: bool = False
    ) -> dict[str, TargetUnavailable]:
        """Work with targets, each in a thread, for at most so many seconds; returns whose work is not done, and why.

        What is told `at_once` waits for no other work that was left behind. Raises what the work raises.
        """
        deadline = time.monotonic() + seconds
        late: dict[str, TargetUnavailable] = {}
        begun: list[_Work] = []
        busy = {one.target for one in self._left if one.at_once == at_once}
        try:
            for target in sorted(works, key=busy.__contains__):  # who is waited for already delays nobody else
                waiting = self._still_waiting(target, deadline, at_once=at_once)
                if waiting is not None:
                    late[target] = waiting
                    continue
                work = _Work(target, works[target], deadline, at_once=at_once)
                try:
                    work.start()
                except RuntimeError as error:
                    late[target] = TargetUnavailable(f"target `{target}` cannot be asked: {lacks(error) or error}")
                else:
                    begun.append(work)
            for one in begun:
                one.join(max(0.0, deadline - time.monotonic()))
                if one.is_alive():
                    silent = TargetUnavailable(f"target `{one.target}` has not answered within {seconds:g} s")
                    late[one.target] = self._why_late(one, silent)
                elif one.raised is not None:
                    raise one.raised
        finally:
            with self._lock:
                self._left = [one for one in (*self._left, *begun) if one.is_alive()]
        return late

    def in_time(self, items: Iterable[T]) -> Iterator[T]:
        """For the work itself: the items one by one, as long as somebody waits for it; each has its own time."""
        thread = threading.current_thread()
        for item in items:
            if isinstance(thread, _Work):
                thread.asked = time.monotonic()
                if thread.asked >= thread.deadline:
                    return
            yield item

    def pause(self, target: str, error: TargetUnavailable) -> float:
        """Seconds for which a target is to be left alone that could not be reached once more."""
        return pause_after(self._registry.outbox.failures(target) + 1, error.retry_after)

    def leave_alone(self, target: str, error: TargetUnavailable) -> None:
        """Leave a target alone that could not be reached, unless it is left alone already.

        What this process lacks is no trouble of the target's, and nothing to others who ask it.
        """
        if not lacked(error) and self._registry.outbox.breaker(target) is None:
            with suppress(RegistryError):  # it may be read-only; then the next one asks again
                self._registry.outbox.leave_alone(target, self.pause(target, error), str(error))

    def answered(self, target: str) -> None:
        """End a series of failures: the target has answered."""
        if self._registry.outbox.failures(target):
            with suppress(RegistryError):
                self._registry.outbox.reached(target)

    def _still_waiting(self, target: str, deadline: float, *, at_once: bool) -> TargetUnavailable | None:
        """Wait for the work that was left behind; why nothing else is begun, when it does not end."""
        for one in self._left:
            if (one.target, one.at_once) == (target, at_once):
                one.join(max(0.0, min(deadline - time.monotonic(), HANGS - one.silence)))
                if one.is_alive():
                    since = datetime.now(UTC) - timedelta(seconds=one.silence)
                    error = TargetUnavailable(f"still waiting for target `{target}` since {since:%H:%M:%S} UTC")
                    return self._why_late(one, error)
        return None

    def _why_late(self, work: _Work, error: TargetUnavailable) -> TargetUnavailable:
        """Why work is not done: its target has not answered, which counts as a failure when that takes too long; or
        somebody keeps the registry busy, which is no trouble of the target's.
        """
        held_up = self._registry.holds_up(work.ident)
        if held_up is not None:
            return TargetUnavailable(held_up.cause)
        if work.silence >= HANGS:
            self.leave_alone(work.target, error)
        return error
