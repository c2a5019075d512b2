"""What runs wait for that wait for slots, as who looks sees it: from the queue, without the engine's own count."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence

from penstock.errors import PenstockError
from penstock_local import lending, queue, store
from penstock_local.layout import Layout

_SOON = 2.0
"""Seconds in which a step has begun if it can; what waits no longer than that is not told of."""
_LONG = 30.0
"""Seconds after which it is told as well what would let it wait for ever."""


class Shortage:
    """What runs wait for as of one look; each publication is read once."""

    def __init__(self, layout: Layout, database: sqlite3.Connection) -> None:
        self._layout = layout
        self._database = database
        self._plans: dict[str, dict[str, int]] = {}
        settings = queue.settings(database)
        self._total = (settings and settings.slots) or os.cpu_count() or 1
        self._held: int | None = None

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
            wanted = self._slots(job["publication"])
            least = min(wanted[name] for name, state in states.items() if state == "queued")
            if self._held is None:
                self._held = self._count()
        except (PenstockError, LookupError, ValueError):  # whoever runs it says what is wrong with it
            return None
        if not self._held or self._total - self._held >= least:
            return None
        if self._held < self._total:
            return f"slots: it takes {least} of the {self._total} of its target at once, and fewer are free"
        taken = f"slots: all {self._total} of its target are taken" if self._total > 1 else "its target's only slot"
        if waits < _LONG:
            return taken
        return (
            f"{taken} (for ever if a step that has some waits for this run by HTTP: let that wait by "
            "`penstock run wait` or from Python, which lends them, or give the target more `slots`)"
        )

    def _count(self) -> int:
        """How many slots running steps have that do not lend them."""
        return sum(
            self._slots(row["publication"])[row["name"]]
            for row in queue.running(self._database)
            if not lending.lends(self._layout, row["token"])
        )

    def _slots(self, publication: str) -> dict[str, int]:
        """How many slots each step of a publication gets. Raises TargetRefused."""
        if publication not in self._plans:
            steps = store.read_plan(self._layout, publication)["steps"]
            self._plans[publication] = {step["name"]: min(int(step["slots"]), self._total) for step in steps}
        return self._plans[publication]
