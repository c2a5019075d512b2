"""Law 11: the same pipeline and parameters give the same states, arguments, outputs and contents everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from penstock.records import RunRecord
from penstock.spec import Defaults, Parameter, Pipeline, Step, Type
from penstock.testing.asking.tries import Tries
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import check
from penstock.testing.laws import hold, same
from penstock.testing.probes import probe as probe_program
from penstock.testing.probes.expected import Expected, digest_of, expected
from penstock.testing.probes.pipelines import probe
from penstock.testing.strategies.runnable import FOLDER, SHEET, TRAVELLING, lay_out, runnable_pipelines, triggers_of
from penstock.testing.strategies.values import json_text

_CODE = {
    "lib/a b/é.txt": b"\r\n",
    "lib/.hidden": b"\0",
    "lib/empty": b"",
    "lib/run": b"#!/bin/sh\n",
    "lib/b/deep/run": b"x",
}
"""Files of a code folder."""

_EXECUTABLE = ("lib/run", "lib/b/deep/run")

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
def runs_are_the_same(bench: Bench) -> str | None:
    """Does every pipeline come to the same on both targets, and to what its spec says?"""
    marked = bench.counting() is not None
    targets = (bench.subject.target, bench.subject.other)
    lay_out(bench.spec_folder)
    with bench.workspace() as ws:
        tries = Tries(bench, ws)

        def body(pipeline: Pipeline, data: st.DataObject) -> None:
            given = data.draw(triggers_of(pipeline))
            _run_on(tries, targets, pipeline, given, marked=marked)

        pipelines = runnable_pipelines(bench.subject.python, marks=marked)
        bench.forall(body, examples=10, pipeline=pipelines, data=st.data())
        return tries.done()


@check(11)
def failures_are_the_same(bench: Bench) -> str | None:
    """When a step fails, are those that need it skipped, do the others go on, and has the run failed, everywhere?"""
    targets = (bench.subject.target, bench.subject.other)
    with bench.workspace() as ws:
        tries = Tries(bench, ws)
        _run_on(tries, targets, _failing(bench.subject.python), {}, marked=False)
        return tries.done()


@check(11)
def types_are_kept(bench: Bench) -> str | None:
    """Does a value that a step writes keep the type it was declared with, on both targets?"""
    words: list[str] = []
    for _, name, text in _SPELT:
        words += ["put", f"${{{{ outputs.{name} }}}}", text]
    step = Step(command=probe(bench.subject.python, *words), outputs={name: type_ for type_, name, _ in _SPELT})
    outputs = {name: f"${{{{ steps.only.outputs.{name} }}}}" for name in step.outputs}
    pipeline = Pipeline(name="types", defaults=Defaults(code="./src"), steps={"only": step}, outputs=outputs)
    with bench.workspace() as ws:
        tries = Tries(bench, ws)
        _run_on(tries, (bench.subject.target, bench.subject.other), pipeline, {}, marked=False)
        return tries.done()


@check(11)
def contents_are_the_same(bench: Bench) -> str | None:
    """Do files and folders reach the steps that read them with every byte, on both targets?"""
    lay_out(bench.spec_folder)
    with bench.workspace() as ws:
        tries = Tries(bench, ws)
        _run_on(tries, (bench.subject.target, bench.subject.other), _contents(bench.subject.python), {}, marked=False)
        return tries.done()


@check(11)
def code_is_the_same(bench: Bench) -> str | None:
    """Does code reach the steps with every file, every byte and its executable bits, on both targets?"""
    folder = bench.spec_folder / "tools"
    for name, data in (("probe.py", Path(probe_program.__file__).read_bytes()), *_CODE.items()):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o755 if name in _EXECUTABLE else 0o644)
    words = ["digest", "lib", "${{ outputs.digest }}"]
    for number, name in enumerate(_CODE):
        words += ["runnable", name, f"${{{{ outputs.runnable{number} }}}}"]
    wanted: dict[str, Any] = {f"runnable{number}": name in _EXECUTABLE for number, name in enumerate(_CODE)}
    wanted["digest"] = digest_of({name.removeprefix("lib/"): data for name, data in _CODE.items()})
    outputs: dict[str, Type] = {name: "string" if name == "digest" else "boolean" for name in wanted}
    step = Step(command=probe(bench.subject.python, *words), outputs=outputs)
    with bench.workspace() as ws:
        tries = Tries(bench, ws)
        for target in (bench.subject.target, bench.subject.other):
            published = tries.publish(
                Pipeline(name="code", defaults=Defaults(code="./tools"), steps={"look": step}), target
            )
            if published is not None:
                run = bench.wait(ws, tries.submit(published, {}), 11)
                same(11, run.state, "succeeded", f"a run that looks at its code on target `{target}`")
                same(11, dict(run.steps[0].outputs), wanted, f"the code as a step sees it on target `{target}`")
        return tries.done()


def _run_on(
    tries: Tries, targets: Sequence[str], pipeline: Pipeline, given: Mapping[str, Any], *, marked: bool
) -> None:
    """Run a pipeline on each target and hold what came of it to what its spec says, which is the same for all."""
    wanted = expected(pipeline, {**given, "marks": "there"} if marked else given, TRAVELLING)
    runs = []
    for target in targets:
        published = tries.publish(pipeline, target)
        if published is not None:
            marks = tries.bench.marks() if marked else None
            runs.append((target, marks, tries.submit(published, {**given, "marks": str(marks)} if marks else given)))
    for target, marks, run_id in runs:
        run = tries.bench.wait(tries.workspace, run_id, 11)
        came_to(11, run, wanted, f"on target `{target}`")
        if marks is not None:
            runs_of = {name: step.executions for name, step in wanted.steps.items() if step.executions}
            counted = {name: count for name, count in runs_of.items() if "mark" in pipeline.steps[name].command}
            same(11, executions(marks), counted, f"how often steps that are tried again ran on `{target}`")


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
        hold(law, one == other, f"the output `{name}` {of} is {one[:300]}, expected {other[:300]}")


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


def _contents(python: str) -> Pipeline:
    """Content that came with the pipeline and content that a step made: read, copied on, and read again."""
    made = {"sheet": "file", "note": "file", "folder": "directory"}
    first = Step(
        inputs={"sheet": "${{ parameters.sheet }}"},
        command=probe(
            python,
            *("copy", "${{ inputs.sheet }}", "${{ outputs.sheet }}", "put", "${{ outputs.note }}", "é\r\n"),
            *("folder", "${{ outputs.folder }}", " a\n"),
        ),
        outputs=made,
    )
    read = {"whole": "${{ parameters.sheet }}", "tree": "${{ parameters.folder }}"}
    read |= {name: f"${{{{ steps.first.outputs.{name} }}}}" for name in made}
    words = [word for name in read for word in ("digest", f"${{{{ inputs.{name} }}}}", f"${{{{ outputs.{name} }}}}")]
    second = Step(inputs=read, command=probe(python, *words), outputs=dict.fromkeys(read, "string"))
    return Pipeline(
        name="contents",
        parameters={"sheet": Parameter("file", default=SHEET), "folder": Parameter("directory", default=FOLDER)},
        defaults=Defaults(code="./src"),
        steps={"first": first, "second": second},
        outputs={name: f"${{{{ steps.second.outputs.{name} }}}}" for name in read},
    )


CHECKS = (failures_are_the_same, types_are_kept, contents_are_the_same, code_is_the_same, runs_are_the_same)
