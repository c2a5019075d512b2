"""The slots of one root, and the steps that wait for them in the order in which they get them."""

from __future__ import annotations

import heapq
import os
from collections.abc import Callable

from penstock_local.jobs import Step

INTERRUPTIONS = 3
"""How often a step may be cut short by the death of what runs it before it is given up."""


def wanted(planned: int, interruptions: int, total: int) -> int:
    """How many slots of the total a step takes that asks for so many and was cut short so often."""
    # A step that may be what kills engines gets its last chance alone, or others would take the blame too.
    last_chance = interruptions >= INTERRUPTIONS - 1
    return total if last_chance else min(planned, total)


class Slots:
    """How many there are, who has them, who waits."""

    def __init__(self) -> None:
        self._all = self._free = os.cpu_count() or 1
        self._ready: list[tuple[tuple[int, int], Step]] = []

    def resize(self, slots: int | None) -> None:
        """Have so many from now on; None means one for each processor."""
        wanted = slots or os.cpu_count() or 1
        self._free += wanted - self._all
        self._all = wanted

    def line_up(self, step: Step) -> None:
        """Let a step wait for its slots."""
        heapq.heappush(self._ready, (step.rank, step))

    def next(self, token: Callable[[], str]) -> Step | None:
        """The next step that has slots, begun under a new token; None when nobody's turn it is."""
        while self._ready:
            step = self._ready[0][1]
            if not step.ended:
                slots = self._wanted(step)
                if slots > self._free:
                    break  # nobody overtakes: a wide step would wait for ever
                heapq.heappop(self._ready)
                step.begin(step.token or token(), slots)
                self._free -= slots
                return step
            heapq.heappop(self._ready)
        return None

    def first(self) -> list[Step]:
        """The step whose turn is the next, if any waits."""
        return [step for _, step in self._ready[:1] if not step.ended]

    def take(self, step: Step) -> None:
        """Give a step that runs already what it needs, whether that is free or not."""
        step.slots = self._wanted(step)
        self._free -= step.slots

    def give_back(self, step: Step) -> None:
        """A step does not need its slots any more."""
        self._free += step.slots
        step.slots = 0

    def lend(self, step: Step, lends: bool) -> None:
        """Let others have the slots of a running step while it waits. Once it does not, it has them, free or not."""
        if lends and step.slots:
            self.give_back(step)
        elif not lends and not step.slots:
            self.take(step)

    def _wanted(self, step: Step) -> int:
        return wanted(int(step.plan["slots"]), step.interruptions, self._all)
