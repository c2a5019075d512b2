"""Laws 9 and 11 for retries and timeouts: each step has its own or those of all steps, and they are what they say."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path

from attrs import evolve

from penstock.contract.run import RunReport
from penstock.spec import Defaults, Parameter, Pipeline, Retry, Step
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.helpers.directly import is_over, put, slow_run, start, until
from penstock.testing.laws import Untested, require, same
from penstock.testing.probes.pipelines import probe

_REST = 1.0
"""Seconds between two attempts of a step."""

_LONG = "600"
"""Seconds that a step sleeps which is not to come to its end."""


@check(9, 11)
def each_step_has_its_own(harness: Harness) -> str | None:
    """Does a step's time begin when it starts, and is it tried again, for being late too, as it says itself?"""
    python = harness.subject.python
    steps = {
        "slow": Step(command=probe(python, "sleep", "3")),
        "quick": Step(command=_marking(python, "quick"), after=("slow",), timeout=3.0),
        "late": Step(command=_marking(python, "late", "sleep", "9"), timeout=1.5, retry=Retry(attempts=2)),
        "bad": Step(command=_marking(python, "bad", "exit", "3")),
        "rested": Step(command=_marking(python, "rested", "exit", "3"), retry=Retry(attempts=2, delay=_REST)),
    }
    ends = {"slow": "succeeded", "quick": "succeeded", "late": "failed", "bad": "failed", "rested": "failed"}
    counts = {"slow": 1, "quick": 1, "late": 2, "bad": 1, "rested": 2}
    return _comes_to(harness, 9, Defaults(code="./src"), steps, ends, counts)


@check(11)
def all_steps_have_theirs(harness: Harness) -> str | None:
    """Do steps have the retries and the timeout of all steps, unless they say something else themselves?"""
    python = harness.subject.python
    defaults = Defaults(code="./src", retry=Retry(attempts=2), timeout=1.5)
    steps = {
        "bad": Step(command=_marking(python, "bad", "exit", "3"), timeout=60.0),
        "late": Step(command=_marking(python, "late", "sleep", "9"), retry=Retry(attempts=1)),
        "patient": Step(command=_marking(python, "patient", "sleep", "2"), timeout=60.0),
    }
    ends = {"bad": "failed", "late": "failed", "patient": "succeeded"}
    return _comes_to(harness, 11, defaults, steps, ends, {"bad": 2, "late": 1, "patient": 1})


@check(9)
def other_ends_are_failures(harness: Harness) -> str | None:
    """Has a step failed that was killed, and one whose program is not there, and the run with them?"""
    python = harness.subject.python
    steps = {
        "killed": Step(command=_marking(python, "killed", "die")),
        "missing": Step(command=("penstock-has-no-such-program", "--version")),
    }
    ends = dict.fromkeys(steps, "failed")
    return _comes_to(harness, 9, Defaults(code="./src"), steps, ends, {"killed": 1}, law_of_counts=9)


@check(9, 11, needs=("penstock_cancel_run",))
def canceled_is_not_tried_again(harness: Harness) -> str | None:
    """Is a step that is canceled not tried again, however many attempts it has left?"""
    marks = harness.counting()
    words = ("say", "begun\n", "sleep", "0", "mark", "${{ parameters.marks }}", "again", "sleep", _LONG)
    step = Step(command=probe(harness.subject.python, *words), retry=Retry(attempts=3))
    pipeline = _pipeline(Defaults(code="./src"), {"again": step})
    try:
        made = put(harness, pipeline)
    except Untested as error:
        return f"without retries: {error}"

    def begun(report: RunReport) -> bool:
        return is_over(report) or bool(executions(marks) if marks else report.steps[0].state == "running")

    with slow_run(harness, made, marks=str(marks or "")) as run:
        until(harness, run, begun, what="start")
        harness.hooks.cancel(run)
        ended = until(harness, run, is_over)[-1]
        same(9, (ended.state, ended.steps[0].attempt), ("canceled", 1), "a canceled run, and the attempts of its step")
        if marks is not None and harness.has("penstock_read_logs"):
            log = harness.hooks.read_logs(run, "again", 0).data
            same(11, log, b"begun\n", "the log of a step that was canceled")
    # As long as this one takes, another attempt would have begun too.
    other = evolve(pipeline, steps={"again": Step(command=probe(harness.subject.python, "sleep", "0.2"))})
    until(harness, start(harness, put(harness, other)), is_over)
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
    harness: Harness,
    law: int,
    defaults: Defaults,
    steps: Mapping[str, Step],
    ends: Mapping[str, str],
    counts: Mapping[str, int],
    *,
    law_of_counts: int = 11,
) -> str | None:
    """Run the steps, and hold them to their ends and to how often they were started."""
    marks = harness.counting()
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        published = attempted.publish(_pipeline(defaults, steps))
        if published is not None:
            run = harness.wait(ws, attempted.submit(published, {"marks": str(marks or "")}), law)
            same(law, {step.name: step.state for step in run.steps}, dict(ends), "the states of the steps")
            same(law, run.state, "failed", "a run with steps that failed")
            said = {step.name: step.attempt for step in run.steps if step.name in counts}
            same(law_of_counts, said, dict(counts), "how often each step was tried")
            if marks is not None:
                cut_short = {name for name, step in steps.items() if ends[name] == "failed" and "sleep" in step.command}
                _marked(marks, law_of_counts, steps, counts, cut_short)
        return attempted.done()


def _marked(
    marks: Path, law: int, steps: Mapping[str, Step], counts: Mapping[str, int], cut_short: Collection[str]
) -> None:
    """Hold the marks of steps to how often they were tried. What is cut short may not have come to its mark."""
    found = executions(marks)
    for name, step in steps.items():
        if "mark" in step.command:
            times, wanted = found.get(name, 0), counts[name]
            right = times == wanted or (name in cut_short and times < wanted)
            require(law, right, f"step {name} was started {times} times, expected {wanted}")
        if step.retry and step.retry.delay:
            at = sorted(file.stat().st_mtime for file in marks.glob(f"{name}.*"))
            rests = [after - before for before, after in pairwise(at)]
            enough = all(rest > step.retry.delay / 2 for rest in rests)
            require(law, enough, f"step {name} was tried again after {rests} s, expected {step.retry.delay}")
