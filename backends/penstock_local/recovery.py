"""What became of steps that were running when their engine ended: the journals of their keepers know."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from attrs import frozen

from penstock_local import processes
from penstock_local.attempts import Attempts
from penstock_local.events import Ended, Event, Lost, Started, event_of
from penstock_local.jobs import Step
from penstock_local.journal import Trace

PATIENCE = 10.0
"""Seconds that killed processes have to disappear."""


@frozen
class Fate:
    """What became of a step; `event` is None when it never began. It ran for so many seconds, or has until now.

    `tries` is how many engines have died since it ended, which may be the fault of what it left.
    """

    event: Event | None
    seconds: float = 0.0
    tries: int = 0


def recover(attempts: Attempts, steps: Iterable[Step], left: Mapping[str, Path]) -> list[tuple[Step, Fate]]:
    """The fate of each step. Those that a keeper has are adopted; nothing is left of all others.

    `left` are the logs of all tokens on record, of steps that cannot go on too. Raises OSError, TimeoutError.
    """
    found = attempts.keepers.recover()
    fates = [(step, _fate(step, found)) for step in steps]
    for step, fate in fates:
        if isinstance(fate.event, Started):
            attempts.adopt(step, fate.event)
        elif step.token in attempts.steps:  # it has ended since an earlier try of this
            attempts.forget(step)
    gone = left.keys() - attempts.steps.keys()
    unknown = gone - found.keys()
    _end({token: left[token] for token in gone & found.keys()})
    if unknown and _end({token: left[token] for token in unknown}):
        # Somebody took the journal away, or there was none yet when they were started.
        fates = [(step, Fate(Lost(step.token)) if step.token in unknown else fate) for step, fate in fates]
    for step, fate in fates:  # at the end: what is not done for want of something is done again, and no try
        if isinstance(fate.event, Ended):
            attempts.keepers.note_try(step.token)
    return fates


def _fate(step: Step, found: Mapping[str, tuple[Trace, int]]) -> Fate:
    if step.token not in found:
        return Fate(None)
    trace, keeper = found[step.token]
    event = event_of(step.token, trace, keeper)
    until = time.monotonic() if isinstance(event, Started) else trace.ended
    return Fate(event, until - trace.started, trace.tries + 1)


def _end(left: Mapping[str, Path]) -> bool:
    return bool(left) and processes.end_leftovers(set(left), left.values(), PATIENCE)
