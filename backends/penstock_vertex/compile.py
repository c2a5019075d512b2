"""A snapshot as the body of what Vertex AI runs: a pipeline job's spec in KFP's intermediate representation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from penstock.launcher.wire import ARCHIVE, NOTHING, encode_value
from penstock.snapshot import Archive, Snapshot
from penstock.spec import Output, Parameter, Pipeline, Step, graph
from penstock.spec.command import Reference, sole_reference
from penstock.spec.quantity import bytes_text
from penstock.spec.values import render
from penstock_vertex import launcher
from penstock_vertex.ir import messages
from penstock_vertex.names import pipeline_name, task_name
from penstock_vertex.options import VertexOptions
from penstock_vertex.staging import code_object, object_path
from penstock_vertex.words import input_key, parameter_key, parameters_of, words_of

FORMAT = "penstock-vertex/v1"
MEDIA_TYPE = "application/vnd.penstock.vertex+json"
_MOST_TEXT = 1024
"""Characters of a description or display name (the IR's own rule)."""

_Node = dict[str, Any]


def compile_pipeline(options: VertexOptions, snapshot: Snapshot) -> bytes:
    """The document `{"format", "resource": "pipelineJobs", "spec": PipelineSpec}` in canonical JSON. Deterministic.

    `resource` is the collection that the spec is for. Parameters whose default travels with the snapshot and optional
    ones have a default in the spec, so a job leaves out those that a run names as bundled or has no value of, and gives
    every other one by `wire.encode_value`.
    """
    document = {"format": FORMAT, "resource": "pipelineJobs", "spec": pipeline_spec(options, snapshot)}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def pipeline_spec(options: VertexOptions, snapshot: Snapshot) -> _Node:
    """The PipelineSpec (2.1.0) of a snapshot as JSON has it, held to Google's own message types."""
    from google.protobuf import json_format

    ir = messages()
    pipeline = snapshot.pipeline
    tasks = {name: task_name(name) for name in pipeline.steps}
    executors = {
        f"exec-{task}": {"container": _container(options, pipeline, name, snapshot.archives)}
        for name, task in tasks.items()
    }
    deployment = json_format.ParseDict({"executors": executors}, ir.PipelineDeploymentConfig())
    spec = {
        "schemaVersion": "2.1.0",
        "sdkVersion": FORMAT.replace("/", "-"),
        "pipelineInfo": _described(
            {"name": pipeline_name(pipeline.name), "displayName": pipeline.name[:_MOST_TEXT]}, pipeline.description
        ),
        "components": {f"comp-{task}": _component(pipeline, name) for name, task in tasks.items()},
        "root": _root(options, pipeline, tasks, snapshot.archives),
        "deploymentSpec": json_format.MessageToDict(deployment),
    }
    made: _Node = json_format.MessageToDict(json_format.ParseDict(spec, ir.PipelineSpec()))
    # Last, as Google's types would look through its text twice for each step, which takes longer than all the rest.
    for executor in made["deploymentSpec"]["executors"].values():
        executor["container"]["command"] = list(launcher.command())
    return made


def bundled_value(options: VertexOptions, archive: Archive) -> str:
    """What a `file` or `directory` parameter holds for content that travels with the snapshot, before it is encoded."""
    uri = f"{ARCHIVE}gs://{object_path(options.staging, code_object(archive.digest))}"
    return f"{uri}#{PurePosixPath(archive.path).name}" if archive.kind == "file" else uri


def _root(
    options: VertexOptions, pipeline: Pipeline, tasks: Mapping[str, str], archives: Mapping[str, Archive]
) -> _Node:
    needs = graph.dependencies(pipeline)
    parameters = {name: _parameter(options, one, archives) for name, one in pipeline.parameters.items()}
    dag: _Node = {
        "tasks": {
            task: _task(pipeline, name, sorted(tasks[need] for need in needs[name])) for name, task in tasks.items()
        }
    }
    root: _Node = {"dag": dag, "inputDefinitions": {"parameters": parameters}}
    if pipeline.outputs:
        produced: dict[str, Output] = {}
        chosen: dict[str, _Node] = {"parameters": {}, "artifacts": {}}
        for name, text in pipeline.outputs.items():
            step, key = _source(text)
            produced[name] = pipeline.steps[step].outputs[key]
            if produced[name].is_artifact:
                one = {"producerSubtask": tasks[step], "outputArtifactKey": key}
                chosen["artifacts"][name] = {"artifactSelectors": [one]}
            else:
                one = {"producerSubtask": tasks[step], "outputParameterKey": key}
                chosen["parameters"][name] = {"valueFromParameter": one}
        dag["outputs"] = chosen
        root["outputDefinitions"] = _outputs(produced)
    return root


def _parameter(options: VertexOptions, parameter: Parameter, archives: Mapping[str, Archive]) -> _Node:
    node = _described({"parameterType": "STRING"}, parameter.description)
    if parameter.required:
        return node
    if parameter.optional:
        return {**node, "defaultValue": NOTHING, "isOptional": True}
    if parameter.is_artifact and parameter.default in archives:
        text = bundled_value(options, archives[parameter.default])
    else:
        text = render(parameter.type, parameter.default)
    return {**node, "defaultValue": encode_value(text), "isOptional": True}


def _component(pipeline: Pipeline, name: str) -> _Node:
    step = pipeline.effective(name)
    types = graph.input_types(pipeline, name)
    node: _Node = {"executorLabel": f"exec-{task_name(name)}"}
    inputs: dict[str, _Node] = {"parameters": {}, "artifacts": {}}
    for key in parameters_of(step):
        inputs["parameters"][parameter_key(key)] = {"parameterType": "STRING"}
    for key, text in step.inputs.items():
        if _of_parameter(text) or types[key] not in ("file", "directory"):
            inputs["parameters"][input_key(key)] = {"parameterType": "STRING"}
        else:
            inputs["artifacts"][input_key(key)] = {"artifactType": _ARTIFACT}
    if any(inputs.values()):
        node["inputDefinitions"] = inputs
    if step.outputs:
        node["outputDefinitions"] = _outputs(step.outputs)
    return node


_ARTIFACT = {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}


def _outputs(outputs: Mapping[str, Output]) -> _Node:
    definitions: dict[str, _Node] = {"parameters": {}, "artifacts": {}}
    for name, output in outputs.items():
        kind, node = ("artifacts", {"artifactType": _ARTIFACT}) if output.is_artifact else ("parameters", _TEXT)
        definitions[kind][name] = _described(node, output.description)
    return definitions


_TEXT: _Node = {"parameterType": "STRING"}


def _task(pipeline: Pipeline, name: str, needs: list[str]) -> _Node:
    step = pipeline.effective(name)
    types = graph.input_types(pipeline, name)
    parameters: _Node = {parameter_key(key): {"componentInputParameter": key} for key in parameters_of(step)}
    artifacts: _Node = {}
    for key, text in step.inputs.items():
        if given := _of_parameter(text):
            parameters[input_key(key)] = {"componentInputParameter": given}
            continue
        producer, output = _source(text)
        if types[key] in ("file", "directory"):
            made = {"producerTask": task_name(producer), "outputArtifactKey": output}
            artifacts[input_key(key)] = {"taskOutputArtifact": made}
        else:
            made = {"producerTask": task_name(producer), "outputParameterKey": output}
            parameters[input_key(key)] = {"taskOutputParameter": made}
    node: _Node = {
        "taskInfo": {"name": name},
        "componentRef": {"name": f"comp-{task_name(name)}"},
        # Never cached: a step runs each time, as it does on every other target.
        "cachingOptions": {},
        "dependentTasks": needs,
    }
    if parameters or artifacts:
        node["inputs"] = {"parameters": parameters, "artifacts": artifacts}
    if step.retry and step.retry.attempts > 1:
        delay = f"{format(Decimal(repr(step.retry.delay)), 'f')}s"
        node["retryPolicy"] = {"maxRetryCount": step.retry.attempts - 1, "backoffDuration": delay, "backoffFactor": 1.0}
    return node


def _container(options: VertexOptions, pipeline: Pipeline, name: str, archives: Mapping[str, Archive]) -> _Node:
    step = pipeline.effective(name)
    code = code_object(archives[step.code].digest) if step.code is not None else None
    node: _Node = {
        "image": step.image or options.image,
        "command": ["sh"],
        "args": list(words_of(pipeline, name, options.staging, code)),
    }
    resources = _resources(options, step)
    return {**node, "resources": resources} if resources else node


def _resources(options: VertexOptions, step: Step) -> _Node:
    asked = step.resources
    cpu = asked.cpu if asked and asked.cpu is not None else options.cpu
    memory = asked.memory if asked and asked.memory else options.memory
    node: _Node = {}
    if cpu is not None:
        node["resourceCpuLimit"] = format(Decimal(repr(cpu)), "f")
    if memory:
        node["resourceMemoryLimit"] = bytes_text(memory)
    if asked and asked.gpu and options.accelerator:
        node["accelerator"] = {"resourceType": options.accelerator, "resourceCount": str(asked.gpu)}
    return node


def _of_parameter(text: str) -> str | None:
    """The parameter that an input names, or None where it is a step's output."""
    found = sole_reference(text)
    return found.names[0] if found and found.scope == "parameters" else None


def _source(text: str) -> tuple[str, str]:
    """Step and output that an input or a pipeline's output names."""
    match sole_reference(text):
        case Reference("steps", (step, "outputs", output)):
            return step, output
    raise ValueError(f"`{text}` names no output of a step")


def _described(node: _Node, description: str) -> _Node:
    return {**node, "description": description[:_MOST_TEXT]} if description else node
