"""Law 9 at the hooks: what a backend says of a run goes forward, is true, and is final at the end."""

from __future__ import annotations

from itertools import pairwise

from penstock.contract.run import Absent, RunRef
from penstock.errors import BackendBroken, PenstockError
from penstock.spec import Defaults, Output, Parameter, Pipeline, Retry, Step
from penstock.testing.asking.directly import put, slow_run, start
from penstock.testing.asking.looks import followed
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import check
from penstock.testing.laws import LawBroken, Untested, hold, same
from penstock.testing.probes.pipelines import chain
from penstock.testing.probes.pipelines import probe as command


@check(9)
def states_go_forward(bench: Bench) -> None:
    """Do the states of a run and its steps only go forward, in the order of the graph, to an end that stays?"""
    made, marks = put(bench, chain(bench.subject.python)), bench.counting()
    for number in range(2):
        run = start(bench, made, start=number * 1000, marks=str(marks or ""), seconds=0.01)
        looks = followed(bench, run)
        last = looks[-1]
        same(9, last.state, "succeeded", "a chain of steps that do nothing wrong")
        same(9, [step.name for step in last.steps], ["s0", "s1", "s2"], "the steps of a chain, in their order,")
        for place, step in enumerate(last.steps):
            hold(9, step.attempt == 1, f"step {step.name} succeeded at its attempt {step.attempt}, expected 1")
            same(9, dict(step.outputs), {"count": str(number * 1000 + place + 1)}, f"the outputs of step {step.name}")
        outputs = bench.operations.get_outputs(bench.place.target, run).outputs
        same(9, dict(outputs), {"count": str(number * 1000 + 3)}, "the outputs of a chain")
        for before, after in pairwise(last.steps):
            if before.ended and after.started:
                hold(9, before.ended <= after.started, f"{after.name} started before {before.name}, its input, ended")
    if marks is not None:
        counts = executions(marks)
        same(9, counts, {"s0": 2, "s1": 2, "s2": 2}, "how often the steps of two chains were really executed")


@check(9)
def failure_spares_others(bench: Bench) -> None:
    """Does a failing step fail the run, skip what depends on it, and leave the rest alone?"""
    made = put(bench, _failing(bench.subject.python))
    looks = followed(bench, start(bench, made))
    last = looks[-1]
    found = {step.name: step.state for step in last.steps}
    expected = {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "good": "succeeded",
        "heir": "succeeded",
    }
    same(9, found, expected, "the states of the steps beside and behind one that fails")
    same(9, last.state, "failed", "a run with a failing step")
    steps = {step.name: step for step in last.steps}
    same(9, steps["bad"].exit_code, 3, "the exit code of a step that exits with 3")
    same(9, dict(steps["heir"].outputs), {"count": "42"}, "what a step gives that does not depend on the failure")
    hold(9, last.error is not None, "a failed run does not say why")
    assert last.error is not None
    same(9, last.error.step, "bad", "the step for which a run says it failed")
    same(9, dict(steps["bad"].outputs), {}, "what a step gives that failed after it wrote its output")
    for name in ("child", "grandchild"):
        hold(9, steps[name].attempt == 0, f"{name} is skipped and had {steps[name].attempt} attempts")


@check(9)
def retried_and_counted(bench: Bench) -> str | None:
    """Is a failing step tried as often as it asks for, no more, and is every attempt counted?"""
    try:
        made = put(bench, _flaky(bench.subject.python, attempts=3))
    except Untested as error:
        return f"without retries: {error}"
    for needed, state in ((2, "succeeded"), (9, "failed")):
        folder = bench.counting()
        if folder is None:
            break
        looks = followed(bench, start(bench, made, marks=str(folder), needed=needed))
        (step,) = looks[-1].steps
        tried = min(needed, 3)
        same(9, looks[-1].state, state, f"a run whose step needs {needed} attempts of 3")
        same(9, (step.attempt, executions(folder)), (tried, {"try": tried}), "the attempts said and really made")
    return None


@check(9)
def timed_out(bench: Bench) -> str | None:
    """Does a step that takes longer than it may fail, and the run with it?"""
    sleeper = Step(command=command(bench.subject.python, "sleep", "600"), timeout=0.2)
    after = Step(command=command(bench.subject.python), after=["sleeper"])
    pipeline = Pipeline(name="timeout", defaults=Defaults(code="./src"), steps={"sleeper": sleeper, "after": after})
    try:
        made = put(bench, pipeline)
    except Untested as error:
        return f"without timeouts: {error}"
    with slow_run(bench, made) as run:
        last = followed(bench, run)[-1]
    same(9, last.state, "failed", "a run whose step takes too long")
    same(9, [step.state for step in last.steps], ["failed", "skipped"], "a step that takes too long and the next one")
    hold(9, last.steps[0].exit_code != 0, "a step that takes too long is said to have exited with 0")
    return None


@check(9)
def unknown_is_absent(bench: Bench) -> None:
    """Is a run that was never submitted absent, and everything else about it refused without a crash?"""
    made = put(bench, chain(bench.subject.python, 1))
    run = RunRef(id="00000000-0000-4000-8000-000000000000", publication=made.publication)
    operations, target = bench.operations, bench.place.target
    found = operations.get_run(target, run)
    hold(9, isinstance(found, Absent), f"a run that was never submitted is {found!r}")
    for what, call in (
        ("its outputs", lambda: operations.get_outputs(target, run).outputs),
        ("its logs", lambda: bench.has("penstock_read_logs") and operations.read_logs(target, run, "s0", 0).data),
        ("its end", lambda: bench.has("penstock_cancel_run") and operations.cancel(target, run)),
    ):
        try:
            answer = call()
        except BackendBroken as error:
            raise LawBroken(9, f"asked for {what}, a run that was never submitted breaks: {error.message}") from None
        except PenstockError:
            continue
        hold(9, not answer, f"asked for {what}, a run that was never submitted answers {answer!r}")


CHECKS = (unknown_is_absent, states_go_forward, failure_spares_others, retried_and_counted, timed_out)


def _failing(python: str) -> Pipeline:
    """A step `bad` that fails with two that depend on it, and a `good` one with an `heir`."""
    number = Output("integer")
    return Pipeline(
        name="failing",
        defaults=Defaults(code="./src"),
        steps={
            "bad": Step(command=command(python, "put", "${{ outputs.x }}", "1", "exit", "3"), outputs={"x": number}),
            "child": Step(
                command=command(python, "count", "${{ inputs.x }}", "${{ outputs.y }}"),
                inputs={"x": "${{ steps.bad.outputs.x }}"},
                outputs={"y": number},
            ),
            "grandchild": Step(command=command(python), after=["child"]),
            # It goes on when the other one has failed already.
            "good": Step(
                command=command(python, "sleep", "0.3", "count", "40", "${{ outputs.count }}"),
                outputs={"count": number},
            ),
            "heir": Step(
                command=command(python, "count", "${{ inputs.count }}", "${{ outputs.count }}"),
                inputs={"count": "${{ steps.good.outputs.count }}"},
                outputs={"count": number},
            ),
        },
        outputs={"x": "${{ steps.bad.outputs.x }}", "count": "${{ steps.heir.outputs.count }}"},
    )


def _flaky(python: str, attempts: int) -> Pipeline:
    """A step `try` that succeeds when it was executed `needed` times, and marks every time."""
    words = ("mark", "${{ parameters.marks }}", "try", "flaky", "${{ parameters.marks }}", "try")
    return Pipeline(
        name="flaky",
        parameters={"marks": Parameter("string"), "needed": Parameter("integer")},
        defaults=Defaults(code="./src"),
        steps={
            "try": Step(command=command(python, *words, "${{ parameters.needed }}"), retry=Retry(attempts=attempts))
        },
    )
