"""What the kit expects of a pipeline, against the program that the steps run, and against what is plain to see."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from penstock.spec import Defaults, Parameter, Pipeline, Retry, Step
from penstock.testing.probes import probe
from penstock.testing.probes.expected import digest_of, expected, text_of
from penstock.testing.probes.pipelines import chain, echo
from penstock.testing.strategies.runnable import FOLDER, SHEET, TRAVELLING, lay_out


def steps_of(*words, **more):
    return {"only": Step(command=["python", "probe.py", *words], **more)}


def run_of(steps, **more):
    return expected(Pipeline(name="p", defaults=Defaults(code="./src"), steps=steps, **more))


def test_arguments_are_filled_once():
    names = {
        "a": Parameter("string"),
        "b": Parameter("number"),
        "c": Parameter("object", default={"b": 1, "a": [True]}),
    }
    found = expected(echo("python", names), {"a": "${{ parameters.b }}", "b": 1})
    assert found.state == "succeeded"
    assert found.steps["echo"].arguments == ("${{ parameters.b }}", "1.0", '{"a":[true],"b":1}')
    assert found.outputs == {"args": list(found.steps["echo"].arguments)}


def test_values_go_from_step_to_step():
    found = expected(chain("python", 3), {"start": 2**53})
    assert found.outputs == {"count": 2**53 + 3}
    assert [step.log for step in found.steps.values()] == [b"s0\n", b"s1\n", b"s2\n"]
    assert {step.executions for step in found.steps.values()} == {1}


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [("number", "1\n", 1.0), ("integer", "1", 1), ("string", "1\n", "1\n"), ("list", "[1, 1.0]", [1, 1.0])],
)
def test_an_output_is_what_its_type_reads(type_, text, value):
    found = run_of(steps_of("put", "${{ outputs.x }}", text, "--", outputs={"x": type_}))
    assert json.dumps(found.steps["only"].outputs) == json.dumps({"x": value})


@pytest.mark.parametrize(
    ("words", "state"),
    [
        (("exit", "3"), "failed"),
        (("put", "${{ outputs.x }}", "1", "exit", "0", "exit", "3"), "succeeded"),
        (("put", "${{ outputs.x }}", "one"), "failed"),
        ((), "failed"),
    ],
)
def test_a_step_fails_when_it_says_so_and_when_its_outputs_are_wrong(words, state):
    found = run_of(steps_of(*words, outputs={"x": "integer"}))
    assert (found.state, found.steps["only"].state) == (state, state)


def test_what_needs_a_failure_is_skipped_and_the_rest_goes_on():
    bad, good = Step(command="python probe.py say no exit 1"), Step(command="python probe.py say yes")
    after = {"a": bad, "b": Step(command=good.command, after=["a"]), "c": good}
    found = run_of({**after, "d": Step(command=good.command, after=["b", "c"])})
    assert {name: step.state for name, step in found.steps.items()} == {
        "a": "failed",
        "b": "skipped",
        "c": "succeeded",
        "d": "skipped",
    }
    assert (found.state, found.outputs) == ("failed", {})
    assert [found.steps[name].log for name in "abc"] == [b"no", b"", b"yes"]


@pytest.mark.parametrize(("attempts", "state", "executions"), [(1, "failed", 1), (2, "failed", 2), (5, "succeeded", 3)])
def test_attempts_are_counted_by_the_marks(attempts, state, executions):
    step = steps_of("mark", "there", "only", "flaky", "there", "only", "3", retry=Retry(attempts=attempts))["only"]
    found = run_of({"only": step}).steps["only"]
    assert (found.state, found.executions, found.log) == (state, executions, None if executions > 1 else b"")


def test_contents_have_the_digest_that_the_probe_gives(tmp_path):
    lay_out(tmp_path)
    contents = {**TRAVELLING, "deep": {"z": b"1", "a/z": b"2", "a/b/c": b"3", "a-b": b"4"}}
    for name, data in contents["deep"].items():
        file = tmp_path / "deep" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    for path, content in contents.items():
        assert digest_of(content) == probe.digest(os.path.join(tmp_path, path))
    assert {SHEET, FOLDER} == TRAVELLING.keys()


def test_the_probe_takes_any_text_for_a_value(tmp_path):
    words = ["args", "args", "put", "put", "--", "env", "PROBE", "env", "count", "9007199254740992", "count"]
    words += ["put", "made", "x", "copy", "made", "copied", "say", "é"]
    given = ["--", "", " a", "é\n", "exit"]
    program = [sys.executable, "-S", probe.__file__, *words, "--", *given]
    done = subprocess.run(program, cwd=tmp_path, env={"PROBE": "a\nb", "LC_ALL": "C"}, capture_output=True, check=True)
    assert done.stdout == "é".encode()
    assert json.loads((tmp_path / "args").read_text()) == given
    found = {name: (tmp_path / name).read_text() for name in ("put", "env", "count", "copied")}
    assert found == {"put": "--", "env": "a\nb", "count": "9007199254740993", "copied": "x"}


def test_what_cannot_be_computed_is_refused():
    with pytest.raises(ValueError, match="not the probe"):
        run_of({"a": Step(command=["train"])})
    with pytest.raises(ValueError, match="circle"):
        run_of({"a": Step(command="python probe.py", after=["b"]), "b": Step(command="python probe.py", after=["a"])})


def test_a_whole_number_is_a_number():
    assert [text_of("number", 1), text_of("integer", 1), text_of("boolean", True)] == ["1.0", "1", "true"]
