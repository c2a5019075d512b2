"""What Google would refuse is refused at once, with its codes, and leaves no job behind."""

from __future__ import annotations

import copy
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest


def body(emulator: Any, emulated: Any) -> dict[str, Any]:
    """A job that is taken, with something in every corner."""
    e = emulated
    two = e.step(
        "true",
        e.parameter("word"),
        "{{$.outputs.artifacts['f'].uri}}",
        env=[{"name": "A", "value": "a"}],
        inputs={"parameters": {"word": e.STRING}},
        outputs={"artifacts": {"f": e.ARTIFACT}},
        sources={"parameters": {"word": e.from_task("one", "said")}},
    )
    one = e.step("true", e.output_file("said"), outputs={"parameters": {"said": e.STRING}})
    spec = e.pipeline(
        {"one": one, "two": two},
        {
            "text": e.STRING,
            "n": {"parameterType": "NUMBER_INTEGER", "defaultValue": 1},
            "list": {"parameterType": "LIST", "isOptional": True},
        },
    )
    runtime = {"gcsOutputDirectory": f"{emulator.staging}/strict", "parameterValues": {"text": "x"}}
    return {"displayName": "d", "labels": {"a": "b"}, "pipelineSpec": spec, "runtimeConfig": runtime}


def post(emulator: Any, document: Any, job: str = "strict") -> tuple[int, Any]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    request = urllib.request.Request(f"{emulator.url}/v1/{emulator.parent}/pipelineJobs?pipelineJobId={job}", data)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)["error"]


def put(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """A change: the value at a dotted path, whose last part may be new."""

    def change(document: dict[str, Any]) -> None:
        *way, last = path.split(".")
        for part in way:
            document = document[part]
        if value is None:
            del document[last]
        else:
            document[last] = value

    return change


TASKS = "pipelineSpec.root.dag.tasks"
EXECUTOR = "pipelineSpec.deploymentSpec.executors.exec-two.container"
WRONG = {
    "unknown field": (put("color", "red"), "color"),
    "unknown field in a Struct": (put("pipelineSpec.color", "red"), "color"),
    "unknown field deep in a Struct": (put(f"{TASKS}.one.color", "red"), "color"),
    "unknown field of a container": (put(f"{EXECUTOR}.color", "red"), "color"),
    "wrong type": (put("runtimeConfig.failurePolicy", "SOMETIMES"), "SOMETIMES"),
    "number as an argument": (put(f"{EXECUTOR}.args", [1]), "args"),
    "no spec": (put("pipelineSpec", None), "pipelineSpec"),
    "no root": (put("pipelineSpec.root", None), "root"),
    "name of the pipeline": (put("pipelineSpec.pipelineInfo.name", "No Name"), "No Name"),
    "other parameter": (put("runtimeConfig.parameterValues.other", "x"), "'other'"),
    "missing parameter": (put("runtimeConfig.parameterValues", {}), "'text'"),
    "number for text": (put("runtimeConfig.parameterValues.text", 1), "STRING"),
    "text for a number": (put("runtimeConfig.parameterValues.n", "1"), "NUMBER_INTEGER"),
    "fraction for an integer": (put("runtimeConfig.parameterValues.n", 1.5), "NUMBER_INTEGER"),
    "integer that a double does not hold": (put("runtimeConfig.parameterValues.n", 2**53), "NUMBER_INTEGER"),
    "truth for a number": (put("runtimeConfig.parameterValues.n", True), "NUMBER_INTEGER"),
    "object for a list": (put("runtimeConfig.parameterValues.list", {}), "LIST"),
    "default of another type": (put("pipelineSpec.root.inputDefinitions.parameters.n.defaultValue", "x"), "INTEGER"),
    "old parameters": (put("runtimeConfig.parameters", {"text": {"stringValue": "x"}}), "parameterValues"),
    "no root folder": (put("runtimeConfig.gcsOutputDirectory", ""), "gcsOutputDirectory"),
    "no gs:// folder": (put("runtimeConfig.gcsOutputDirectory", "/tmp/x"), "/tmp/x"),
    "folder outside of the bucket": (put("runtimeConfig.gcsOutputDirectory", "gs://penstock-emulator/../x"), "../x"),
    "task outside of its folder": (put(f"{TASKS}.a/b", {"componentRef": {"name": "comp-one"}}), "part of a path"),
    "output outside of its folder": (
        put("pipelineSpec.components.comp-one.outputDefinitions.artifacts", {"../x": {"artifactType": {}}}),
        "part of a path",
    ),
    "no such bucket": (put("runtimeConfig.gcsOutputDirectory", "gs://nobodys/x"), "nobodys"),
    "capitals in a label": (put("labels.a", "B"), "'B'"),
    "label too long": (put("labels.a", "b" * 64), "bbb"),
    "key of a label": (put("labels", {"A b": "c"}), "A b"),
    "too many labels": (put("labels", {f"a{n}": "" for n in range(65)}), "65"),
    "display name": (put("displayName", "d" * 129), "displayName"),
    "no such component": (put(f"{TASKS}.one.componentRef.name", "nobody"), "nobody"),
    "no such executor": (put("pipelineSpec.components.comp-one.executorLabel", "nobody"), "nobody"),
    "no such task": (put(f"{TASKS}.one.dependentTasks", ["nobody"]), "nobody"),
    "circle": (put(f"{TASKS}.one.dependentTasks", ["two"]), "wait for each other"),
    "itself": (put(f"{TASKS}.one.dependentTasks", ["one"]), "wait for each other"),
    "no such producer": (
        put(f"{TASKS}.two.inputs.parameters.word.taskOutputParameter.producerTask", "nobody"),
        "nobody",
    ),
    "no such output": (put(f"{TASKS}.two.inputs.parameters.word.taskOutputParameter.outputParameterKey", "no"), "'no'"),
    "other type of an output": (
        put("pipelineSpec.components.comp-one.outputDefinitions.parameters.said.parameterType", "LIST"),
        "LIST",
    ),
    "input left out": (put(f"{TASKS}.two.inputs.parameters", {}), "word"),
    "input too many": (put(f"{TASKS}.one.inputs", {"parameters": {"w": {"componentInputParameter": "text"}}}), "[w]"),
    "no such pipeline parameter": (
        put(f"{TASKS}.two.inputs.parameters.word", {"componentInputParameter": "no"}),
        "'no'",
    ),
    "constant of another type": (
        put(f"{TASKS}.two.inputs.parameters.word", {"runtimeValue": {"constant": 1}}),
        "STRING",
    ),
    "unknown placeholder": (put(f"{EXECUTOR}.args", ["{{$.no.such}}"]), "{{$.no.such}}"),
    "placeholder without a name": (put(f"{EXECUTOR}.args", ["{{$.inputs.parameters['no']}}"]), "['no']"),
    "placeholder in the environment": (
        put(f"{EXECUTOR}.env", [{"name": "A", "value": "{{$.inputs.parameters['no']}}"}]),
        "['no']",
    ),
    "name of a variable": (put(f"{EXECUTOR}.env", [{"name": "A B", "value": ""}]), "A B"),
    "no image": (put(f"{EXECUTOR}.image", ""), "image"),
    "dag that holds itself": (
        put(
            "pipelineSpec.components.comp-one",
            {
                "dag": {"tasks": {"one": {"componentRef": {"name": "comp-one"}}}},
                "outputDefinitions": {"parameters": {"said": {"parameterType": "STRING"}}},
            },
        ),
        "itself",
    ),
    "output of nobody": (
        put(
            "pipelineSpec.root.dag.outputs",
            {"parameters": {"o": {"valueFromParameter": {"producerSubtask": "one", "outputParameterKey": "said"}}}},
        ),
        "[o]",
    ),
}

BEYOND = {
    "condition": put(f"{TASKS}.one.triggerPolicy", {"condition": "true"}),
    "iterator": put(f"{TASKS}.one.parameterIterator", {"items": {"raw": "[]"}, "itemInput": "x"}),
    "what an image starts": put(f"{EXECUTOR}.command", []),
    "other executors": put(f"{EXECUTOR.removesuffix('.container')}", {"resolver": {}}),
    "old schema": put("pipelineSpec.schemaVersion", "2.0.0"),
    "artifacts from outside": put("pipelineSpec.root.inputDefinitions.artifacts", {"a": {}}),
}
"""What Vertex AI does and the emulator says that it does not."""


def test_the_job_that_all_of_this_is_wrong_with_is_right(emulator, emulated) -> None:
    assert post(emulator, body(emulator, emulated), "right")[0] == 200
    emulator.wait(f"{emulator.parent}/pipelineJobs/right")


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_refused(emulator, emulated, name: str) -> None:
    change, message = WRONG[name]
    document = copy.deepcopy(body(emulator, emulated))
    change(document)
    status, error = post(emulator, document)
    assert (status, error["code"]) == (400, 400)
    assert error["status"] == ("FAILED_PRECONDITION" if name == "no such bucket" else "INVALID_ARGUMENT")
    assert message in error["message"]
    assert "\n" not in error["message"]
    missing = urllib.request.Request(f"{emulator.url}/v1/{emulator.parent}/pipelineJobs/strict")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(missing).close()


@pytest.mark.parametrize("name", BEYOND)
def test_what_only_google_can_do_is_said(emulator, emulated, name: str) -> None:
    document = copy.deepcopy(body(emulator, emulated))
    BEYOND[name](document)
    status, error = post(emulator, document)
    assert (status, error["status"]) == (501, "UNIMPLEMENTED")
    assert "the emulator does not do this" in error["message"] or "not known here" in error["message"]


@pytest.mark.parametrize("job", ["Job", "1job", "j" * 129, "j_b", "-j"])
def test_ids_are_checked(emulator, emulated, job: str) -> None:
    status, error = post(emulator, body(emulator, emulated), job)
    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert "pipelineJobId" in error["message"]


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b'{"displayName": NaN}', b""])
def test_what_is_no_job_is_refused(emulator, data: bytes) -> None:
    status, error = post(emulator, data)
    assert (status, error["status"]) == (400, "INVALID_ARGUMENT")


def test_an_unknown_path_and_an_unknown_question_are_refused(emulator) -> None:
    for path, status in (("v1/projects/p/locations/l/endpoints", 404), (f"v1/{emulator.parent}/pipelineJobs?x=1", 400)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{emulator.url}/{path}")
        with caught.value as error:
            assert json.load(error)["error"]["code"] == error.code == status
