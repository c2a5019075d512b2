"""Getting attempts ready and clearing up after them: at once where that is quick, else beside the engine's loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from penstock_local import steps, wake
from penstock_local.jobs import Step
from penstock_local.layout import Layout
from penstock_local.steps import Prepared
from penstock_local.workers import Workers

Ready = Callable[[Step, Prepared | Exception], None]
"""Called in the engine's thread with what came of a preparation, whatever became of the step meanwhile."""


class Preparation:
    """`ring` wakes the engine's loop from another thread; it is to call `collect` then."""

    def __init__(self, layout: Layout, ring: Callable[[], None], ready: Ready) -> None:
        self._layout = layout
        self._ready = ready
        self._workers = Workers(ring)
        self._plain = wake.plain_environment()

    @property
    def busy(self) -> bool:
        """Whether something is being unpacked or removed."""
        return self._workers.open > 0

    def start(self, step: Step) -> None:
        """Prepare the attempt that a step has begun."""
        work = partial(steps.prepare, self._layout, step, self._plain)
        if steps.takes_long(step):
            self._workers.start(work, partial(self._ready, step))
            return
        try:
            result: Prepared | Exception = work()
        except Exception as error:  # whatever is wrong with one step is not everybody's trouble
            result = error
        self._ready(step, result)

    def collect(self) -> None:
        """Go on with what was done in other threads."""
        self._workers.collect()

    def clean(self, step: Step, keep_work: bool) -> None:
        """Remove what an attempt needed only while it ran. A failed one keeps its working copy, to look into."""
        left = steps.clean(self._layout, step, keep_work)
        if left:
            self._workers.start(partial(steps.remove, left), lambda result: None)
