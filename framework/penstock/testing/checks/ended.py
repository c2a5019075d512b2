"""Law 9 at the end: what is canceled stays so, and what has ended is not canceled."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from penstock.contract.run import RunRef
from penstock.errors import TargetUnavailable
from penstock.registry import CancelOutcome
from penstock.spec import Defaults, Pipeline, Step
from penstock.testing.asking.directly import Put, is_over, look, put, slow_run, start, until
from penstock.testing.asking.given import given
from penstock.testing.asking.looks import LATER, forward
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import check
from penstock.testing.faults.handover import AtHandOver, WhenAccepted
from penstock.testing.laws import Untested, hold, same
from penstock.testing.probes.pipelines import chain, probe

_TRIES = 5
"""How often a run is started anew that ended before it could be canceled."""


@check(9, needs=("penstock_cancel_run",))
def canceled_stays(bench: Bench) -> None:
    """Does no step start any more once a run is canceled, and does every later look say that it is?"""
    made, folder = put(bench, chain(bench.subject.python)), bench.counting()
    run = _canceled(bench, made, folder)
    seen = _marks(folder)
    # As long as this one takes, the canceled one would have taken too.
    other = until(bench, start(bench, made, seconds=0.15), is_over)[-1]
    same(9, other.state, "succeeded", "a run beside a canceled one")
    same(9, _marks(folder), seen, "the executions of a canceled run's steps, a while after it was canceled,")
    looks = [look(bench, run) for _ in range(LATER)]
    same(9, looks[-1].state, "canceled", "a canceled run, a while later,")
    forward(looks)
    for step in looks[-1].steps:
        hold(
            9, folder is None or step.state != "succeeded" or step.name in seen, f"{step.name} never ran and succeeded"
        )


@check(9, needs=("penstock_cancel_run",))
def canceled_while_waiting(bench: Bench) -> None:
    """Can a run be canceled whose steps have not started, and one that is in the middle of a long step?"""
    made = put(bench, chain(bench.subject.python, 2))
    operations, target = bench.operations, bench.place.target
    with slow_run(bench, made, seconds=600.0) as waiting, slow_run(bench, made, seconds=600.0) as running:
        hold(9, operations.cancel(target, waiting), "canceling a run right after its submit is not taken")
        until(bench, running, lambda report: report.state != "queued", what="start")
        hold(9, operations.cancel(target, running), "canceling a run in the middle of a step is not taken")
        for run in (waiting, running):
            looks = until(bench, run, is_over)
            looks += [look(bench, run) for _ in range(LATER)]
            forward(looks)
            same(9, looks[-1].state, "canceled", "a run of long steps after it was canceled")
            states = {step.name: step.state for step in looks[-1].steps}
            hold(9, "succeeded" not in states.values(), f"steps of 600 s have ended in a canceled run: {states}")


@check(9, needs=("penstock_cancel_run",))
def finished_is_not_canceled(bench: Bench) -> None:
    """Does canceling a run that has ended, well or not, answer with how it ended, and change nothing?"""
    bad = Step(command=probe(bench.subject.python, "exit", "3"))
    ends = {
        "succeeded": chain(bench.subject.python, 1),
        "failed": Pipeline(name="bad", defaults=Defaults(code="./src"), steps={"bad": bad}),
    }
    for state, pipeline in ends.items():
        run = start(bench, put(bench, pipeline))
        ended = until(bench, run, is_over)[-1]
        answer = bench.operations.cancel(bench.place.target, run)
        same(9, (ended.state, answer), (state, False), "how a run ended, and what its target answers to a cancel then")
        same(9, look(bench, run), ended, "an ended run after it was to be canceled")
        with bench.workspace() as ws:
            record = bench.wait(ws, given(bench, ws, pipeline).submit().id, 9)
            outcome = ws.runs.cancel(record.id, reason="too late")
            found = (outcome.run, outcome.ended, outcome.requested)
            same(9, found, (record, False, False), "what canceling an ended run comes to")
            same(9, ws.runs.get(record.id), record, "an ended run after it was to be canceled")


@check(9)
def canceled_before_hand_over(bench: Bench) -> None:
    """Does a run that is canceled before its hand-over end at once, and does the target never hear of it?"""
    registry, accepted, held = bench.new_registry(), WhenAccepted(), AtHandOver()
    outcomes: list[CancelOutcome] = []
    with bench.workspace(registry, plugins=[("accepted", accepted), ("held", held)]) as ws:
        published = given(bench, ws, "a")
        accepted.once(lambda run: outcomes.append(ws.runs.cancel(run, reason="never mind")))
        run = published.submit()
        found = [(one.ended, one.run.state) for one in outcomes]
        same(9, found, [(True, "canceled")], "what a cancel before the hand-over comes to")
        same(9, run.state, "canceled", "what is said at its submit of a run that was canceled before its hand-over")
    with bench.workspace(registry, plugins=[("held", held)]) as ws:
        same(9, ws.runs.get(run.id).state, "canceled", "a run that was canceled before its hand-over, later,")
        same(9, held.handed, [], "what was handed to the target after it was canceled")


@check(9, needs=("penstock_cancel_run",))
def canceled_during_hand_over(bench: Bench) -> None:
    """Is a wish to cancel kept that comes while a run is being handed over, and passed on after that?"""
    registry, held = bench.new_registry(), AtHandOver()
    with bench.workspace(registry, actor="grace") as grace, bench.workspace(registry, plugins=[("held", held)]) as ws:
        published = given(bench, ws, "a")
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
            same(9, bench.wait(ws, run.id, 9).state, "canceled", "a run that was canceled during its hand-over")


CHECKS = (
    canceled_before_hand_over,
    finished_is_not_canceled,
    canceled_stays,
    canceled_while_waiting,
    canceled_during_hand_over,
)


def _canceled(bench: Bench, made: Put, folder: Path | None) -> RunRef:
    """A run that was canceled while its first steps ran."""
    for _ in range(_TRIES):
        run = start(bench, made, seconds=0.15, marks="" if folder is None else str(folder))
        looks = until(bench, run, lambda report: report.state != "queued", what="start")
        bench.operations.cancel(bench.place.target, run)
        looks += until(bench, run, is_over)
        forward(looks)
        if looks[-1].state == "canceled":
            return run
        same(9, looks[-1].state, "succeeded", "a run that was canceled too late")
    raise Untested(f"{_TRIES} runs ended before they could be canceled")


def _marks(folder: Path | None) -> dict[str, int]:
    return {} if folder is None else executions(folder)
