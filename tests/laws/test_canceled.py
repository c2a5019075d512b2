"""Law 9 before the hand-over: who cancels then ends the run at once, or is heard after it."""

from __future__ import annotations

from functools import partial

from laws.handover import AtHandOver, WhenAccepted
from laws.marks import python_only

from penstock.errors import TargetUnavailable
from penstock.registry import CancelOutcome
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import same

pytestmark = python_only


def test_canceled_before_hand_over(harness):
    """Does a run that is canceled before its hand-over end at once, and does the target never hear of it?"""
    registry, accepted, held = harness.new_registry(), WhenAccepted(), AtHandOver()
    outcomes: list[CancelOutcome] = []
    with harness.workspace(registry, plugins=[("accepted", accepted), ("held", held)]) as ws:
        published = set_up(harness, ws, "a")
        accepted.once(lambda run: outcomes.append(ws.runs.cancel(run, reason="never mind")))
        run = published.submit()
        found = [(one.ended, one.run.state) for one in outcomes]
        same(9, found, [(True, "canceled")], "what a cancel before the hand-over comes to")
        same(9, run.state, "canceled", "what is said at its submit of a run that was canceled before its hand-over")
    with harness.workspace(registry, plugins=[("held", held)]) as ws:
        same(9, ws.runs.get(run.id).state, "canceled", "a run that was canceled before its hand-over, later,")
        same(9, held.handed, [], "what was handed to the target after it was canceled")


def test_canceled_during_hand_over(harness):
    """Is a wish to cancel kept that comes while a run is being handed over, and passed on after that?"""
    registry, held = harness.new_registry(), AtHandOver()
    with (
        harness.workspace(registry, actor="grace") as grace,
        harness.workspace(registry, plugins=[("held", held)]) as ws,
    ):
        published = set_up(harness, ws, "a")
        for away in (False, True):
            found: list[tuple[bool, bool]] = []

            def cancel(away: bool, found: list[tuple[bool, bool]]) -> None:
                (waiting,) = grace.runs.list(state="queued").items
                outcome = grace.runs.cancel(waiting.id)
                found.append((outcome.requested, outcome.ended))
                if away:
                    raise TargetUnavailable("away for a moment", retry_after=0.001)

            held.once(partial(cancel, away, found))
            run = published.submit(parameters={"seconds": 600.0})
            same(9, found, [(True, False)], "whether a cancel during the hand-over is noted, and ends the run at once,")
            same(9, harness.wait(ws, run.id, 9).state, "canceled", "a run that was canceled during its hand-over")
