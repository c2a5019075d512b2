"""Graphs of pipelines: what is bound to what, checked as a whole, and frozen into the plan of a job."""

from __future__ import annotations

import re
from typing import Any

from penstock_azureml_emulator.errors import ArmError, invalid
from penstock_azureml_emulator.spec import DATA, EXPRESSION, SCALARS, Lookup, check_node, check_value, optional

_PARENT = re.compile(
    r"parent\.(?:inputs\.(?P<input>\w+)|outputs\.(?P<output>\w+)|jobs\.(?P<node>\w+)\.outputs\.(?P<made>\w+))"
)
_SECONDS = re.compile(r"PT(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?|P(\d+)D")


def check_graph(spec: dict[str, Any], lookup: Lookup) -> None:
    """Refuse a pipeline whose nodes do not fit together. Raises ArmError."""
    nodes = spec.get("jobs")
    if not isinstance(nodes, dict) or not nodes:
        raise invalid("jobs: a pipeline has at least one node")
    components = {name: lookup(str(check_node(name, node)["componentId"])) for name, node in nodes.items()}
    for name, node in nodes.items():
        _check_inputs(name, node, spec, components)
        _check_outputs(name, node, spec, components[name])
        timeout(node)
    _check_circle(nodes)


def plan(spec: dict[str, Any], lookup: Lookup) -> dict[str, Any]:
    """A pipeline as it is to run: each node with its component's specification. Raises ArmError."""
    nodes = {}
    for name, node in spec["jobs"].items():
        component = lookup(str(node["componentId"]))
        nodes[name] = {**node, "spec": plan(component, lookup) if component["type"] == "pipeline" else component}
    return {**spec, "jobs": nodes}


def literal(source: Any) -> Any:
    """What an input of a node is bound to: a value or text with expressions; data by its `uri` otherwise."""
    if not isinstance(source, dict):
        return source
    return source["value"] if "value" in source else source.get("uri")


def upstream(node: dict[str, Any]) -> set[str]:
    """The nodes that a node takes something from."""
    return {
        match["node"] for source in (node.get("inputs") or {}).values() for match in bindings(source) if match["node"]
    }


def bindings(source: Any) -> list[re.Match[str]]:
    """The expressions of an input or output of a node. Raises ArmError for what is none."""
    value = literal(source)
    found = []
    for match in EXPRESSION.finditer(value) if isinstance(value, str) else ():
        parent = _PARENT.fullmatch(match[1])
        if parent is None:
            raise invalid(f"{match[0]}: an expression is parent.inputs.x, parent.outputs.x or parent.jobs.x.outputs.y")
        found.append(parent)
    return found


def output_binding(source: Any) -> str:
    """The pipeline's output that a node's output is, or nothing."""
    found = bindings(source)
    return found[0]["output"] or "" if found else ""


def timeout(node: dict[str, Any]) -> float | None:
    """Seconds that a node may run: `limits.timeout` of a command node is an ISO 8601 duration. Raises ArmError."""
    said = (node.get("limits") or {}).get("timeout")
    if said is None:
        return None
    match = _SECONDS.fullmatch(str(said))
    if match is None:
        raise invalid(f"limits.timeout: {said!r} is no duration such as PT2H")
    hours, minutes, seconds, days = (float(one or 0) for one in match.groups())
    return days * 86_400 + hours * 3600 + minutes * 60 + seconds


def _check_inputs(name: str, node: dict[str, Any], spec: dict[str, Any], components: dict[str, dict[str, Any]]) -> None:
    declared = components[name].get("inputs") or {}
    given = node.get("inputs") or {}
    for key, source in given.items():
        where = f"jobs.{name}.inputs.{key}"
        if key not in declared:
            raise invalid(f"{where}: the component has no such input")
        found = bindings(source)
        for match in found:
            _check_binding(match, declared[key], spec, components, where)
        value = literal(source)
        if declared[key]["type"] in SCALARS and not found and value is not None:
            check_value(value, declared[key], where)
        if declared[key]["type"] in DATA and found and EXPRESSION.fullmatch(str(value)) is None:
            raise invalid(f"{where}: data is bound by one expression alone")
    for key, definition in declared.items():
        if key not in given and not optional(definition) and definition.get("default") is None:
            raise invalid(f"jobs.{name}.inputs.{key}: the component needs this input")


def _check_binding(
    match: re.Match[str],
    wanted: dict[str, Any],
    spec: dict[str, Any],
    components: dict[str, dict[str, Any]],
    where: str,
) -> None:
    if match["input"]:
        source = (spec.get("inputs") or {}).get(match["input"])
    elif match["node"]:
        source = (components.get(match["node"], {}).get("outputs") or {}).get(match["made"])
    else:
        source = None
    if source is None:
        raise invalid(f"{where}: {match[0]} is not there")
    if source.get("type") in DATA and wanted["type"] in SCALARS:
        raise invalid(f"{where}: {match[0]} is data, and the input is {wanted['type']}")


def _check_outputs(name: str, node: dict[str, Any], spec: dict[str, Any], component: dict[str, Any]) -> None:
    for key, source in (node.get("outputs") or {}).items():
        where = f"jobs.{name}.outputs.{key}"
        if key not in (component.get("outputs") or {}):
            raise invalid(f"{where}: the component has no such output")
        bound = output_binding(source)
        if bound and bound not in (spec.get("outputs") or {}):
            raise invalid(f"{where}: the pipeline has no output {bound}")


def _check_circle(nodes: dict[str, Any]) -> None:
    done: set[str] = set()
    while len(done) < len(nodes):
        ready = {name for name, node in nodes.items() if name not in done and upstream(node) <= done}
        if not ready:
            raise ArmError("UserError", f"jobs: {', '.join(sorted(set(nodes) - done))} wait for each other")
        done |= ready
