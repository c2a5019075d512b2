"""Law 11: the same pipeline and parameters give the same states, arguments, outputs and contents everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from penstock.records import RunRecord
from penstock.spec import Defaults, Pipeline, Step, Type
from penstock.testing.checking import check
from penstock.testing.harness import Harness, executions
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.laws import require, same
from penstock.testing.probes.expected import Expected, expected
from penstock.testing.probes.pipelines import probe
from penstock.testing.strategies.runnable import TRAVELLING, lay_out, runnable_pipelines, triggers_of
from penstock.testing.strategies.values import json_text

_SPELT: tuple[tuple[Type, str, str], ...] = (
    ("number", "zero", "-0.0"),
    ("number", "one", "1"),
    ("integer", "large", "9007199254740993"),
    ("boolean", "yes", "true\n"),
    ("string", "text", " 1\n"),
    ("list", "list", '[1, 1.0, "1", {"b": null, "a": true}]'),
)
"""Outputs by type and name, each as a program may write it."""


@check(11)
def runs_are_the_same(harness: Harness) -> str | None:
    """Does every pipeline come to the same on both targets, and to what its spec says?"""
    marked = harness.counting() is not None
    targets = (harness.subject.target, harness.subject.other)
    lay_out(harness.spec_folder)
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)

        def body(pipeline: Pipeline, data: st.DataObject) -> None:
            given = data.draw(triggers_of(pipeline))
            run_on(attempted, targets, pipeline, given, marked=marked)

        pipelines = runnable_pipelines(harness.subject.python, marks=marked)
        harness.forall(body, examples=10, pipeline=pipelines, data=st.data())
        return attempted.done()


@check(11)
def failures_are_the_same(harness: Harness) -> str | None:
    """When a step fails, are those that need it skipped, do the others go on, and has the run failed, everywhere?"""
    targets = (harness.subject.target, harness.subject.other)
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        runs = run_on(attempted, targets, _failing(harness.subject.python), {}, marked=False)
        for run in runs[1:]:
            what = "attempts, exit codes and errors of a failed run and its steps on the second target"
            same(11, _went(run), _went(runs[0]), what)
        return attempted.done()


@check(11)
def types_are_kept(harness: Harness) -> str | None:
    """Does a value that a step writes keep the type it was declared with, on both targets?"""
    words: list[str] = []
    for _, name, text in _SPELT:
        words += ["put", f"${{{{ outputs.{name} }}}}", text]
    step = Step(command=probe(harness.subject.python, *words), outputs={name: type_ for type_, name, _ in _SPELT})
    outputs = {name: f"${{{{ steps.only.outputs.{name} }}}}" for name in step.outputs}
    pipeline = Pipeline(name="types", defaults=Defaults(code="./src"), steps={"only": step}, outputs=outputs)
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        run_on(attempted, (harness.subject.target, harness.subject.other), pipeline, {}, marked=False)
        return attempted.done()


def run_on(
    attempted: Attempts, targets: Sequence[str], pipeline: Pipeline, given: Mapping[str, Any], *, marked: bool
) -> list[RunRecord]:
    """Run a pipeline on each target and hold what came of it to what its spec says, which is the same for all.

    Answers the runs on those targets that take it.
    """
    wanted = expected(pipeline, {**given, "marks": "there"} if marked else given, TRAVELLING)
    runs = []
    for target in targets:
        published = attempted.publish(pipeline, target)
        if published is not None:
            marks = attempted.harness.marks() if marked else None
            runs.append(
                (target, marks, attempted.submit(published, {**given, "marks": str(marks)} if marks else given))
            )
    ended = []
    for target, marks, run_id in runs:
        run = attempted.harness.wait(attempted.workspace, run_id, 11)
        ended.append(run)
        came_to(11, run, wanted, f"on target `{target}`")
        if marks is not None:
            runs_of = {name: step.executions for name, step in wanted.steps.items() if step.executions}
            counted = {name: count for name, count in runs_of.items() if "mark" in pipeline.steps[name].command}
            same(11, executions(marks), counted, f"how often steps that are tried again ran on `{target}`")
    return ended


def came_to(law: int, run: RunRecord, wanted: Expected, where: str) -> None:
    """Hold a run that has ended to what it must come to. What artifacts hold is told by the steps that read them."""
    states = {step.name: step.state for step in run.steps}
    same(law, states, {name: step.state for name, step in wanted.steps.items()}, f"the state of each step {where}")
    same(law, run.state, wanted.state, f"the state of the run {where}")
    for step in run.steps:
        goal = wanted.steps[step.name]
        _outputs(law, step.outputs, goal.outputs, goal.artifacts, f"of step `{step.name}` {where}")
    _outputs(law, run.outputs, wanted.outputs, wanted.artifacts, f"of the run {where}")


def _outputs(law: int, found: Mapping[str, Any], values: Mapping[str, Any], artifacts: frozenset[str], of: str) -> None:
    same(law, set(found), values.keys() | artifacts, f"the names of the outputs {of}")
    for name, value in values.items():
        one, other = json_text(found[name]), json_text(value)
        require(law, one == other, f"the output `{name}` {of} is {one[:300]}, expected {other[:300]}")


def _went(run: RunRecord) -> list[tuple[object, ...]]:
    """How a run and its steps went, as far as that is no time and no message."""
    steps = [(step.name, step.attempt, step.exit_code, step.error and step.error.code) for step in run.steps]
    return [("the run", run.error and run.error.code, run.error and run.error.step), *steps]


def _failing(python: str) -> Pipeline:
    """Two branches, one of which breaks in the middle; `join` needs both, `late` only waits for the broken one."""
    give = ("put", "${{ outputs.value }}", "1")
    outputs = {"value": "integer"}

    def needing(*names: str) -> dict[str, str]:
        return {f"v{number}": f"${{{{ steps.{name}.outputs.value }}}}" for number, name in enumerate(names)}

    steps = {
        "root": Step(command=probe(python, *give), outputs=outputs),
        "good": Step(command=probe(python, *give), inputs=needing("root"), outputs=outputs),
        "bad": Step(command=probe(python, *give, "exit", "3"), inputs=needing("root"), outputs=outputs),
        "beside": Step(command=probe(python, *give), inputs=needing("good"), outputs=outputs),
        "silent": Step(command=probe(python), inputs=needing("good"), outputs=outputs),
        "join": Step(command=probe(python, *give), inputs=needing("beside", "bad"), outputs=outputs),
        "late": Step(command=probe(python, *give), after=("bad",), outputs=outputs),
        "last": Step(command=probe(python, *give), inputs=needing("join"), outputs=outputs),
    }
    return Pipeline(name="failing", defaults=Defaults(code="./src"), steps=steps)


CHECKS = (failures_are_the_same, types_are_kept, runs_are_the_same)
