"""Law 9 in the registry: whatever a target says of a run, the record goes forward and its end is final."""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from laws.handover import AtHandOver
from laws.marks import python_only

from penstock.contract.hooks import hookimpl
from penstock.contract.run import ENDED, RUN_STATES, Absent, Failure, RunOutputs, RunReport, RunState, StepReport
from penstock.errors import TargetRefused
from penstock.testing.helpers.observations import forward, rank
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import same

pytestmark = python_only

_ATTEMPTS = 3

_CLOCKS = timedelta(minutes=10)
"""By how much the clocks of a target may differ from ours."""


def test_backward_is_ignored(harness):
    """Is a report ignored that would take a run, or one of its steps, back?"""
    from hypothesis import strategies as st

    told = _Told()
    with harness.workspace(plugins=[("told", told)]) as ws:
        published = set_up(harness, ws, "a")

        def holds(reports: list[RunReport | Absent]) -> None:
            told.say = None
            run = published.submit()
            seen = [run.record]
            for report in reports:
                told.say = report
                seen.append(ws.runs.get(run.id))
                forward(seen[-2:])
                state = "failed" if isinstance(report, Absent) else report.state
                if rank(state) > rank(seen[-2].state):
                    same(9, seen[-1].state, state, f"a run that was `{seen[-2].state}`, after a later report,")

        step = st.builds(_step, st.sampled_from([*RUN_STATES, "skipped"]), st.integers(1, _ATTEMPTS))
        report = st.builds(_report, st.sampled_from(RUN_STATES), step)
        unended = st.builds(_report, st.sampled_from(["queued", "running"]), step)
        some = st.lists(unended, min_size=2, max_size=5)
        scripts = st.builds(lambda first, then: [*first, *then], some, st.lists(report | st.just(Absent()), max_size=3))
        harness.forall(holds, examples=8, reports=scripts)


def test_lost_is_failed(harness):
    """Does a run fail that its target does not know any more, and stay so when it turns up again?"""
    told = _Told()
    with harness.workspace(plugins=[("told", told)]) as ws:
        run = set_up(harness, ws, "a").submit()
        told.say = Absent()
        lost = run.refresh().record
        same(9, (lost.state, lost.error and lost.error.code), ("failed", "run_lost"), "a run that its target has lost")
        told.say = None
        same(9, run.refresh().record, lost, "a lost run that turned up again")


def test_the_target_decides(harness):
    """Does a run that was asked to end come to the end that its target says, whatever was wished?"""
    ends: tuple[RunState, ...] = ("succeeded", "failed", "canceled")
    for state in ends:
        told = _Told()
        with harness.workspace(plugins=[("told", told)]) as ws:
            told.say = RunReport(state="running")
            run = set_up(harness, ws, "a").submit()
            wish = ws.runs.cancel(run.id)
            same(9, (wish.requested, wish.ended), (True, False), "what a cancel of a run comes to that goes on")
            told.say = RunReport(state=state)
            found = ws.runs.get(run.id)
            same(9, (found.state, found.cancel_requested), (state, True), "a run after the wish that it ends")


def test_refused_is_failed(harness):
    """Does a run end failed that its target refuses for good, and is it never handed over again?"""
    registry, held = harness.new_registry(), AtHandOver()

    def refuse() -> None:
        raise TargetRefused("no room for this one, ever")

    with harness.workspace(registry, plugins=[("held", held)]) as ws:
        held.once(refuse)
        run = set_up(harness, ws, "a").submit()
        found = (run.state, run.record.error and run.record.error.code)
        same(9, found, ("failed", "dispatch_failed"), "a run that its target refused")
    with harness.workspace(registry, plugins=[("held", held)]) as ws:
        same(9, ws.runs.get(run.id), run.record, "a refused run, later,")
        same(9, held.handed, [], "what was handed over after it was refused")


class _Told:
    """A plugin by which a target says what it is told to say of runs, when it is told anything."""

    def __init__(self) -> None:
        self.say: RunReport | Absent | None = None

    @hookimpl(wrapper=True)
    def penstock_get_run(self) -> Generator[None, Any, Any]:
        """Say that instead of what the target says."""
        found = yield
        return found if self.say is None else self.say

    @hookimpl(wrapper=True)
    def penstock_get_outputs(self) -> Generator[None, Any, Any]:
        """Say that there are none."""
        try:
            found = yield
        except Exception:
            if self.say is None:
                raise
            # Of a run that has not really ended, a target may refuse to say.
            found = RunOutputs()
        return found if self.say is None else RunOutputs()


def _report(state: Any, step: StepReport) -> RunReport:
    error = Failure(code="step_failed", message="it was said to fail") if state == "failed" else None
    return RunReport(state=state, steps=(step,), error=error)


def _step(state: Any, attempt: int) -> StepReport:
    # None before it starts, and the last one is that which it ends with.
    tried = _ATTEMPTS if state in ENDED else 0 if state == "queued" else attempt
    return StepReport(name="tell", state=state, attempt=tried)
