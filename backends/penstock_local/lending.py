"""The slots of steps that wait for a run of their own root are lent while they wait, or both would wait for ever.

Whoever looks at an unfinished run from within a step says so by a file with the step's token, which is good for some
seconds and renewed by the next look. A step of another root says so for the step of this one that triggered its run,
directly or by others: else two roots whose steps wait for each other's would do so for ever.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Mapping

from penstock_local import descent, places, queue
from penstock_local.clock import Clock
from penstock_local.descent import ABOVE
from penstock_local.jobs import Step
from penstock_local.layout import Layout
from penstock_local.processes import TOKEN
from penstock_local.slots import Slots

_HIGHEST = 32
"""How many of them are kept."""
LEASE = 10.0
"""Seconds for which a look counts as waiting; who waits looks several times as often."""
_RENEW = 3.0


def lineage() -> tuple[str, ...]:
    """The tokens of the step that this process is of and of those that triggered its run; none outside of steps."""
    own = os.environ.get(TOKEN, "")
    tokens = (own, *os.environ.get(ABOVE, "").split()) if own else descent.step_above()
    return tokens[:_HIGHEST]


def ask(layout: Layout, database: sqlite3.Connection, jobs: Iterable[int]) -> bool:
    """Note that this step waits for unfinished jobs, if it is one of this root; whether the engine has to be told.

    In a step of another root it is noted for the nearest one of this root that it comes from. Raises sqlite3.Error,
    OSError.
    """
    found = ((token, queue.job_of(database, token)) for token in lineage())
    token, own = next((one for one in found if one[1] is not None), ("", None))
    if own is None or not set(jobs) - {own}:
        return False
    path = layout.waits / token
    try:
        age = time.time() - path.lstat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        age = LEASE
    if 0 <= age < _RENEW:
        return False
    places.make_folder(layout.waits)
    file = places.open_ours(path, os.O_WRONLY | os.O_CREAT)
    try:
        os.utime(file)
    finally:
        os.close(file)
    return age >= LEASE or age < 0


def lends(layout: Layout, token: str) -> bool:
    """Whether the slots of a step that runs under this token are lent, or are to be in a moment."""
    return _left(layout, token) > 0


def _left(layout: Layout, token: str) -> float:
    """For how many seconds more a step counts as waiting; 0 when it does not."""
    try:
        age = time.time() - (layout.waits / token).lstat().st_mtime
    except OSError:
        return 0.0
    return LEASE - age if 0 <= age < LEASE else 0.0


class Lending:
    """Lends slots and takes them back."""

    def __init__(self, layout: Layout, clock: Clock, slots: Slots) -> None:
        self._layout = layout
        self._clock = clock
        self._slots = slots
        self._again = False

    def look(self, running: Mapping[str, Step]) -> None:
        """See which steps wait, and again when the first of them may have ceased to."""
        if not os.path.lexists(self._layout.waits):  # nobody ever waited, and every wake-up asks
            return
        times = {token: _left(self._layout, token) for token, step in running.items() if step.live}
        for token, seconds in times.items():
            self._slots.lend(running[token], seconds > 0)
        if any(times.values()) and not self._again:
            self._again = True
            self._clock.later(min(filter(None, times.values())), lambda: self._look_again(running))
        with contextlib.suppress(OSError):  # the next one tries again
            places.make_folder(self._layout.waits)  # what is in another folder, by a link, is not ours
            for path in places.small_files(self._layout.waits):
                if path.name not in running:
                    path.unlink()

    def _look_again(self, running: Mapping[str, Step]) -> None:
        self._again = False
        self.look(running)
