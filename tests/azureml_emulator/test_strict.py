"""What is wrong is refused at once, as a UserError that says where."""

from __future__ import annotations

import pytest

STRING = {"type": "string"}
FILE = {"type": "uri_file"}

SPECS = {
    "no type": ({"name": "x"}, "componentSpec.type"),
    "another type": ({"type": "sweep"}, "does not do this"),
    "an unknown key": ({"type": "command", "command": "x", "commands": "y"}, "commands: unknown"),
    "no command": ({"type": "command", "environment": "E"}, "a command is needed"),
    "no environment": ({"type": "command", "command": "x"}, "an environment is needed"),
    "an environment that is not there": (
        {"type": "command", "command": "x", "environment": "azureml:y:1"},
        "y:1 does not exist",
    ),
    "a reference to nothing": ({"command": "${{inputs.x}}"}, "${{inputs.x}} refers to nothing"),
    "a dash": ({"command": "x", "inputs": {"a-b": STRING}}, "a-b: a name has"),
    "a digit": ({"command": "x", "inputs": {"1": STRING}}, "begins with no digit"),
    "an output that is no data": ({"command": "x", "outputs": {"o": STRING}}, "outputs.o: type is one of"),
    "a default of another type": (
        {"command": "x", "inputs": {"i": {"type": "integer", "default": "x"}}},
        "'x' is no integer",
    ),
    "a default beyond": (
        {"command": "x", "inputs": {"i": {"type": "integer", "default": 3, "max": 2}}},
        "3 is not from",
    ),
    "two machines": ({"command": "x", "resources": {"instance_count": 2}}, "does not do this"),
    "an optional input": (
        {"command": "${{inputs.i}}", "inputs": {"i": {**STRING, "optional": True}}},
        "outside of $[[...]]",
    ),
}


@pytest.mark.parametrize("case", SPECS)
def test_a_component_is_checked(emulator, case) -> None:
    spec, said = SPECS[case]
    if "type" not in spec and "name" not in spec:
        emulator.command("true")
        spec = {"type": "command", "environment": emulator.id("environments/sh/versions/1"), **spec}
    answer = emulator.arm("PUT", "components/wrong/versions/1", {"properties": {"componentSpec": spec}})
    assert answer.error in ((400, "UserError"), (501, "NotImplemented"))
    assert said in answer.message


NODES = {
    "no nodes": ({}, "at least one node"),
    "a component that is not there": ({"a": {"componentId": "azureml:x:1"}}, "x:1 does not exist"),
    "an input that is not there": ({"a": {"inputs": {"y": "1"}}}, "jobs.a.inputs.y: the component has no such input"),
    "an input that is needed": ({"a": {"inputs": {}}}, "jobs.a.inputs.x: the component needs this input"),
    "another expression": ({"a": {"inputs": {"x": "${{inputs.x}}"}}}, "an expression is parent.inputs.x"),
    "a pipeline's input that is not there": (
        {"a": {"inputs": {"x": "${{parent.inputs.y}}"}}},
        "parent.inputs.y is not there",
    ),
    "a node that is not there": ({"a": {"inputs": {"x": "${{parent.jobs.b.outputs.o}}"}}}, "is not there"),
    "an output that is not there": (
        {"a": {"outputs": {"p": {}}}},
        "jobs.a.outputs.p: the component has no such output",
    ),
    "a pipeline's output that is not there": ({"a": {"outputs": {"o": "${{parent.outputs.z}}"}}}, "no output z"),
    "data as text": ({"a": {"inputs": {"x": "${{parent.jobs.a.outputs.o}}"}}}, "is data, and the input is string"),
    "no duration": ({"a": {"limits": {"timeout": 7200}}}, "no duration such as PT2H"),
    "another kind": ({"a": {"type": "parallel"}}, "does not do this"),
    "an unknown key": ({"a": {"retry_settings": {}}}, "retry_settings: unknown"),
}


@pytest.mark.parametrize("case", NODES)
def test_a_pipeline_is_checked(emulator, case) -> None:
    nodes, said = NODES[case]
    component = emulator.command("echo ${{inputs.x}}", inputs={"x": STRING}, outputs={"o": FILE})
    full = {
        key: {"type": "command", "componentId": component, "inputs": {"x": "1"}, **node} for key, node in nodes.items()
    }
    spec = {"type": "pipeline", "jobs": full}
    answer = emulator.arm("PUT", "components/wrong/versions/1", {"properties": {"componentSpec": spec}})
    assert answer.error in ((400, "UserError"), (501, "NotImplemented"))
    assert said in answer.message


def test_nodes_that_wait_for_each_other_are_refused(emulator, emulated) -> None:
    component = emulator.command("true", inputs={"i": FILE}, outputs={"o": FILE})
    nodes = {
        key: emulated.node(component, {"i": f"${{{{parent.jobs.{other}.outputs.o}}}}"}) for key, other in ("ab", "ba")
    }
    answer = emulator.arm(
        "PUT", "components/wrong/versions/1", {"properties": {"componentSpec": {"type": "pipeline", "jobs": nodes}}}
    )
    assert "a, b wait for each other" in answer.message


def literal(value: str) -> dict[str, str]:
    return {"jobInputType": "literal", "value": value}


JOBS = {
    "another type": ({"jobType": "AutoML"}, "does not do this"),
    "an unknown key": ({"job": 1}, "job: unknown"),
    "a component and jobs": ({"jobs": {"a": {}}}, "either a componentId or jobs"),
    "an unknown input": ({"inputs": {"y": literal("1")}}, "inputs.y: the pipeline has no"),
    "an unknown output": ({"outputs": {"y": {"jobOutputType": "uri_file"}}}, "outputs.y: the pipeline has no"),
    "no integer": ({"inputs": {"n": literal("x")}}, "'x' is no integer"),
    "beyond": ({"inputs": {"n": literal("11")}}, "11 is not from 1 to 10"),
    "none of them": ({"inputs": {"n": literal("1"), "c": literal("z")}}, "none of ['a', 'b']"),
    "data": ({"inputs": {"n": {"jobInputType": "uri_file", "uri": "x"}}}, "a literal is needed"),
    "nothing": ({"inputs": {}}, "inputs.n: the pipeline needs this input"),
    "no word": ({"inputs": {"n": literal("--")}}, ""),
    "a compute that is not there": ({"settings": {"default_compute": "no"}}, "the compute no does not exist"),
    "no compute": ({"settings": {}}, "neither the node nor the job names a compute"),
    "another setting": ({"settings": {"default_computer": "cpu"}}, "default_computer: unknown"),
    "a component that is not there": ({"componentId": "azureml:x:1"}, "x:1 does not exist"),
    "a tag that is no text": ({"tags": {"a": ["b"]}}, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def choosy(emulator, emulated) -> str:
    component = emulator.command("echo ${{inputs.n}}", inputs={"n": {"type": "integer"}})
    inputs = {
        "n": {"type": "integer", "min": 1, "max": 10},
        "c": {"type": "string", "enum": ["a", "b"], "default": "a"},
    }
    return emulator.pipeline({"n": emulated.node(component, {"n": "${{parent.inputs.n}}"})}, inputs=inputs)


@pytest.mark.parametrize("case", JOBS)
def test_a_job_is_checked(emulator, choosy, case) -> None:
    changed, said = JOBS[case]
    good = {
        "jobType": "Pipeline",
        "componentId": choosy,
        "inputs": {"n": literal("1")},
        "settings": {"default_compute": "cpu"},
    }
    answer = emulator.arm("PUT", "jobs/wrong", {"properties": {**good, **changed}})
    assert answer.error in ((400, "UserError"), (501, "NotImplemented"))
    # Where Microsoft's schemas are, what they refuse comes first.
    assert said in answer.message or "Microsoft's schema" in answer.message
    assert emulator.arm("GET", "jobs/wrong").status == 404
