"""Laws 8, 9 and 10 for runs that do not succeed: what failed or was canceled is as final as what went well."""

from __future__ import annotations

from functools import partial

from penstock.contract.run import RunRef, RunReport
from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.testing.asking.directly import is_over, look, put, request, slow_run, start, until
from penstock.testing.asking.given import given
from penstock.testing.asking.looks import forward
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import check
from penstock.testing.laws import hold, same
from penstock.testing.probes.pipelines import probe, variant


@check(8)
def failed_is_not_tried_again(bench: Bench) -> None:
    """Does a run that failed stay so when it is handed over again, and is nothing of it executed once more?"""
    marks = bench.counting()
    made = put(bench, _marked(bench.subject.python))
    run = request(made, marks=str(marks or ""))
    submit = partial(bench.operations.submit, bench.place.target, run)
    receipt = submit()
    ref = RunRef(id=run.id, publication=run.publication, external=receipt.external)
    ended = until(bench, ref, is_over, law=8)[-1]
    same(8, ended.state, "failed", "a run whose step exits with 3")
    for _ in range(2):
        same(8, submit(), receipt, "the receipt for a failed run that is handed over again")
    same(8, look(bench, ref, 8), ended, "what is said of a failed run after it was handed over again")
    until(bench, start(bench, put(bench, variant(bench.subject.python, "a"))), is_over, law=8)
    same(8, look(bench, ref, 8), ended, "what is said of it when another run has ended since")
    if marks is not None:
        same(8, executions(marks), {"bad": 1}, "how often the failing step was started")


@check(8, 10)
def failed_keeps_its_key(bench: Bench) -> None:
    """Does the key of a run that failed give that run, and does the history say why it failed?"""
    with bench.workspace() as ws:
        published = given(bench, ws, _marked(bench.subject.python))
        submit = partial(ws.runs.submit, published.id, idempotency_key="k")
        run = bench.wait(ws, submit().run.id, 8)
        same(8, run.state, "failed", "a run whose step exits with 3")
        again = submit()
        same(8, (again.run, again.replayed), (run, True), "the run of a key whose run failed")
        last = ws.admin.history(subject=run.id).items[0]
        same(10, (last.action, last.to), ("run_ended", "failed"), "the last row of a run that failed")
        told = "" if run.error is None else run.error.message
        hold(10, told and told in last.reason, f"the history says of a run that failed only {last.reason!r}: {told}")


@check(8, needs=("penstock_cancel_run",))
def canceled_keeps_its_key(bench: Bench) -> None:
    """Does the key of a run that was canceled give that run?"""
    with bench.workspace() as ws:
        published = given(bench, ws, "a")
        submit = partial(ws.runs.submit, published.id, parameters={"seconds": 600.0}, idempotency_key="k")
        first = submit().run
        ws.runs.cancel(first.id)
        run = bench.wait(ws, first.id, 8)
        again = submit()
        if not again.replayed:
            ws.runs.cancel(again.run.id)
        same(8, (again.run.id, again.replayed), (run.id, True), "the run of a key whose run was canceled")
        same(8, again.run.state, "canceled", "the run of a key whose run was canceled")


@check(9, needs=("penstock_cancel_run",))
def what_was_done_stays_done(bench: Bench) -> None:
    """Do steps that had succeeded stay so, with their outputs, when the run is canceled after them?"""
    made = put(bench, _halfway(bench.subject.python))
    with slow_run(bench, made) as run:
        looks = until(bench, run, lambda report: _states(report).get("slow") == "running", what="second step")
        bench.operations.cancel(bench.place.target, run)
        looks += until(bench, run, is_over)
    forward(looks)
    last = looks[-1]
    same(9, last.state, "canceled", "a run that was canceled in its second step")
    same(9, _states(last)["quick"], "succeeded", "a step that had succeeded before its run was canceled")
    steps = {step.name: step for step in last.steps}
    same(9, dict(steps["quick"].outputs), {"count": "1"}, "what a step gave before its run was canceled")
    hold(9, _states(last)["slow"] != "succeeded", "a step that was cut short has succeeded")
    hold(9, steps["slow"].exit_code != 0, "a step that was cut short is said to have exited with 0")
    hold(9, _states(last)["after"] in ("canceled", "skipped"), f"a step that never started is {_states(last)['after']}")


CHECKS = (failed_keeps_its_key, failed_is_not_tried_again, canceled_keeps_its_key, what_was_done_stays_done)


def _states(report: RunReport) -> dict[str, str]:
    return {step.name: step.state for step in report.steps}


def _marked(python: str) -> Pipeline:
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
