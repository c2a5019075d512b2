"""Law 9 at the hooks: what a backend says of a run goes forward, is true, and is final at the end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from penstock.contract.run import Absent, RunRef, RunReport
from penstock.errors import BackendBroken, PenstockError
from penstock.records import RunRecord
from penstock.spec import Defaults, Output, Parameter, Pipeline, Retry, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.directly import is_over, look, put, slow_run, start, until
from penstock.testing.helpers.observations import followed, forward, in_their_turn
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import LawBroken, Untested, require, same
from penstock.testing.probes.pipelines import chain
from penstock.testing.probes.pipelines import probe as command

_PAUSE = 0.005
"""Seconds between two looks."""

_CLOCKS = timedelta(minutes=10)
"""By how much the clocks of a target may differ from ours."""


@check(9)
def states_go_forward(harness: Harness) -> None:
    """Do the states of a run and its steps only go forward, in the order of the graph, to an end that stays?"""
    made, marks = put(harness, chain(harness.subject.python)), harness.counting()
    for number in range(2):
        run = start(harness, made, start=number * 1000, marks=str(marks or ""), seconds=0.01)
        looks = followed(harness, run)
        in_their_turn(looks)
        last = looks[-1]
        same(9, last.state, "succeeded", "a chain of steps that do nothing wrong")
        same(9, [step.name for step in last.steps], ["s0", "s1", "s2"], "the steps of a chain, in their order,")
        for place, step in enumerate(last.steps):
            require(9, step.attempt == 1, f"step {step.name} succeeded at its attempt {step.attempt}, expected 1")
            same(9, dict(step.outputs), {"count": str(number * 1000 + place + 1)}, f"the outputs of step {step.name}")
        outputs = harness.hooks.get_outputs(run).outputs
        same(9, dict(outputs), {"count": str(number * 1000 + 3)}, "the outputs of a chain")
        for before, after in pairwise(last.steps):
            if before.ended and after.started:
                require(
                    9, before.ended <= after.started, f"{after.name} started before {before.name}, its input, ended"
                )
    if marks is not None:
        counts = executions(marks)
        same(9, counts, {"s0": 2, "s1": 2, "s2": 2}, "how often the steps of two chains were really executed")


@check(9)
def failure_spares_others(harness: Harness) -> None:
    """Does a failing step fail the run, skip what depends on it, and leave the rest alone?"""
    made = put(harness, _failing(harness.subject.python))
    looks = followed(harness, start(harness, made))
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
    require(9, last.error is not None, "a failed run does not say why")
    assert last.error is not None
    same(9, last.error.step, "bad", "the step for which a run says it failed")
    same(9, dict(steps["bad"].outputs), {}, "what a step gives that failed after it wrote its output")
    for name in ("child", "grandchild"):
        require(9, steps[name].attempt == 0, f"{name} is skipped and had {steps[name].attempt} attempts")


@check(9)
def retried_and_counted(harness: Harness) -> str | None:
    """Is a failing step tried as often as it asks for, no more, and is every attempt counted?"""
    try:
        made = put(harness, _flaky(harness.subject.python, attempts=3))
    except Untested as error:
        return f"without retries: {error}"
    for needed, state in ((2, "succeeded"), (9, "failed")):
        folder = harness.counting()
        if folder is None:
            break
        looks = followed(harness, start(harness, made, marks=str(folder), needed=needed))
        (step,) = looks[-1].steps
        tried = min(needed, 3)
        same(9, looks[-1].state, state, f"a run whose step needs {needed} attempts of 3")
        same(9, (step.attempt, executions(folder)), (tried, {"try": tried}), "the attempts said and really made")
    return None


@check(9)
def timed_out(harness: Harness) -> str | None:
    """Does a step that takes longer than it may fail, and the run with it?"""
    sleeper = Step(command=command(harness.subject.python, "sleep", "600"), timeout=0.2)
    after = Step(command=command(harness.subject.python), after=["sleeper"])
    pipeline = Pipeline(name="timeout", defaults=Defaults(code="./src"), steps={"sleeper": sleeper, "after": after})
    try:
        made = put(harness, pipeline)
    except Untested as error:
        return f"without timeouts: {error}"
    with slow_run(harness, made) as run:
        last = followed(harness, run)[-1]
    same(9, last.state, "failed", "a run whose step takes too long")
    same(9, [step.state for step in last.steps], ["failed", "skipped"], "a step that takes too long and the next one")
    require(9, last.steps[0].exit_code != 0, "a step that takes too long is said to have exited with 0")
    return None


@check(9)
def unknown_is_absent(harness: Harness) -> None:
    """Is a run that was never submitted absent, and everything else about it refused without a crash?"""
    made = put(harness, chain(harness.subject.python, 1))
    run = RunRef(id="00000000-0000-4000-8000-000000000000", publication=made.publication)
    hooks = harness.hooks
    found = hooks.get_run(run)
    require(9, isinstance(found, Absent), f"a run that was never submitted is {found!r}")
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("its outputs", lambda: hooks.get_outputs(run).outputs),
        ("its logs", lambda: harness.has("penstock_read_logs") and hooks.read_logs(run, "s0", 0).data),
        ("its end", lambda: harness.has("penstock_cancel_run") and hooks.cancel(run)),
    )
    for what, call in calls:
        try:
            answer = call()
        except BackendBroken as error:
            raise LawBroken(9, f"asked for {what}, a run that was never submitted breaks: {error.message}") from None
        except PenstockError:
            continue
        require(9, not answer, f"asked for {what}, a run that was never submitted answers {answer!r}")


@check(9, needs=("penstock_list_runs",))
def many_are_told_as_one(harness: Harness) -> None:
    """Is of many runs asked for at once said what is said of each by itself, and of unknown ones that they are?"""
    hooks = harness.hooks
    made, bad = put(harness, chain(harness.subject.python, 2)), put(harness, _failing(harness.subject.python))
    runs = [start(harness, one) for one in (made, bad, made)]
    for run in runs:
        until(harness, run, is_over)
    strangers = [RunRef(id=str(uuid.uuid4()), publication=made.publication) for _ in range(2)]
    for asked in (runs, [strangers[0], *runs[::-1], strangers[1]], strangers, []):
        found = hooks.list_runs(asked)
        more = set(found) - {run.id for run in asked}
        require(9, not more, f"asked for {len(asked)} runs, the target tells of others: {sorted(more)}")
        for run in asked:
            # One that is left out was not looked at, and is asked for by itself.
            if run.id in found:
                what = "what is said of a run among others"
                same(9, found[run.id], hooks.get_run(run), what)
    whole = hooks.list_runs(runs)
    require(9, whole, f"asked for {len(runs)} runs that it has, the target tells of none")


@check(9, needs=("penstock_list_runs",))
def many_go_forward(harness: Harness) -> None:
    """Do the states of runs go forward when they are asked for together?"""
    made = put(harness, chain(harness.subject.python))
    runs = [start(harness, made, seconds=0.02) for _ in range(4)]
    looks: dict[str, list[RunReport]] = {run.id: [look(harness, run)] for run in runs}
    deadline = time.monotonic() + harness.profile.patience
    while not all(is_over(seen[-1]) for seen in looks.values()):
        require(9, time.monotonic() < deadline, "runs that are asked for together do not end")
        found = harness.hooks.list_runs(runs)
        for run in runs:
            report = found[run.id] if run.id in found else look(harness, run)
            if isinstance(report, Absent):
                raise LawBroken(9, f"the target does not know run {run.id}, which it took, among others")
            looks[run.id].append(report)
        time.sleep(_PAUSE)
    for seen in looks.values():
        forward(seen)
        same(9, seen[-1].state, "succeeded", "a chain that was looked at among others")


@check(9)
def record_goes_forward(harness: Harness) -> None:
    """Does the record of a run only go forward while it is waited for?"""
    with harness.workspace() as ws:
        run = set_up(harness, ws, chain(harness.subject.python)).submit(parameters={"seconds": 0.02})
        seen: list[RunRecord] = [run.record]
        ws.runs.wait(run.id, timeout=harness.profile.patience, watch=seen.append)
        seen += [ws.runs.get(run.id) for _ in range(3)]
        forward(seen)
        last = seen[-1]
        same(9, last.state, "succeeded", "a chain that was waited for")
        require(9, last.started and last.ended, "a run that succeeded has no times")
        assert last.started and last.ended
        require(9, last.started <= last.ended, "a run ended before it started")
        now = datetime.now(UTC)
        clocks = last.created - _CLOCKS <= last.started and last.ended <= now + _CLOCKS
        said = f"accepted at {last.created} and over at {now}, and to have gone on from {last.started} to {last.ended}"
        require(9, clocks, f"a run is said to have been {said}")
        same(9, {step.state for step in last.steps}, {"succeeded"}, "the states of the steps of a run that succeeded")


CHECKS = (
    record_goes_forward,
    many_are_told_as_one,
    many_go_forward,
    unknown_is_absent,
    states_go_forward,
    failure_spares_others,
    retried_and_counted,
    timed_out,
)


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
