"""What runs wait for that wait for slots, as who looks sees it: from the queue, without the engine's own count."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from itertools import groupby

from attrs import frozen

from penstock.contract.run import ENDED
from penstock.errors import PenstockError
from penstock_local import lending, logs, queue, store
from penstock_local.layout import Layout
from penstock_local.slots import wanted

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


@frozen
class _Planned:
    """What the plan of a publication says of a step."""

    slots: int
    needs: frozenset[str]
    delay: float


@frozen
class _Waiting:
    """How many slots a waiting step takes, when it last had some, and when it may begin: 0.0 for its first attempt."""

    slots: int
    ran: float = 0.0
    due: float = 0.0


class Shortage:
    """What runs wait for as of one look; what has to be read for that is read once."""

    def __init__(self, layout: Layout, database: sqlite3.Connection) -> None:
        self._layout = layout
        self._database = database
        self._now = time.time()
        self._plans: dict[str, dict[str, _Planned]] = {}
        self._found: _Slots | None = None

    def of(self, job: sqlite3.Row, steps: Sequence[sqlite3.Row]) -> str | None:
        """What slots a job waits for with all its steps; None where it does not. Raises sqlite3.Error.

        The text stays the same while others come and go, see `RunReport`.
        """
        if job["ended"] is not None or job["cancel"] or any(row["token"] is not None for row in steps):
            return None
        ran = max([job["created"], *(row["ended"] for row in steps if row["ended"] is not None)])
        if self._now - ran < _SOON:
            return None
        try:
            self._found = found = self._found or self._count()
            waiting = self._waiting(job, steps, found.total)
        except (PenstockError, LookupError, ValueError):  # whoever runs it says what is wrong with it
            return None
        own = [one for one in waiting if one.due <= self._now]
        if not own or not found.held or found.first is None or found.total - found.held >= found.first:
            return None
        waits = self._now - max(ran, *(one.ran for one in waiting), min(one.due for one in own))
        if waits < _SOON:
            return None
        if found.held < found.total:
            whose = "it takes" if found.first == min(one.slots for one in own) else "what is before it takes"
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
            wanted(self._plan(row["publication"])[row["name"]].slots, row["interruptions"], total)
            for row in queue.running(self._database)
            if not lending.lends(self._layout, row["token"])
        )
        for _, rows in groupby(queue.unfinished_steps(self._database), lambda row: row["seq"]):
            steps = list(rows)
            for one in self._waiting(steps[0], steps, total):
                if one.due <= self._now:  # nobody overtakes the first of these
                    return _Slots(total, held, one.slots)
        return _Slots(total, held, None)

    def _waiting(self, job: sqlite3.Row, steps: Sequence[sqlite3.Row], total: int) -> list[_Waiting]:
        """The steps of a job that wait for slots, or for the delay before that, in the order of the graph."""
        rows = {row["name"]: row for row in steps}
        found = []
        for name, planned in self._plan(job["publication"]).items():
            row = rows[name]
            slots = wanted(planned.slots, row["interruptions"], total)
            if row["state"] == "queued" and all(rows[need]["state"] in ENDED for need in planned.needs):
                found.append(_Waiting(slots))
            elif row["state"] == "running" and row["token"] is None:  # it is to be tried again
                ran = self._now - logs.age(self._layout.log_of(job["id"], name))
                # As the engine does that finds it so: what was only cut short begins again without a delay.
                found.append(_Waiting(slots, ran, ran + planned.delay if row["failures"] else 0.0))
        return found

    def _plan(self, publication: str) -> dict[str, _Planned]:
        """What the plan of a publication says of each step. Raises TargetRefused."""
        if publication not in self._plans:
            self._plans[publication] = {
                one["name"]: _Planned(int(one["slots"]), frozenset(one["needs"]), float(one["delay"]))
                for one in store.read_plan(self._layout, publication)["steps"]
            }
        return self._plans[publication]
