"""Laws 8, 9 and 10 for runs that do not succeed: what failed or was canceled is as final as what went well."""

from __future__ import annotations

from functools import partial

from penstock.contract.run import RunRef, RunReport
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import is_over, look, put, request, slow_run, start, until
from penstock.testing.helpers.observations import forward
from penstock.testing.laws import require, same
from penstock.testing.probes.pipelines import probe, variant


@check(8)
def failed_is_not_tried_again(harness: Harness) -> None:
    """Does a run that failed stay so when it is handed over again, and is nothing of it executed once more?"""
    marks = harness.counting()
    made = put(harness, failing(harness.subject.python))
    run = request(made, marks=str(marks or ""))
    submit = partial(harness.hooks.submit, run)
    receipt = submit()
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    ended = until(harness, ref, is_over, law=8)[-1]
    same(8, ended.state, "failed", "a run whose step exits with 3")
    for _ in range(2):
        same(8, submit(), receipt, "the receipt for a failed run that is handed over again")
    same(8, look(harness, ref, 8), ended, "what is said of a failed run after it was handed over again")
    until(harness, start(harness, put(harness, variant(harness.subject.python, "a"))), is_over, law=8)
    same(8, look(harness, ref, 8), ended, "what is said of it when another run has ended since")
    if marks is not None:
        same(8, executions(marks), {"bad": 1}, "how often the failing step was started")


@check(9, needs=("penstock_cancel_run",))
def what_was_done_stays_done(harness: Harness) -> None:
    """Do steps that had succeeded stay so, with their outputs, when the run is canceled after them?"""
    made = put(harness, _halfway(harness.subject.python))
    with slow_run(harness, made) as run:
        looks = until(harness, run, lambda report: _states(report).get("slow") == "running", what="second step")
        harness.hooks.cancel(run)
        looks += until(harness, run, is_over)
    forward(looks)
    last = looks[-1]
    same(9, last.state, "canceled", "a run that was canceled in its second step")
    same(9, _states(last)["quick"], "succeeded", "a step that had succeeded before its run was canceled")
    steps = {step.name: step for step in last.steps}
    same(9, dict(steps["quick"].outputs), {"count": "1"}, "what a step gave before its run was canceled")
    require(9, _states(last)["slow"] != "succeeded", "a step that was cut short has succeeded")
    require(9, steps["slow"].exit_code != 0, "a step that was cut short is said to have exited with 0")
    require(
        9, _states(last)["after"] in ("canceled", "skipped"), f"a step that never started is {_states(last)['after']}"
    )


CHECKS = (failed_is_not_tried_again, what_was_done_stays_done)


def _states(report: RunReport) -> dict[str, str]:
    return {step.name: step.state for step in report.steps}


def failing(python: str) -> Pipeline:
    """A step `bad` that marks itself in the folder `marks` and fails."""
    return Pipeline(
        name="marked",
        parameters={"marks": Parameter("string", default="")},
        defaults=Defaults(code="./src"),
        steps={"bad": Step(command=probe(python, "mark", "${{ parameters.marks }}", "bad", "exit", "3"))},
    )


def _halfway(python: str) -> Pipeline:
    """A `quick` step, a `slow` one of ten minutes, and one `after` them."""
    quick = Step(command=probe(python, "count", "0", "${{ outputs.count }}"), outputs={"count": "integer"})
    slow = Step(command=probe(python, "sleep", "600"), after=("quick",))
    steps = {"quick": quick, "slow": slow, "after": Step(command=probe(python), after=("slow",))}
    return Pipeline(name="halfway", defaults=Defaults(code="./src"), steps=steps)
