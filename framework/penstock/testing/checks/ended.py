"""Law 9 at the end: what is canceled stays so, and what has ended is not canceled."""

from __future__ import annotations

from pathlib import Path

from penstock.contract.run import RunRef
from penstock.spec import Defaults, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import Put, is_over, look, put, slow_run, start, until
from penstock.testing.helpers.observations import LATER, forward
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import Untested, require, same
from penstock.testing.probes.pipelines import chain, probe

_TRIES = 5
"""How often a run is started anew that ended before it could be canceled."""


@check(9, needs=("penstock_cancel_run",))
def canceled_stays(harness: Harness) -> None:
    """Does no step start any more once a run is canceled, and does every later look say that it is?"""
    made, folder = put(harness, chain(harness.subject.python)), harness.counting()
    run = _canceled(harness, made, folder)
    seen = _marks(folder)
    # As long as this one takes, the canceled one would have taken too.
    other = until(harness, start(harness, made, seconds=0.15), is_over)[-1]
    same(9, other.state, "succeeded", "a run beside a canceled one")
    same(9, _marks(folder), seen, "the executions of a canceled run's steps, a while after it was canceled,")
    looks = [look(harness, run) for _ in range(LATER)]
    same(9, looks[-1].state, "canceled", "a canceled run, a while later,")
    forward(looks)
    for step in looks[-1].steps:
        require(
            9, folder is None or step.state != "succeeded" or step.name in seen, f"{step.name} never ran and succeeded"
        )


@check(9, needs=("penstock_cancel_run",))
def canceled_while_waiting(harness: Harness) -> None:
    """Can a run be canceled whose steps have not started, and one that is in the middle of a long step?"""
    made = put(harness, chain(harness.subject.python, 2))
    hooks = harness.hooks
    with slow_run(harness, made, seconds=600.0) as waiting, slow_run(harness, made, seconds=600.0) as running:
        require(9, hooks.cancel(waiting), "canceling a run right after its submit is not taken")
        until(harness, running, lambda report: report.state != "queued", what="start")
        require(9, hooks.cancel(running), "canceling a run in the middle of a step is not taken")
        for run in (waiting, running):
            looks = until(harness, run, is_over)
            looks += [look(harness, run) for _ in range(LATER)]
            forward(looks)
            same(9, looks[-1].state, "canceled", "a run of long steps after it was canceled")
            states = {step.name: step.state for step in looks[-1].steps}
            require(9, "succeeded" not in states.values(), f"steps of 600 s have ended in a canceled run: {states}")


@check(9, needs=("penstock_cancel_run",))
def finished_is_not_canceled(harness: Harness) -> None:
    """Does canceling a run that has ended, well or not, answer with how it ended, and change nothing?"""
    bad = Step(command=probe(harness.subject.python, "exit", "3"))
    ends = {
        "succeeded": chain(harness.subject.python, 1),
        "failed": Pipeline(name="bad", defaults=Defaults(code="./src"), steps={"bad": bad}),
    }
    for state, pipeline in ends.items():
        run = start(harness, put(harness, pipeline))
        ended = until(harness, run, is_over)[-1]
        answer = harness.hooks.cancel(run)
        same(9, (ended.state, answer), (state, False), "how a run ended, and what its target answers to a cancel then")
        same(9, look(harness, run), ended, "an ended run after it was to be canceled")
        with harness.workspace() as ws:
            record = harness.wait(ws, set_up(harness, ws, pipeline).submit().id, 9)
            outcome = ws.runs.cancel(record.id, reason="too late")
            found = (outcome.run, outcome.ended, outcome.requested)
            same(9, found, (record, False, False), "what canceling an ended run comes to")
            same(9, ws.runs.get(record.id), record, "an ended run after it was to be canceled")


CHECKS = (
    finished_is_not_canceled,
    canceled_stays,
    canceled_while_waiting,
)


def _canceled(harness: Harness, made: Put, folder: Path | None) -> RunRef:
    """A run that was canceled while its first steps ran."""
    for _ in range(_TRIES):
        run = start(harness, made, seconds=0.15, marks="" if folder is None else str(folder))
        looks = until(harness, run, lambda report: report.state != "queued", what="start")
        harness.hooks.cancel(run)
        looks += until(harness, run, is_over)
        forward(looks)
        if looks[-1].state == "canceled":
            return run
        same(9, looks[-1].state, "succeeded", "a run that was canceled too late")
    raise Untested(f"{_TRIES} runs ended before they could be canceled")


def _marks(folder: Path | None) -> dict[str, int]:
    return {} if folder is None else executions(folder)
