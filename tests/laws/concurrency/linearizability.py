"""Whether calls that several processes made at the same time can be put in one order that the laws explain.

A search after Wing and Gong: whatever call may have come next is tried on a model of what is true, and what was
reached in two ways is gone on from once. A call may come before another unless that one had ended when it started.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Protocol, Self

from attrs import frozen

from penstock.testing.laws import LawBroken

_WIDTH = 240
"""Characters of a call that was explained; what was not is shown whole."""


class Explains(Protocol):
    """What the search needs of a model."""

    def check(self, verb: str, arguments: dict[str, Any], answer: Any) -> None:
        """Take a call in. Raises LawBroken when it cannot have answered so now; then the model is of no more use."""

    def copy(self) -> Self:
        """The same, to go on from independently."""

    def key(self) -> Hashable:
        """Equal for two models that will say the same of whatever comes."""


@frozen(kw_only=True, eq=False)
class Observed:
    """One call as the process that made it saw it. Times are nanoseconds of the machine's monotonic clock."""

    process: str
    verb: str
    arguments: dict[str, Any]
    answer: Any
    started: int
    ended: int

    def __str__(self) -> str:
        """The call in a line, as a program would have it."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return f"{self.process}: {self.verb}({arguments}) -> {self.answer!r}"


def explain(calls: Iterable[Observed], model: Explains) -> list[Observed]:
    """The calls in an order that respects their times and that the model explains; the model itself stays as it is.

    Raises LawBroken when there is none: by the law that the calls break which fit nowhere, with the longest order
    that can be explained as a note.
    """
    lines = _lines(calls)
    furthest = _Point(done=(0,) * len(lines), model=model.copy(), order=())
    waiting, seen, fitting = [furthest], set[Hashable](), set[int]()
    while waiting:
        here = waiting.pop()
        mark = (here.done, here.model.key())
        if mark in seen:
            continue
        seen.add(mark)
        if len(here.order) > len(furthest.order):
            furthest = here
        steps = here.steps(lines)
        if not steps:
            return list(here.order)
        for number, call in reversed(steps):
            point = here.after(number, call)
            if isinstance(point, _Point):
                fitting.add(id(call))
                waiting.append(point)
    raise _unexplained(lines, furthest, fitting)


@frozen(kw_only=True)
class _Point:
    """How far the search has come: how many calls of each process are done, in which order, and what is true then."""

    done: tuple[int, ...]
    model: Explains
    order: tuple[Observed, ...]

    def steps(self, lines: Sequence[Sequence[Observed]]) -> list[tuple[int, Observed]]:
        """The calls that may come next, each with its process's number, the one that ended first in front."""
        left = [
            (n, line[done]) for n, (line, done) in enumerate(zip(lines, self.done, strict=True)) if done < len(line)
        ]
        first = min((call.ended for _, call in left), default=0)
        return sorted((step for step in left if step[1].started <= first), key=lambda step: step[1].ended)

    def after(self, number: int, call: Observed) -> _Point | LawBroken:
        """The point after one more call, or why it does not fit here."""
        model = self.model.copy()
        try:
            model.check(call.verb, call.arguments, call.answer)
        except LawBroken as broken:
            return broken
        done = (*self.done[:number], self.done[number] + 1, *self.done[number + 1 :])
        return _Point(done=done, model=model, order=(*self.order, call))


def _lines(calls: Iterable[Observed]) -> list[list[Observed]]:
    """The calls of each process, in its order."""
    lines: dict[str, list[Observed]] = {}
    for call in sorted(calls, key=attrgetter("started")):
        lines.setdefault(call.process, []).append(call)
    return list(lines.values())


def _unexplained(lines: Sequence[Sequence[Observed]], furthest: _Point, fitting: set[int]) -> LawBroken:
    stuck: list[tuple[Observed, LawBroken]] = []
    for number, call in furthest.steps(lines):
        why = furthest.after(number, call)
        if isinstance(why, LawBroken):
            stuck.append((call, why))
    # A call that fits somewhere may only be in the way of what fits nowhere.
    culprit, why = next((one for one in stuck if id(one[0]) not in fitting), stuck[0])
    broken = LawBroken(
        why.law, f"no order of all calls explains what {culprit.process}'s `{culprit.verb}` answered: {why.message}"
    )
    told = ["this order explains the first answers:", *(f"  {_cut(str(call))}" for call in furthest.order)]
    told += ["and then none of these fits:"]
    told += [f"  {call}\n    law {why.law}: {why.message}" for call, why in stuck]
    broken.add_note("\n".join(told))
    return broken


def _cut(text: str) -> str:
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}..."
