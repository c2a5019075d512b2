"""Compiling: any pipeline becomes what Google's own types read, and says all that the spec says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given, settings

from penstock.contract.target import Problem
from penstock.errors import ConfigInvalid
from penstock.snapshot import Archive, Snapshot
from penstock.spec import Defaults, Parameter, Pipeline, Resources, Retry, Step, graph
from penstock.testing.strategies.documents import pipelines
from penstock.testing.strategies.text import literal
from penstock_vertex import ir, machines, validate
from penstock_vertex.compile import bundled_value, compile_pipeline
from penstock_vertex.names import step_name, task_name
from penstock_vertex.options import VertexOptions

OPTIONS = VertexOptions(project="acme", staging="gs://acme-staging/p", accelerator="NVIDIA_L4")


def archive(path: str, kind: str = "code") -> Archive:
    return Archive(path=path, kind=kind, digest=f"sha256:{'0' * 64}", size=0, location=None)


def compiled(pipeline: Pipeline, options: VertexOptions = OPTIONS, **archives: Archive) -> dict[str, Any]:
    known = {"./src": archive("./src"), **archives}
    made = Snapshot(pipeline=pipeline, archives=known, digest="", canonical="")
    document = json.loads(compile_pipeline(options, made))
    assert (document["format"], document["resource"]) == ("penstock-vertex/v1", "pipelineJobs")
    return document["spec"]


def one(step: Step, **more: Any) -> dict[str, Any]:
    """The container of a pipeline's only step."""
    spec = compiled(Pipeline(name="one", steps={"one": step}, **more), **more.pop("archives", {}))
    return spec["deploymentSpec"]["executors"]["exec-one"]["container"]


@settings(max_examples=60)
@given(pipelines())
def test_any_pipeline_is_one_whose_parts_fit_together(pipeline):
    spec = compiled(pipeline)
    tasks = spec["root"]["dag"]["tasks"]
    needs = graph.dependencies(pipeline)
    assert {step_name(task) for task in tasks} == set(pipeline.steps)
    for task, node in tasks.items():
        step = step_name(task)
        assert node["taskInfo"]["name"] == step
        assert node.get("dependentTasks", []) == sorted(task_name(need) for need in needs[step])
        component = spec["components"][node["componentRef"]["name"]]
        inputs = component.get("inputDefinitions", {})
        for kind in ("parameters", "artifacts"):
            given_ = node.get("inputs", {}).get(kind, {})
            assert set(given_) == set(inputs.get(kind, {}))
            for source in given_.values():
                _is_there(spec, source)
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        for word in container["args"]:
            assert "$" not in word.replace("{{$.", "") and ("{{" not in word or word.startswith("{{$."))
            assert not word.startswith("{{") or word.endswith("}}")
    outputs = spec["root"].get("outputDefinitions", {})
    assert {*outputs.get("parameters", {}), *outputs.get("artifacts", {})} == set(pipeline.outputs)
    assert set(spec["root"].get("inputDefinitions", {}).get("parameters", {})) == set(pipeline.parameters)


def _is_there(spec: dict[str, Any], source: dict[str, Any]) -> None:
    """See that a task reads what somebody gives."""
    match source:
        case {"componentInputParameter": name}:
            assert name in spec["root"]["inputDefinitions"]["parameters"]
        case {"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}:
            assert key in spec["components"][f"comp-{task}"]["outputDefinitions"]["parameters"]
        case {"taskOutputArtifact": {"producerTask": task, "outputArtifactKey": key}}:
            assert key in spec["components"][f"comp-{task}"]["outputDefinitions"]["artifacts"]
        case _:
            raise AssertionError(source)


@settings(max_examples=40)
@given(pipelines())
def test_what_is_said_at_publish_says_where(pipeline):
    for problem in validate.problems(OPTIONS, pipeline):
        assert problem.path
    assert list(validate.problems(OPTIONS, pipeline)) == list(validate.problems(OPTIONS, pipeline))


def test_a_step_that_says_nothing_gets_what_the_target_says():
    options = evolve(OPTIONS, image="acme/base:2", cpu=0.5, memory="4Gi")
    spec = compiled(Pipeline(name="one", steps={"one": Step(command="true")}), options)
    container = spec["deploymentSpec"]["executors"]["exec-one"]["container"]
    assert container["image"] == "acme/base:2"
    assert container["resources"] == {"resourceCpuLimit": "0.5", "resourceMemoryLimit": "4Gi"}
    assert "resources" not in one(Step(command="true"))


def test_a_step_gets_what_it_asks_for():
    asked = Resources(cpu=4, memory="1500M", gpu=2)
    container = one(Step(command="true", image="acme/own@sha256:0f", resources=asked, timeout=1.5))
    assert container["image"] == "acme/own@sha256:0f"
    assert container["resources"] == {
        "resourceCpuLimit": "4",
        "resourceMemoryLimit": "1500000000",
        "accelerator": {"resourceType": "NVIDIA_L4", "resourceCount": "2"},
    }
    args = container["args"]
    assert args[args.index("limit") + 1] == "1.5"


def test_a_step_is_tried_again_as_often_as_it_says_and_never_cached():
    steps = {
        "often": Step(command="true", retry=Retry(attempts=3, delay="500ms")),
        "once": Step(command="true", retry=Retry(attempts=1, delay=5)),
    }
    tasks = compiled(Pipeline(name="two", steps=steps))["root"]["dag"]["tasks"]
    assert tasks["often"]["retryPolicy"] == {"maxRetryCount": 2, "backoffDuration": "0.500s", "backoffFactor": 1.0}
    assert "retryPolicy" not in tasks["once"]
    assert [task["cachingOptions"] for task in tasks.values()] == [{}, {}]


def test_what_travels_is_a_default_that_says_where_it_lies():
    sheet, folder = archive("./a#b.csv", "file"), archive("./folder", "directory")
    parameters = {"sheet": Parameter("file", default=sheet.path), "folder": Parameter("directory", default=folder.path)}
    pipeline = Pipeline(name="one", parameters=parameters, steps={"one": Step(command="true")})
    given_ = compiled(pipeline, **{each.path: each for each in (sheet, folder)})["root"]["inputDefinitions"][
        "parameters"
    ]
    where = f"penstock-tar:gs://acme-staging/p/code/{'0' * 64}.tar"
    assert given_["folder"]["defaultValue"] == where == bundled_value(OPTIONS, folder)
    assert given_["sheet"]["defaultValue"] == f"{where}#a#b.csv"


def test_long_texts_are_cut_to_what_google_takes():
    step = Step(command="true", outputs={"it": "file"})
    pipeline = Pipeline(name="n" * 255, description="d" * 2000, steps={"one": step})
    info = compiled(pipeline)["pipelineInfo"]
    assert (len(info["description"]), info["displayName"]) == (1024, "n" * 255)


def found(pipeline: Pipeline, **options: Any) -> list[tuple[str, str, tuple[str | int, ...], str]]:
    problems: list[Problem] = list(validate.problems(evolve(OPTIONS, **options), pipeline))
    return [(problem.severity, problem.code, problem.path, problem.message) for problem in problems]


WHERE = ("steps", "one")
TOO_MUCH = {
    "cores": (Resources(cpu=97), "cpu", "resources_refused", "97 cores are more than the 96 that a step can have"),
    "memory": (
        Resources(memory="1Ti"),
        "memory",
        "resources_refused",
        "1Ti of memory are more than the 624Gi a step can have",
    ),
    "an odd number": (
        Resources(gpu=3),
        "gpu",
        "resources_refused",
        "a step has 1, 2, 4, 8, 16 of an accelerator, not 3",
    ),
}


@pytest.mark.parametrize("what", TOO_MUCH)
def test_more_than_there_is_is_refused(what):
    resources, key, code, message = TOO_MUCH[what]
    pipeline = Pipeline(name="one", steps={"one": Step(command="true", resources=resources)})
    assert found(pipeline) == [("error", code, (*WHERE, "resources", key), message)]
    everywhere = Pipeline(name="one", steps={"one": Step(command="true")}, defaults=Defaults(resources=resources))
    assert found(everywhere) == [("error", code, ("defaults", "resources", key), message)]


def test_a_gpu_needs_an_accelerator_that_google_has():
    pipeline = Pipeline(name="one", steps={"one": Step(command="true", resources=Resources(gpu=1))})
    assert found(pipeline) == []
    path = (*WHERE, "resources", "gpu")
    unset = "nobody knows what a gpu is here: set the target's `accelerator`, for example to NVIDIA_TESLA_T4"
    assert found(pipeline, accelerator=None) == [("error", "accelerator_unknown", path, unset)]


def test_the_accelerators_are_those_that_google_s_client_knows():
    from google.cloud.aiplatform_v1.types import AcceleratorType

    assert {one.name for one in AcceleratorType} - {"ACCELERATOR_TYPE_UNSPECIFIED"} == machines.ACCELERATORS


@pytest.mark.parametrize("image", ["{{$}}", "$(X)", "a b", "-a", "a\nb"])
def test_an_image_that_is_none_is_refused(image):
    pipeline = Pipeline(name="one", steps={"one": Step(command="true", image=image)})
    assert [each[:3] for each in found(pipeline)] == [("error", "image_refused", (*WHERE, "image"))]


def test_a_step_whose_name_is_too_long_is_refused():
    assert found(Pipeline(name="long", steps={"s" * 128: Step(command="true")})) == []
    name = "s" * 254
    message = "the step's name is 254 characters long as a task of Vertex AI; at most 128"
    assert found(Pipeline(name="long", steps={name: Step(command="true")})) == [
        ("error", "name_refused", ("steps", name), message)
    ]


def test_a_default_that_steps_cannot_read_is_refused():
    texts = {"here": "/data/x", "far": "s3://bucket/x", "there": "gs://bucket/x", "with": "./x"}
    parameters = {name: Parameter("file", default=text) for name, text in texts.items()}
    pipeline = Pipeline(name="one", parameters=parameters, steps={"one": Step(command="true")})
    wanted = [("location_unsupported", ("parameters", name, "default")) for name in ("here", "far")]
    assert [each[1:3] for each in found(pipeline)] == wanted


def test_arguments_and_pipelines_that_are_too_large_are_refused():
    large = Step(command=["run", literal("$" * 90_000)])
    message = "the arguments have 120,0"
    (problem,) = found(Pipeline(name="one", steps={"one": large}))
    assert problem[:3] == ("error", "size_refused", (*WHERE, "command")) and problem[3].startswith(message)
    many = {f"s{number}": Step(command=["run", "x" * 90_000]) for number in range(110)}
    (problem,) = found(Pipeline(name="many", steps=many))
    assert problem[:3] == ("error", "size_refused", ("steps",))


@pytest.mark.parametrize(("strict", "severity"), [(False, "warning"), (True, "error")])
def test_more_patience_than_google_has_is_told(strict, severity):
    step = Step(command="true", retry=Retry(attempts=3, delay="31m"))
    message = "a step is tried again for 1h at most, whatever is left of this"
    pipeline = Pipeline(name="one", steps={"one": step})
    assert found(pipeline, strict=strict) == [(severity, "retry_shortened", (*WHERE, "retry"), message)]
    enough = Pipeline(name="one", steps={"one": evolve(step, retry=Retry(attempts=3, delay="30m"))})
    assert found(enough, strict=strict) == []


LOOK = """
import sys, penstock_vertex.compile, penstock_vertex.validate
from penstock_vertex import ir
print(ir.messages().PipelineSpec().DESCRIPTOR.full_name)
print([name for name in ("google.cloud.aiplatform", "google.api_core", "grpc", "kfp") if name in sys.modules])
from kfp.pipeline_spec import pipeline_spec_pb2
print(pipeline_spec_pb2.PipelineSpec is ir.messages().PipelineSpec)
"""


def test_compiling_needs_neither_google_s_client_nor_kfp():
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["ml_pipelines.PipelineSpec", "[]", "True"]


def test_without_the_extra_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, "kfp.pipeline_spec.pipeline_spec_pb2", raising=False)
    with pytest.raises(
        ConfigInvalid, match=r"needs the package `kfp-pipeline-spec`.*pip install 'penstock\[vertex\]'"
    ) as told:
        ir.messages.__wrapped__()
    assert told.value.code == "backend_unavailable"
