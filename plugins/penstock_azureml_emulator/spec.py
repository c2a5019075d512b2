"""Specifications of components, as `componentSpec` has them: read strictly, and checked before anything runs.

Sources: Azure ML's references of the YAML of command and pipeline components, and what azure-ai-ml sends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from penstock_azureml_emulator.errors import invalid, unsupported

SCALARS = frozenset({"string", "integer", "number", "boolean"})
FILES = frozenset({"uri_file", "triton_model"})
FOLDERS = frozenset({"uri_folder", "mltable", "custom_model", "mlflow_model"})
DATA = FILES | FOLDERS

_COMMON = frozenset(
    {
        "$schema", "_source", "name", "version", "display_name", "description", "tags", "type", "inputs", "outputs",
        "is_deterministic", "properties", "is_control",
    }
)  # fmt: skip
_COMMAND = _COMMON | {
    "command", "code", "environment", "resources", "distribution", "environment_variables", "additional_includes",
    "instance_count",
}  # fmt: skip
_PIPELINE = _COMMON | {"jobs", "sourceJobId"}
_NODE = frozenset(
    {
        "type", "name", "display_name", "description", "componentId", "computeId", "compute", "inputs", "outputs",
        "environment_variables", "limits", "resources", "distribution", "identity", "queue_settings", "services",
        "tags", "properties", "comment", "experiment_name", "_source", "environment", "mode",
    }
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
EXPRESSION = re.compile(r"\$\{\{\s*([^{}]*?)\s*\}\}")
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)

Lookup = Callable[[str], dict[str, Any]]
"""The specification of a component by its id. Raises ArmError."""


def check(spec: Any, lookup: Lookup) -> None:
    """Refuse a specification that could not run. Raises ArmError."""
    if not isinstance(spec, dict):
        raise invalid("componentSpec: an object is needed")
    kind = spec.get("type")
    if kind not in ("command", "pipeline"):
        raise unsupported(f"componentSpec.type {kind!r}")
    known = _COMMAND if kind == "command" else _PIPELINE
    _only(spec, known, "componentSpec")
    _ports(spec)
    if kind == "command":
        _check_command(spec)
    else:
        from penstock_azureml_emulator.graph import check_graph

        check_graph(spec, lookup)


def check_node(name: str, node: Any) -> dict[str, Any]:
    """A node of a pipeline, with the shape that it needs. Raises ArmError."""
    if not isinstance(node, dict):
        raise invalid(f"jobs.{name}: an object is needed")
    if not _NAME.fullmatch(name):
        raise invalid(f"jobs.{name}: a node's name has letters, digits and `_`")
    if node.get("type", "command") not in ("command", "pipeline"):
        raise unsupported(f"jobs.{name}: type {node.get('type')!r}")
    _only(node, _NODE, f"jobs.{name}")
    if not node.get("componentId"):
        raise invalid(f"jobs.{name}: componentId is needed")
    resources = node.get("resources") or {}
    if isinstance(resources, dict) and str(resources.get("instance_count", 1)) != "1":
        raise unsupported(f"jobs.{name}: instance_count {resources['instance_count']}")
    if node.get("distribution"):
        raise unsupported(f"jobs.{name}: distribution")
    for key in ("inputs", "outputs", "environment_variables", "limits"):
        if not isinstance(node.get(key) or {}, dict):
            raise invalid(f"jobs.{name}.{key}: an object is needed")
    return node


def optional(definition: dict[str, Any]) -> bool:
    """Whether an input may be left out; the SDK writes booleans as text, too."""
    return str(definition.get("optional", False)).lower() == "true"


def check_value(value: Any, definition: dict[str, Any], where: str) -> str:
    """A scalar as text, the way that it is pasted into a command. Raises ArmError."""
    if isinstance(value, dict | list) or value is None:
        raise invalid(f"{where}: a literal value is needed, not {value!r}")
    text, kind = str(value), definition["type"]
    number = 0.0
    if kind in ("integer", "number"):
        try:
            number = int(text) if kind == "integer" else float(text)
        except ValueError:
            raise invalid(f"{where}: {text!r} is no {kind}") from None
    if kind == "boolean" and text.lower() not in ("true", "false"):
        raise invalid(f"{where}: {text!r} is no boolean")
    if definition.get("enum") and text not in [str(one) for one in definition["enum"]]:
        raise invalid(f"{where}: {text!r} is none of {definition['enum']}")
    if kind in ("integer", "number"):
        least, most = definition.get("min"), definition.get("max")
        if (least is not None and number < float(least)) or (most is not None and number > float(most)):
            raise invalid(f"{where}: {text} is not from {least} to {most}")
    return text


def render(command: str, inputs: dict[str, str], outputs: dict[str, str]) -> str:
    """A command with its placeholders replaced by text, unquoted: it is a shell's line, as it is on Azure.

    `$[[...]]` goes when an input that it mentions has no value.
    """

    def bracket(match: re.Match[str]) -> str:
        wanted = [name for kind, name in references(match[1]) if kind == "inputs"]
        return match[1] if all(name in inputs for name in wanted) else ""

    def value(match: re.Match[str]) -> str:
        kind, _, name = match[1].partition(".")
        return (inputs if kind == "inputs" else outputs)[name]

    return EXPRESSION.sub(value, _OPTIONAL.sub(bracket, command))


def references(text: str) -> list[tuple[str, str]]:
    """What a command refers to: pairs of `inputs` or `outputs` and a name."""
    found = []
    for match in EXPRESSION.finditer(text):
        kind, _, name = match[1].partition(".")
        found.append((kind, name))
    return found


def _check_command(spec: dict[str, Any]) -> None:
    command = spec.get("command")
    if not isinstance(command, str) or not command.strip():
        raise invalid("componentSpec.command: a command is needed")
    if not spec.get("environment"):
        raise invalid("componentSpec.environment: an environment is needed")
    resources = spec.get("resources") or {}
    if isinstance(resources, dict) and str(resources.get("instance_count", 1)) != "1":
        raise unsupported(f"componentSpec.resources.instance_count {resources['instance_count']}")
    if spec.get("distribution"):
        raise unsupported("componentSpec.distribution")
    inputs, outputs = spec.get("inputs") or {}, spec.get("outputs") or {}
    for kind, name in references(command):
        if kind not in ("inputs", "outputs") or name not in (inputs if kind == "inputs" else outputs):
            raise invalid(f"componentSpec.command: ${{{{{kind}.{name}}}}} refers to nothing")
    for kind, name in references(_OPTIONAL.sub("", command)):
        if kind == "inputs" and optional(inputs[name]) and inputs[name].get("default") is None:
            raise invalid(f"componentSpec.command: the optional input {name} stands outside of $[[...]]")


def _ports(spec: dict[str, Any]) -> None:
    """Check the inputs and outputs of a specification."""
    for side, kinds in (("inputs", SCALARS | DATA), ("outputs", DATA)):
        ports = spec.get(side) or {}
        if not isinstance(ports, dict):
            raise invalid(f"componentSpec.{side}: an object is needed")
        for name, definition in ports.items():
            where = f"componentSpec.{side}.{name}"
            if not _NAME.fullmatch(name):
                raise invalid(f"{where}: a name has letters, digits and `_`, and begins with no digit")
            if not isinstance(definition, dict) or definition.get("type") not in kinds:
                raise invalid(f"{where}: type is one of {', '.join(sorted(kinds))}")
            if definition.get("default") is not None:
                if definition["type"] in DATA:
                    raise invalid(f"{where}: data has no default")
                _check_default(definition, where)


def _check_default(definition: dict[str, Any], where: str) -> None:
    for key in ("min", "max"):
        if definition.get(key) is not None:
            check_value(definition[key], {"type": "number"}, f"{where}.{key}")
    if not isinstance(definition.get("enum") or [], list):
        raise invalid(f"{where}.enum: a list is needed")
    check_value(definition["default"], definition, f"{where}.default")


def _only(data: dict[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(str(key) for key in set(data) - known)
    if unknown:
        raise invalid(f"{where}: {', '.join(unknown)}: unknown")
