"""Waiting for the end of a run: looks at it until it is there, whatever trouble passes meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from attrs import evolve

from penstock.dispatch.follow import LOOK_BUDGET, Followed
from penstock.errors import PenstockError, RegistryError, WaitTimeout, cause_of
from penstock.records import RunRecord

_log = logging.getLogger("penstock")

_QUICK, _SLOW = 0.01, 0.5
"""Seconds between looks at a run: quick while it changes, slower while it does not."""


def wait(
    known: RunRecord,
    look: Callable[[float], Followed],
    *,
    timeout: float | None,
    watch: Callable[[RunRecord], None] | None,
) -> RunRecord:
    """See `Runs.wait`. `look` looks at the run, and is given the seconds that it may take."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause, seen = _QUICK, None
    watch = watch or _warner()
    while True:
        left = LOOK_BUDGET if deadline is None else max(0.1, deadline - time.monotonic())
        found = _look_in_trouble(known, look, min(left, LOOK_BUDGET))
        run = known = found.run
        if run != seen:
            pause, seen = _QUICK, run
            watch(run)
        if run.finished:
            return run
        if found.hopeless and found.trouble is not None:
            raise _given_up(run, found.trouble)
        if deadline is not None and time.monotonic() >= deadline:
            why = f" ({run.trouble})" if run.trouble else "; it goes on"
            raise WaitTimeout(f"run {run.id} is still {run.state} after {timeout:g} s{why}")
        time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(_SLOW, pause * 1.3)


def _look_in_trouble(known: RunRecord, look: Callable[[float], Followed], budget: float) -> Followed:
    """A look at a run of which something is known: that is what it is as long as trouble has to pass."""
    try:
        return look(budget)
    except RegistryError as error:
        if not error.is_passing:
            raise
        return Followed(run=evolve(known, stale=error.cause), trouble=error)


def _warner() -> Callable[[RunRecord], None]:
    """What says why a run waits, each reason once."""
    told = {""}

    def watch(run: RunRecord) -> None:
        if run.trouble not in told:
            told.add(run.trouble)
            _log.warning("run %s: %s", run.id, run.trouble)

    return watch


def _given_up(run: RunRecord, trouble: PenstockError) -> PenstockError:
    """The error of who waits for what can never be seen."""
    error = type(trouble)(f"run {run.id} is {run.state} and cannot be followed: {cause_of(trouble)}")
    error.code = trouble.code
    return error
