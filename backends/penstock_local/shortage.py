"""What runs wait for that wait for slots, as who looks sees it: from the queue, without the engine's own count."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from itertools import groupby

from attrs import frozen

from penstock.contract.run import ENDED
from penstock.errors import PenstockError
from penstock_local import lending, queue, store
from penstock_local.layout import Layout

_SOON = 2.0
"""Seconds in which a step has begun if it can; what waits no longer than that is not told of."""
_LONG = 30.0
"""Seconds after which it is told as well what would let it wait for ever."""


@frozen
class _Slots:
    """How many slots there are, how many are held, and how many the first step in line takes, if one waits."""

    total: int
    held: int
    first: int | None


class Shortage:
    """What runs wait for as of one look; what has to be read for that is read once."""

    def __init__(self, layout: Layout, database: sqlite3.Connection) -> None:
        self._layout = layout
        self._database = database
        self._plans: dict[str, dict[str, tuple[int, frozenset[str]]]] = {}
        self._found: _Slots | None = None

    def of(self, job: sqlite3.Row, steps: Sequence[sqlite3.Row]) -> str | None:
        """What slots a job waits for with all its steps; None where it does not. Raises sqlite3.Error.

        The text stays the same while others come and go, see `RunReport`.
        """
        states = {row["name"]: row["state"] for row in steps}
        if job["ended"] is not None or job["cancel"] or "running" in states.values():
            return None
        waits = time.time() - max([job["created"], *(row["ended"] for row in steps if row["ended"] is not None)])
        if waits < _SOON:
            return None
        try:
            self._found = found = self._found or self._count()
            own = self._ready(job["publication"], states)
        except (PenstockError, LookupError, ValueError):  # whoever runs it says what is wrong with it
            return None
        if not own or not found.held or found.first is None or found.total - found.held >= found.first:
            return None
        if found.held < found.total:
            whose = "it takes" if found.first == min(*own, found.total) else "what is before it takes"
            return f"slots: {whose} {found.first} of the {found.total} of its target at once, and fewer are free"
        taken = f"slots: all {found.total} of its target are taken" if found.total > 1 else "its target's only slot"
        if waits < _LONG:
            return taken
        return (
            f"{taken} (for ever if a step that has some waits for this run by HTTP: let that wait by "
            "`penstock run wait` or from Python, which lends them, or give the target more `slots`)"
        )

    def _count(self) -> _Slots:
        """Raises TargetRefused, and KeyError for a step that its plan does not have."""
        settings = queue.settings(self._database)
        total = (settings and settings.slots) or os.cpu_count() or 1
        held = sum(
            min(self._plan(row["publication"])[row["name"]][0], total)
            for row in queue.running(self._database)
            if not lending.lends(self._layout, row["token"])
        )
        for _, rows in groupby(queue.unfinished_steps(self._database), lambda row: row["seq"]):
            steps = list(rows)
            ready = self._ready(steps[0]["publication"], {row["name"]: row["state"] for row in steps})
            if ready:  # nobody overtakes the first of these
                return _Slots(total, held, min(ready[0], total))
        return _Slots(total, held, None)

    def _ready(self, publication: str, states: Mapping[str, str]) -> list[int]:
        """How many slots each step takes that could begin, in the order of the graph."""
        return [
            slots
            for name, (slots, needs) in self._plan(publication).items()
            if states[name] == "queued" and all(states[need] in ENDED for need in needs)
        ]

    def _plan(self, publication: str) -> dict[str, tuple[int, frozenset[str]]]:
        """The slots of each step of a publication, and the steps that it needs. Raises TargetRefused."""
        if publication not in self._plans:
            steps = store.read_plan(self._layout, publication)["steps"]
            self._plans[publication] = {one["name"]: (int(one["slots"]), frozenset(one["needs"])) for one in steps}
        return self._plans[publication]
