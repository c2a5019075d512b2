"""A snapshot as what is registered with Azure ML: environments, code, components of each step and of the pipeline."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from penstock.launcher.wire import NOTHING
from penstock.snapshot import Archive, Snapshot
from penstock.spec import Parameter, graph
from penstock.spec.command import Reference, sole_reference
from penstock.spec.values import ARTIFACT_TYPES, render
from penstock_azureml import launcher
from penstock_azureml.command import (
    REPORT,
    VALUES,
    command_of,
    input_ports,
    of_parameter,
    output_ports,
    parameter_ports,
    value_parameters,
    value_ports,
    words_of,
)
from penstock_azureml.names import component_name, node_name, port_names, shown_name
from penstock_azureml.options import AzuremlOptions, conda_text
from penstock_azureml.wire import carried, encode, lines

FORMAT = "penstock-azureml/v1"
MEDIA_TYPE = "application/vnd.penstock.azureml+json"
OUTPUTS = "penstock_outputs"
"""The property of a pipeline's component that says which output of which node each output is, as JSON."""
_DESCRIPTION = 4096
"""Characters of a description. A guess."""
_CODES = uuid.UUID("3d1b0c6e-9a55-5c0f-9f65-6f3f0f0a7a10")
"""The namespace of the names of code assets, which are uuids (azure-ai-ml: `CodeOperations`)."""

_Node = dict[str, Any]


def compile_pipeline(options: AzuremlOptions, snapshot: Snapshot) -> bytes:
    """The document of what is registered, in canonical JSON: every resource by its path in the workspace.

    `{"format", "resource": "jobs", "component": PATH, "codes": {PATH: FILES}, "resources": [[PATH, PROPERTIES], ...]}`.
    `resource` is the collection that runs of `component` belong to. FILES are the files of a code asset: text, or the
    archive of the snapshot that has such a path. `resources` are in the order in which they refer to each other, and
    each is named by its content: what lies there already is the same. Deterministic. Raises OSError for a conda file
    that cannot be read.
    """
    made = _Made(options, snapshot)
    for name in graph.order(snapshot.pipeline):
        made.step(name)
    component = made.pipeline()
    document = {
        "format": FORMAT,
        "resource": "jobs",
        "component": component,
        "codes": made.codes,
        "resources": list(made.resources.items()),
    }
    return canonical(document).encode()


def canonical(value: Any) -> str:
    """A value as JSON in the one form that digests are made of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


class _Made:
    """What has been made of a snapshot so far."""

    def __init__(self, options: AzuremlOptions, snapshot: Snapshot) -> None:
        self._options = options
        self._snapshot = snapshot
        self._spec = snapshot.pipeline
        self._conda = None if options.conda is None else conda_text(options.conda)
        texts = {
            name: _default_text(one)
            for name, one in self._spec.parameters.items()
            if not one.is_artifact and one.has_default
        }
        self._defaults, _ = carried(texts)
        self._ports = parameter_ports(self._spec)
        self._nodes: dict[str, _Node] = {}
        self.codes: dict[str, _Node] = {}
        self.resources: dict[str, _Node] = {}

    def step(self, name: str) -> None:
        """Make the component of a step, what it needs, and its node."""
        pipeline, step = self._spec, self._spec.effective(name)
        bundled = self._bundled(name)
        code, files = self._code(name, bundled)
        inputs = self._inputs(name, bundled)
        outputs = self._outputs(name)
        named = {
            key: f"{file}#{PurePosixPath(path).name}" if kind == "file" else file
            for key, (file, path, kind) in bundled.items()
        }
        words = words_of(pipeline, name, named, "code.tar" if "code.tar" in files else None)
        spec: _Node = {
            "type": "command",
            "display_name": shown_name(name),
            "is_deterministic": False,  # never reused: a step runs each time, as it does on every other target
            "inputs": inputs,
            "outputs": outputs,
            "command": command_of(pipeline, name, words, inputs),
            "code": f"azureml:{code}",
            "environment": "azureml:" + self._environment(step.image or self._options.image),
        }
        path = self._component(component_name(pipeline.name, name), spec)
        self._nodes[node_name(name)] = self._node(name, path, inputs, outputs)

    def pipeline(self) -> str:
        """Make the component of the pipeline; its path."""
        pipeline = self._spec
        outputs = port_names(pipeline.outputs)
        sources = {outputs[key]: self._source(text) for key, text in sorted(pipeline.outputs.items())}
        declared: _Node = {}
        for port, (node, made) in sources.items():
            bound = self._nodes[node]["outputs"][made]
            if "value" in bound:  # an output of a node is one of its pipeline's
                continue
            declared[port] = {"type": bound["job_output_type"]}
            self._nodes[node]["outputs"][made] = {"type": "literal", "value": f"${{{{parent.outputs.{port}}}}}"}
        spec: _Node = {
            "type": "pipeline",
            "display_name": pipeline.name[:255],
            "inputs": self._parameters(),
            "outputs": declared,
            "jobs": self._nodes,
        }
        if pipeline.description:
            spec["description"] = pipeline.description[:_DESCRIPTION]
        said = {port: f"{node}.{made}" for port, (node, made) in sources.items()}
        return self._component(component_name(pipeline.name), spec, {OUTPUTS: canonical(said)})

    def _component(self, name: str, spec: _Node, properties: Mapping[str, str] | None = None) -> str:
        """Register a component under its name, in the version that all of its content has; its path."""
        told = dict(properties or {})
        version = _digest([spec, told])[:16]
        tags = {"penstock_digest": self._snapshot.digest, "penstock_pipeline": self._spec.name[:256]}
        path = f"components/{name}/versions/{version}"
        self.resources[path] = {
            "componentSpec": {**spec, "name": name, "version": version},
            "isAnonymous": False,
            "properties": told,
            "tags": tags,
        }
        return path

    def _full(self, path: str) -> str:
        return f"{self._options.path}/{path}"

    def _environment(self, image: str) -> str:
        """The environment of an image, and of the target's conda file if it has one; its id."""
        about: _Node = {"image": image, "osType": "Linux"}
        if self._conda is not None:
            about["condaFile"] = self._conda
        path = f"environments/penstock_{_digest(about)[:16]}/versions/1"
        self.resources[path] = {**about, "isAnonymous": False, "properties": {}, "tags": {}}
        return self._full(path)

    def _bundled(self, name: str) -> dict[str, tuple[str, str, str]]:
        """For each parameter whose default content a step reads: its file in the code asset, its archive, its kind."""
        found: dict[str, tuple[str, str, str]] = {}
        for text in self._spec.effective(name).inputs.values():
            key = of_parameter(text)
            parameter = self._spec.parameters.get(key or "")
            if key and parameter and parameter.is_artifact and parameter.default in self._snapshot.archives:
                archive = self._snapshot.archives[parameter.default]
                found[key] = (f"data-{archive.digest.removeprefix('sha256:')[:16]}.tar", archive.path, archive.kind)
        return found

    def _code(self, name: str, bundled: Mapping[str, tuple[str, str, str]]) -> tuple[str, _Node]:
        """The code asset of a step: its id and its files."""
        step = self._spec.effective(name)
        archives: dict[str, Archive] = {file: self._snapshot.archives[path] for file, path, _ in bundled.values()}
        if step.code is not None:
            archives["code.tar"] = self._snapshot.archives[step.code]
        parameters = self._spec.parameters
        named = {
            key: _default_text(parameters[key]) for key in value_parameters(self._spec, name) if key in self._defaults
        }
        long = lines(text for key, text in named.items() if self._defaults[key] != encode(text))
        texts = {**launcher.files(), **({"values": long} if long else {})}
        content = {file: archive.digest for file, archive in archives.items()}
        content |= {file: hashlib.sha256(data).hexdigest() for file, data in texts.items()}
        path = f"codes/{uuid.uuid5(_CODES, _digest(content))}/versions/1"
        files: _Node = {file: {"text": data.decode()} for file, data in texts.items()}
        files |= {file: {"archive": archive.path} for file, archive in archives.items()}
        self.codes[path] = files
        return self._full(path), files

    def _inputs(self, name: str, bundled: Mapping[str, object]) -> _Node:
        pipeline, step = self._spec, self._spec.effective(name)
        ports, types = input_ports(pipeline, name), graph.input_types(pipeline, name)
        values = value_parameters(pipeline, name)
        found: _Node = {port: {"type": "string"} for port in value_ports(pipeline, name).values()}
        seen = set()
        for key, text in sorted(step.inputs.items()):
            given = of_parameter(text)
            if given is None:
                seen.add(self._source(text)[0])
                found[ports[key]] = {"type": "uri_folder" if types[key] == "directory" else "uri_file"}
            elif types[key] in ARTIFACT_TYPES:
                kind = "uri_folder" if types[key] == "directory" else "uri_file"
                optional = given in bundled or pipeline.parameters[given].optional
                found[ports[key]] = {"type": kind, **({"optional": True} if optional else {})}
        for needed in sorted(graph.dependencies(pipeline)[name]):
            if node_name(needed) not in seen:  # nothing but data makes one node wait for another
                found[f"after_{node_name(needed)}"] = {"type": "uri_file"}
        if values:
            found[VALUES] = {"type": "uri_file", "optional": True}
        return found

    def _outputs(self, name: str) -> _Node:
        declared = self._spec.steps[name].outputs
        found: _Node = {
            port: {"type": "uri_folder" if declared[key].type == "directory" else "uri_file"}
            for key, port in output_ports(self._spec, name).items()
        }
        return {**found, REPORT: {"type": "uri_file"}}

    def _node(self, name: str, path: str, inputs: _Node, outputs: _Node) -> _Node:
        step, pipeline = self._spec.effective(name), self._spec
        ports = {port: key for key, port in input_ports(pipeline, name).items()}
        bound: _Node = {}
        parameters = {port: key for key, port in value_ports(pipeline, name).items()}
        for port in inputs:
            if port.startswith("after_"):
                text = f"${{{{parent.jobs.{port.removeprefix('after_')}.outputs.{REPORT}}}}}"
            elif port == VALUES:
                text = f"${{{{parent.inputs.{VALUES}}}}}"
            elif port in parameters:
                text = f"${{{{parent.inputs.{self._ports[parameters[port]]}}}}}"
            elif given := of_parameter(step.inputs[ports[port]]):
                text = f"${{{{parent.inputs.{self._ports[given]}}}}}"
            else:
                node, made = self._source(step.inputs[ports[port]])
                text = f"${{{{parent.jobs.{node}.outputs.{made}}}}}"
            bound[port] = {"job_input_type": "literal", "value": text}
        node_: _Node = {
            "type": "command",
            "name": node_name(name),
            "componentId": self._full(path),
            "inputs": bound,
            "outputs": {port: {"job_output_type": about["type"]} for port, about in outputs.items()},
        }
        if self._options.instance_type is not None:
            node_["resources"] = {"instance_type": self._options.instance_type, "instance_count": 1}
        return node_

    def _parameters(self) -> _Node:
        """The inputs of the pipeline."""
        found: _Node = {}
        for name, port in self._ports.items():
            parameter = self._spec.parameters[name]
            if parameter.is_artifact:
                about: _Node = {"type": "uri_folder" if parameter.type == "directory" else "uri_file"}
                if parameter.optional or parameter.default in self._snapshot.archives:
                    about["optional"] = True
            else:
                about = {"type": "string"}
                if parameter.optional:
                    about["default"] = NOTHING
                elif parameter.has_default:
                    about["default"] = self._defaults[name]
            if parameter.description:
                about["description"] = parameter.description[:_DESCRIPTION]
            found[port] = about
        found[VALUES] = {"type": "uri_file", "optional": True}
        return found

    def _source(self, text: str) -> tuple[str, str]:
        """The node and its output that an input or a pipeline's output names."""
        match sole_reference(text):
            case Reference("steps", (step, "outputs", output)):
                return node_name(step), output_ports(self._spec, step)[output]
        raise ValueError(f"`{text}` names no output of a step")


def _default_text(parameter: Parameter) -> str:
    return render(parameter.type, parameter.default) if parameter.has_default else ""
