"""Laws 9 and 11 for retries and timeouts: each step has its own or those of all steps, and they are what they say."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve

from penstock.runs import RunReport
from penstock.spec import Defaults, Parameter, Pipeline, Retry, Step
from penstock.testing.asking.directly import is_over, put, slow_run, start, until
from penstock.testing.asking.tries import Tries
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import check
from penstock.testing.laws import Untested, same
from penstock.testing.probes.pipelines import probe

_LONG = "600"
"""Seconds that a step sleeps which is not to come to its end."""


@check(9, 11)
def each_step_has_its_own(bench: Bench) -> str | None:
    """Does a step's time begin when it starts, and is a step tried again for being late, and only if it says so?"""
    python = bench.subject.python
    steps = {
        "slow": Step(command=probe(python, "sleep", "3")),
        "quick": Step(command=_marking(python, "quick"), after=("slow",), timeout=3.0),
        "late": Step(command=_marking(python, "late", "sleep", "9"), timeout=1.5, retry=Retry(attempts=2)),
        "bad": Step(command=_marking(python, "bad", "exit", "3")),
    }
    ends = {"slow": "succeeded", "quick": "succeeded", "late": "failed", "bad": "failed"}
    return _comes_to(bench, 9, Defaults(code="./src"), steps, ends, {"quick": 1, "late": 2, "bad": 1})


@check(11)
def all_steps_have_theirs(bench: Bench) -> str | None:
    """Do steps have the retries and the timeout of all steps, unless they say something else themselves?"""
    python = bench.subject.python
    defaults = Defaults(code="./src", retry=Retry(attempts=2), timeout=1.5)
    steps = {
        "bad": Step(command=_marking(python, "bad", "exit", "3"), timeout=60.0),
        "late": Step(command=_marking(python, "late", "sleep", "9"), retry=Retry(attempts=1)),
        "patient": Step(command=_marking(python, "patient", "sleep", "2"), timeout=60.0),
    }
    ends = {"bad": "failed", "late": "failed", "patient": "succeeded"}
    return _comes_to(bench, 11, defaults, steps, ends, {"bad": 2, "late": 1, "patient": 1})


@check(9)
def other_ends_are_failures(bench: Bench) -> str | None:
    """Has a step failed that was killed, and one whose program is not there, and the run with them?"""
    python = bench.subject.python
    steps = {
        "killed": Step(command=_marking(python, "killed", "die")),
        "missing": Step(command=("penstock-has-no-such-program", "--version")),
    }
    ends = dict.fromkeys(steps, "failed")
    return _comes_to(bench, 9, Defaults(code="./src"), steps, ends, {"killed": 1})


@check(9, needs=("penstock_cancel_run",))
def canceled_is_not_tried_again(bench: Bench) -> str | None:
    """Is a step that is canceled not tried again, however many attempts it has left?"""
    marks = bench.counting()
    step = Step(command=_marking(bench.subject.python, "again", "sleep", _LONG), retry=Retry(attempts=3))
    pipeline = _pipeline(Defaults(code="./src"), {"again": step})
    try:
        made = put(bench, pipeline)
    except Untested as error:
        return f"without retries: {error}"

    def begun(report: RunReport) -> bool:
        return is_over(report) or bool(executions(marks) if marks else report.steps[0].state == "running")

    with slow_run(bench, made, marks=str(marks or "")) as run:
        until(bench, run, begun, what="start")
        bench.operations.cancel(bench.place.target, run)
        ended = until(bench, run, is_over)[-1]
        same(9, (ended.state, ended.steps[0].attempt), ("canceled", 1), "a canceled run, and the attempts of its step")
    # As long as this one takes, another attempt would have begun too.
    other = evolve(pipeline, steps={"again": Step(command=probe(bench.subject.python, "sleep", "0.2"))})
    until(bench, start(bench, put(bench, other)), is_over)
    if marks is not None:
        same(9, executions(marks), {"again": 1}, "how often a step was started that was canceled at its first attempt")
    return None


CHECKS = (other_ends_are_failures, canceled_is_not_tried_again, all_steps_have_theirs, each_step_has_its_own)
"""What is asked here."""


def _marking(python: str, name: str, *words: str) -> tuple[str, ...]:
    return probe(python, "mark", "${{ parameters.marks }}", name, *words)


def _pipeline(defaults: Defaults, steps: Mapping[str, Step]) -> Pipeline:
    marks = Parameter("string", default="")
    return Pipeline(name="attempts", parameters={"marks": marks}, defaults=defaults, steps=steps)


def _comes_to(
    bench: Bench,
    law: int,
    defaults: Defaults,
    steps: Mapping[str, Step],
    ends: Mapping[str, str],
    counts: Mapping[str, int],
) -> str | None:
    """Run the steps, and hold them to their ends and to how often they were started."""
    marks = bench.counting()
    with bench.workspace() as ws:
        tries = Tries(bench, ws)
        published = tries.publish(_pipeline(defaults, steps))
        if published is not None:
            run = bench.wait(ws, tries.submit(published, {"marks": str(marks or "")}), law)
            same(law, {step.name: step.state for step in run.steps}, dict(ends), "the states of the steps")
            same(law, run.state, "failed", "a run with steps that failed")
            if marks is not None:
                same(11, executions(marks), dict(counts), "how often each step was started")
        return tries.done()
