"""Looks at one run, one after the other, held to law 9: forward only, and final at the end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from penstock.contract.run import ENDED, RunRef, RunReport
from penstock.records import RunRecord
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import is_over, look, until
from penstock.testing.laws import require, same

_Look = TypeVar("_Look", RunReport, RunRecord)

LATER = 5
"""How many looks at an ended run are compared with the first one."""


def followed(harness: Harness, run: RunRef) -> list[RunReport]:
    """Every look at a run up to its end and a few more, all of them held to the law."""
    looks = until(harness, run, is_over)
    looks += [look(harness, run) for _ in range(LATER)]
    forward(looks)
    true_at_the_end(looks[-1])
    return looks


def forward(looks: Sequence[_Look]) -> None:
    """Hold looks at one run, in the order in which they were made, to go forward."""
    for before, after in pairwise(looks):
        _state_forward("the run", before.state, after.state)
        if before.state in ENDED:
            same(9, after, before, "what is said of an ended run at a later look")
        now = {step.name: step for step in after.steps}
        for step in before.steps:
            require(9, step.name in now, f"step {step.name} is not named any more at a later look")
            _state_forward(f"step {step.name}", step.state, now[step.name].state)
            tried = (step.attempt, now[step.name].attempt)
            require(9, tried[0] <= tried[1], f"step {step.name} is at attempt {tried[1]} after attempt {tried[0]}")
            if step.state in ENDED:
                same(9, now[step.name], step, f"what is said of step {step.name}, which has ended, at a later look")


def in_their_turn(looks: Sequence[RunReport]) -> None:
    """Hold looks at a chain: a step begins when the one before it has ended, and in a run that has begun.

    What two looks in a row say counts: a target may read one thing after the other, and one has gone on meanwhile.
    """
    for before, after in pairwise(map(_out_of_turn, looks)):
        require(9, not before & after, f"it is said twice that {', and that '.join(sorted(before & after))}")


def _out_of_turn(report: RunReport) -> set[str]:
    begun = [step for step in report.steps if step.state in ("running", "succeeded", "failed")]
    found = {f"step {step.name} is {step.state} in a run that is queued" for step in begun if report.state == "queued"}
    for earlier, step in pairwise(report.steps):
        if step in begun and earlier.state not in ENDED:
            found.add(f"step {step.name} is {step.state} while {earlier.name}, for which it waits, is {earlier.state}")
    return found


def true_at_the_end(report: RunReport) -> None:
    """Hold the last look at a run to be one that can be: everything has ended, in times that can be."""
    require(9, report.ended is not None, f"a run is `{report.state}` and has no time of its end")
    _in_order("the run", report.started, report.ended)
    for step in report.steps:
        _before("the run started", report.started, f"step {step.name} started", step.started)
        _before(f"step {step.name} ended", step.ended, "the run ended", report.ended)
        require(9, step.state in ENDED, f"step {step.name} is `{step.state}` in a run that is `{report.state}`")
        _in_order(f"step {step.name}", step.started, step.ended)
        if step.state == "succeeded":
            require(9, step.attempt >= 1, f"step {step.name} succeeded without an attempt")
            require(9, step.started and step.ended, f"step {step.name} succeeded without times")
        if report.state == "succeeded":
            same(9, step.state, "succeeded", f"step {step.name} of a run that succeeded")


def rank(state: str) -> int:
    """How far a state is: waiting, going on, ended."""
    return 2 if state in ENDED else 1 if state == "running" else 0


def _state_forward(what: str, before: str, after: str) -> None:
    back = rank(after) < rank(before) or (before in ENDED and after != before)
    require(9, not back, f"{what} is `{after}` after it was `{before}`")


def _in_order(what: str, started: datetime | None, ended: datetime | None) -> None:
    _before(f"{what} started", started, f"{what} ended", ended)


def _before(what: str, first: datetime | None, other: str, second: datetime | None) -> None:
    if first is not None and second is not None:
        require(9, first <= second, f"{what} at {first}, and {other} before that, at {second}")
