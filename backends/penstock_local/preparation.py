"""Getting attempts ready and clearing up after them: at once where that is quick, else beside the engine's loop."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from attrs import evolve, frozen

from penstock_local import environments, interpreters, logs, places, stand_ins, steps, wake
from penstock_local.jobs import Step
from penstock_local.layout import Layout
from penstock_local.steps import Prepared
from penstock_local.temporary import Temporary
from penstock_local.unpacked import Unpacked
from penstock_local.workers import MOST, MOST_REMOVING, Workers

_MOST_BEHIND = 64
"""Attempts that are not cleared up after while the loop has other things to do; then a worker does."""

MOST_AHEAD = 4
"""Attempts that are prepared before their turn."""
GOOD = 1.0
"""Seconds for which they stay so."""

Ready = Callable[[Step, Prepared | Exception], None]
"""Called in the engine's thread with what came of a preparation, whatever became of the step meanwhile."""


@frozen
class _Ahead:
    """What an attempt needs that has not begun, until when that is good, and for how many steps it waited then.

    None where it could not be prepared, or that was too long ago.
    """

    prepared: Prepared | None
    until: float
    missing: int

    def good(self) -> Prepared | None:
        """The same, unless that was too long ago."""
        return self.prepared if time.monotonic() < self.until else None


class Preparation:
    """`ring` wakes the engine's loop from another thread; it is to call `collect` then."""

    def __init__(self, layout: Layout, ring: Callable[[], None], ready: Ready) -> None:
        self._layout = layout
        self._ready = ready
        self._workers = Workers(ring, MOST)
        self._removing = Workers(ring, MOST_REMOVING)
        self._plain = wake.plain_environment()
        self._over: deque[list[str]] = deque()
        self._ahead: dict[Step, _Ahead] = {}
        self._temporary = Temporary(layout)
        self._unpacked = Unpacked(layout)

    @property
    def busy(self) -> bool:
        """Whether something is being unpacked or removed."""
        return self._workers.open + self._removing.open > 0

    def start(self, step: Step) -> None:
        """Prepare the attempt that a step has begun."""
        ahead = self._ahead.pop(step, None)
        prepared = None if ahead is None else ahead.good()
        if prepared is not None and _is_as_prepared(self._layout, step, prepared):
            self._ready(step, prepared)
            return
        try:
            if steps.takes_long(step):
                self._workers.start(partial(self._prepare, step), partial(self._ready, step))
                return
            result: Prepared | Exception = self._prepare(step)
        except Exception as error:  # whatever is wrong with one step is not everybody's trouble
            result = error
        self._ready(step, result)

    def _prepare(self, step: Step) -> Prepared:
        return steps.prepare(self._layout, step, self._plain, self._temporary, self._unpacked)

    def can_look_ahead(self, step: Step) -> bool:
        """Whether a step that waits for its turn may be prepared already: few at a time, and none that takes long.

        One that could not be is looked at again when it waits for fewer others.
        """
        ahead = self._ahead.get(step)
        if ahead is not None and (ahead.prepared is not None or step.missing >= ahead.missing):
            return False
        waiting = sum(one.prepared is not None for one in self._ahead.values())
        return waiting < MOST_AHEAD and not steps.takes_long(step)

    def look_ahead(self, step: Step) -> None:
        """Prepare the attempt that a step is likely to begin in a moment, under a token that it has already.

        What has become old until then is prepared again: much may change under a step that waits for long.
        """
        now = time.monotonic()
        old = {other: one for other, one in self._ahead.items() if one.prepared is not None and now >= one.until}
        self._ahead |= {other: evolve(one, prepared=None) for other, one in old.items()}
        prepared = None
        # One that lacks an output of those before it, or cannot be prepared, is so in its turn, where it is told.
        with contextlib.suppress(Exception):
            prepared = self._prepare(step)
            prepared.opened = logs.Opened(prepared.log)
            prepared.request  # noqa: B018  # a cached property, made here so that the start need not
        self._ahead[step] = _Ahead(prepared, now + GOOD, step.missing)

    def collect(self) -> None:
        """Go on with what was done in other threads."""
        self._workers.collect()
        self._removing.collect()

    def clean(self, step: Step, keep_work: bool) -> None:
        """Have removed what an attempt needed only while it ran, once the loop has nothing better to do.

        A failed attempt keeps its working copy, to look into.
        """
        self._over.append(steps.needed_no_more(self._layout, step, self._temporary, keep_work))
        if len(self._over) > _MOST_BEHIND:
            self._remove([path for paths in self._over for path in paths])
            self._over.clear()

    @property
    def behind(self) -> bool:
        """Whether attempts are over that were not cleared up after, or kept their folders for others in vain, or some
        were prepared that will never be.
        """
        return bool(self._over) or self._temporary.stale or any(step.ended for step in self._ahead)

    @property
    def done(self) -> bool:
        """Whether nothing is left to unpack, remove or clear up after."""
        return not (self.busy or self.behind)

    def catch_up(self) -> None:
        """Clear up after an attempt that is over, if any is. Even an empty folder may take a slow disk a while."""
        if self._over:
            folders = self._over[0]
            left = steps.clean(folders[1:] if self._temporary.spare(folders[0]) else folders)
            if left:
                self._remove(left)
            self._over.popleft()
        elif self._temporary.stale:
            self._temporary.drop_spares()
        else:
            self._over += map(self._in_vain, [step for step in self._ahead if step.ended])

    def _in_vain(self, step: Step) -> list[str]:
        """What was made for an attempt that will not be."""
        del self._ahead[step]
        steps.remove_unused(self._layout, step)
        outputs = self._layout.attempt(step.job.id, "outputs", step.name, step.attempt)
        return [*steps.needed_no_more(self._layout, step, self._temporary, keep_work=False), outputs]

    def clean_up(self, running: Iterable[Step]) -> None:
        """Remove what an earlier engine left: unpacked content that is none, and what attempts not `running` left.

        What that is, is found out here and now: a moment later our own attempts make the like.
        """
        going = list(running)
        in_use = any(step.job.parameters.bundled for step in going)
        left = [*self._unpacked.leftovers(in_use=in_use), *self._temporary.leftovers(going)]
        if left:
            self._remove(left)

    def forget(self, run: str) -> None:
        """Remove what a run needed that is over: its secret values, with what may hold them, and its copies of data."""
        if environments.has_any(self._layout, run):  # waits for nothing else that is removed
            self._beside(self._workers, partial(environments.forget, self._layout, run), _told)
        inputs = os.fspath(self._layout.inputs_of(run))
        if os.path.lexists(inputs):
            self._remove([inputs])

    def close(self, *, moved: bool = False) -> None:
        """No attempt runs any more, and none will. Of a root that has `moved` another may lie in its place."""
        if moved:
            self._ahead.clear()
            self._over.clear()
            self._temporary.forget_spares()
        self._over += map(self._in_vain, list(self._ahead))
        while self._over:  # here and now: no worker outlives us
            steps.remove(steps.clean(self._over.popleft()), self._layout.root)
        self._temporary.close()

    def _remove(self, paths: Sequence[str]) -> None:
        self._beside(self._removing, partial(steps.remove, paths, self._layout.root), lambda result: None)

    def _beside(self, workers: Workers, work: Callable[[], None], then: Callable[[object], None]) -> None:
        """Do something in another thread, or here and now where there is none."""
        try:
            workers.start(work, then)
        except OSError:
            try:
                work()
            except Exception as error:  # as a worker would
                then(error)


def _is_as_prepared(layout: Layout, step: Step, prepared: Prepared) -> bool:
    """Whether what was made and found for an attempt is there as it was, whatever other steps did meanwhile."""
    try:
        layout.see_runs()
        search = stand_ins.search_path(layout, step.job.python) if step.job.python else ""
    except OSError:  # what is wrong is told when it is prepared again
        return False
    is_gone = interpreters.is_gone(step.job.python, prepared.command)
    return search == prepared.search and not is_gone and all(map(places.is_untouched, prepared.empty))


def _told(result: object) -> None:
    if isinstance(result, Exception):  # the end of the engine tries again
        print(f"an environment could not be removed: {result}", file=sys.stderr, flush=True)
