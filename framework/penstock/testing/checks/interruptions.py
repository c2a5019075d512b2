"""Law 12 at the hooks: whoever calls a backend is killed before each durable step that the backend takes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from penstock.contract.run import RunRef, RunRequest
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.snapshot import Snapshot
from penstock.testing.checking import check
from penstock.testing.faults.points import Point, Points, kill_at_each, points_of
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import is_over, put, request, start, taken, until
from penstock.testing.helpers.secrets import Secret, secret
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import Untested, same
from penstock.testing.opened import Hooks
from penstock.testing.probes.pipelines import guarded, variant
from penstock.testing.profiles import Profile
from penstock.testing.subject import Subject

_SLOW = 600.0
"""Seconds that a step sleeps which is canceled."""

_TRIES = 3
"""How often a point is sought that a call does not come by every time."""

_FEW = 3
"""Of so many points one may be missed: what a target has done by then depends on its pace."""


@frozen(kw_only=True)
class _Call:
    """One call of a hook, and what it is about; it can be pickled."""

    subject: Subject
    profile: Profile
    snapshot: Snapshot
    run: RunRequest | None = None
    ref: RunRef | None = None
    marks: Path | None = None
    secret: Secret | None = None

    def hooks(self, *plugins: tuple[str, object]) -> Hooks:
        """The target's hooks, in this process."""
        self.subject.ready()
        return Hooks(self.subject.config, self.subject.target, plugins)

    def ended(self, ref: RunRef) -> str:
        """The state in which a run ends."""
        return until(Harness(self.subject, self.profile, 0), ref, is_over, law=12)[-1].state


@check(12)
def a_killed_publish_is_made_up_for(harness: Harness) -> None:
    """Is a snapshot whose publishing was killed anywhere published when that is repeated, and does it run?"""

    def new() -> _Call:
        return _call(harness, taken(harness, variant(harness.subject.python, unique("killed"))))

    put(harness, variant(harness.subject.python, "a"))
    _kill_each(harness, _publishes, _published, new)


@check(8, 12)
def a_killed_submit_is_made_up_for(harness: Harness) -> None:
    """Is a run whose hand-over was killed anywhere one run when it is handed over again?"""
    made = put(harness, variant(harness.subject.python, "a"))

    def new() -> _Call:
        marks = harness.counting()
        return _call(harness, made.snapshot, run=request(made, marks=str(marks or "")), marks=marks)

    _kill_each(harness, _submits, _submitted, new)


@check(13, needs=("penstock_keep_secrets",))
def a_killed_submit_leaves_no_secret(harness: Harness) -> None:
    """Does a run whose hand-over was killed anywhere have its sensitive value, and leave nothing of it at its end?"""
    made = put(harness, guarded(harness.subject.python, "a"))

    def new() -> _Call:
        mine = secret(made)
        return _call(harness, made.snapshot, run=mine.run, secret=mine)

    _kill_each(harness, _submits, _submitted_in_secret, new)


@check(12, needs=("penstock_cancel_run",))
def a_killed_cancel_is_made_up_for(harness: Harness) -> None:
    """Does a run end canceled whose cancel was killed anywhere, when that is repeated?"""
    made = put(harness, variant(harness.subject.python, "a"))

    def new() -> _Call:
        ref = start(harness, made, seconds=_SLOW)
        until(harness, ref, lambda report: report.state == "running", law=12, what="start")
        return _call(harness, made.snapshot, ref=ref)

    _kill_each(harness, _cancels, _canceled, new)


CHECKS = (
    a_killed_publish_is_made_up_for,
    a_killed_submit_is_made_up_for,
    a_killed_submit_leaves_no_secret,
    a_killed_cancel_is_made_up_for,
)
"""What is asked here."""


def _call(harness: Harness, snapshot: Snapshot, **more: Any) -> _Call:
    return _Call(subject=harness.subject, profile=harness.profile, snapshot=snapshot, **more)


def _publishes(call: _Call, points: Points) -> None:
    hooks = call.hooks(("points", points.plugin))
    compiled = hooks.compile(call.snapshot)
    with points.armed():
        hooks.publish(call.snapshot, compiled)


def _published(call: _Call, point: Point) -> None:
    hooks = call.hooks()
    first, second = (hooks.publish(call.snapshot, hooks.compile(call.snapshot)) for _ in range(2))
    same(12, second.external, first.external, "what a snapshot is called whose publishing was killed")
    run = _request(call, first)
    receipt = hooks.submit(run)
    ref = RunRef(id=run.id, publication=first, external=receipt.external)
    same(12, call.ended(ref), "succeeded", "a run of it")
    which = hooks.get_outputs(ref).outputs.get("which")
    same(12, f"Says that it is {which}.", call.snapshot.pipeline.description, "what such a run says")


def _submits(call: _Call, points: Points) -> None:
    hooks = call.hooks(("points", points.plugin))
    with points.armed():
        hooks.submit(call.run)


def _submitted(call: _Call, point: Point) -> None:
    assert call.run is not None
    hooks, run = call.hooks(), evolve(call.run, attempt=2)
    receipt = hooks.submit(run)
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    same(12, call.ended(ref), "succeeded", "a run that was handed over again")
    same(8, hooks.submit(run), receipt, "the receipt for it, once more")
    if call.marks is not None:
        same(8, executions(call.marks), {"tell": 1}, "how often its step was started")


def _submitted_in_secret(call: _Call, point: Point) -> None:
    assert call.secret is not None
    harness, run = Harness(call.subject, call.profile, 0), evolve(call.secret.run, attempt=2)
    receipt = harness.hooks.submit(run)
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    same(12, call.ended(ref), "succeeded", "a run with a sensitive value that was handed over again")
    found = harness.hooks.get_outputs(ref).outputs.get("hash")
    same(12, found, call.secret.hash, "the sha256 of the sensitive value that its step got")
    call.secret.gone(harness, "when that run has ended")


def _cancels(call: _Call, points: Points) -> None:
    hooks = call.hooks(("points", points.plugin))
    with points.armed():
        hooks.cancel(call.ref)


def _canceled(call: _Call, point: Point) -> None:
    assert call.ref is not None
    call.hooks().cancel(call.ref)
    same(12, call.ended(call.ref), "canceled", "a run that was asked to end again")


def _request(call: _Call, publication: Publication) -> RunRequest:
    from penstock.testing.helpers.directly import Put

    return request(Put(snapshot=call.snapshot, publication=publication))


def _kill_each(
    harness: Harness,
    calls: Callable[[_Call, Points], None],
    judge: Callable[[_Call, Point], None],
    new: Callable[[], _Call],
) -> None:
    """Kill a call at each of its points, and judge what is left. Raises LawBroken, and Untested of what was missed."""
    made: list[_Call] = []

    def call() -> _Call:
        made.append(new())
        return made[-1]

    timeout = 3 * harness.profile.patience
    try:
        points = points_of(calls, call(), timeout=timeout)
        _comes_by(points)
        missed = points
        for _ in range(_TRIES):
            died = kill_at_each(missed, calls, judge, call, timeout=timeout)
            missed = [point for point in missed if point not in died]
            if not missed:
                break
    finally:
        for one in made:
            if one.ref is not None:
                with contextlib.suppress(PenstockError):
                    harness.hooks.cancel(one.ref)
    harness.tell(f"killed at {len(points) - len(missed)} of {len(points)} points")
    if missed:
        names = ", ".join(f"`{point}`" for point in missed)
        harness.tell(f"not met again, as they depend on the target's pace: {names}")
        if _FEW * len(missed) > len(points):
            raise Untested(f"{len(missed)} of {len(points)} points were not reached: {names}")


def _comes_by(points: Sequence[Point]) -> None:
    """A call of a hook has at least the moments before it, and before anybody hears of its answer."""
    for when in ("call", "answer"):
        if not any(point.name.startswith(f"{when} of ") for point in points):
            raise Untested(f"the moment before the {when} of the hook was not seen: nothing can be interrupted")
