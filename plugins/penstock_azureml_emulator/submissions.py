"""A pipeline job that is submitted: read strictly, bound to its component, and frozen into a plan."""

from __future__ import annotations

import re
import uuid
from typing import Any

from penstock_azureml_emulator.arm import within
from penstock_azureml_emulator.assets import Assets
from penstock_azureml_emulator.data import resolve
from penstock_azureml_emulator.documents import Documents
from penstock_azureml_emulator.errors import invalid, unsupported
from penstock_azureml_emulator.graph import check_graph, plan
from penstock_azureml_emulator.spec import DATA, check_value, optional
from penstock_azureml_emulator.workspace import Workspace

_KNOWN = frozenset(
    {
        "jobType", "componentId", "computeId", "description", "displayName", "experimentName", "identity", "inputs",
        "isArchived", "jobs", "notificationSetting", "outputs", "properties", "services", "settings", "sourceJobId",
        "tags", "secretsConfiguration", "status", "parentJobName", "queueSettings",
    }
)  # fmt: skip
_SETTINGS = frozenset(
    {"default_compute", "default_datastore", "continue_on_step_failure", "force_rerun", "_source"}
    | {"continue_run_on_failure", "on_init", "on_finalize", "default_datastore_name"}
)
EXPERIMENT = "Default"
"""The experiment of a job that names none. Source: azure-ai-ml's documentation of `jobs.create_or_update`."""

_LITERAL = re.compile(r"[a-zA-Z0-9_]")
"""What a literal must match. Source: `LiteralJobInput.value` of ARM's schemas, in every version."""

FREE = ("description", "tags", "displayName", "properties", "isArchived")
"""What of a job can be changed. Source: what Azure answers to a PUT of another (azure-docs issue 122250)."""


class Submissions:
    """Reads bodies of jobs."""

    def __init__(self, documents: Documents, assets: Assets, workspace: Workspace) -> None:
        self._documents = documents
        self._assets = assets
        self._workspace = workspace

    def read(self, body: dict[str, Any]) -> dict[str, Any]:
        """The properties of a job as they are kept, without what is null. Raises ArmError."""
        properties = body.get("properties")
        if not isinstance(properties, dict):
            raise invalid("properties: an object is needed")
        kind = properties.get("jobType")
        if kind != "Pipeline":
            raise unsupported(f"properties.jobType {kind!r}")
        unknown = sorted(set(properties) - _KNOWN)
        if unknown:
            raise invalid(f"properties: {', '.join(unknown)}: unknown")
        kept = {
            key: value for key, value in properties.items() if value is not None and key not in ("status", "services")
        }
        for key in ("inputs", "outputs", "tags", "properties", "settings", "jobs"):
            if not isinstance(kept.setdefault(key, {}), dict):
                raise invalid(f"properties.{key}: an object is needed")
        kept["tags"] = _texts(kept["tags"], "tags")
        kept["properties"] = _texts(kept["properties"], "properties")
        check_settings(kept["settings"])
        return kept

    def plan(self, properties: dict[str, Any]) -> dict[str, Any]:
        """What is to run: the pipeline with all its components, its inputs and places of outputs. Raises ArmError."""
        spec = self._spec(properties)
        default = properties["settings"].get("default_compute") or properties.get("computeId")
        self._check_computes(spec, default, "properties.settings.default_compute")
        places = {}
        for name, output in properties["outputs"].items():
            if name not in (spec.get("outputs") or {}):
                raise invalid(f"properties.outputs.{name}: the pipeline has no such output")
            if isinstance(output, dict) and output.get("uri"):
                places[name] = str(output["uri"])
        return {"spec": spec, "inputs": self._inputs(spec, properties["inputs"]), "places": places}

    def _spec(self, properties: dict[str, Any]) -> dict[str, Any]:
        identifier = properties.get("componentId")
        if identifier and properties["jobs"]:
            raise invalid("properties: a pipeline job has either a componentId or jobs")
        if identifier:
            spec = self._assets.component(str(identifier))
            if spec["type"] != "pipeline":
                raise invalid(f"properties.componentId: {within(identifier)} is no pipeline component")
        else:
            spec = {
                "type": "pipeline",
                "inputs": {
                    name: {"type": _type(value, f"inputs.{name}", "jobInputType")}
                    for name, value in properties["inputs"].items()
                },
                "outputs": {
                    name: {"type": _type(value, f"outputs.{name}", "jobOutputType")}
                    for name, value in properties["outputs"].items()
                },
                "jobs": properties["jobs"],
            }
            check_graph(spec, self._assets.component)
        return plan(spec, self._assets.component)

    def _inputs(self, spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
        declared = spec.get("inputs") or {}
        found: dict[str, Any] = {}
        for name, value in given.items():
            where = f"properties.inputs.{name}"
            if name not in declared:
                raise invalid(f"{where}: the pipeline has no such input")
            if not isinstance(value, dict):
                raise invalid(f"{where}: an object is needed")
            if str(value.get("jobInputType")).lower() == "literal" and not _LITERAL.search(str(value.get("value", ""))):
                raise invalid(f"{where}: a literal has at least one letter, digit or `_`, not {value.get('value')!r}")
            kind = declared[name]["type"]
            sent = _type(value, where, "jobInputType")
            if kind in DATA:
                if sent not in DATA or not value.get("uri"):
                    raise invalid(f"{where}: {kind} with a uri is needed")
                found[name] = {"uri": resolve(self._documents, str(value["uri"])), "type": sent}
            elif sent in DATA:
                raise invalid(f"{where}: a literal is needed, not {sent}")
            else:
                found[name] = check_value(value.get("value"), declared[name], where)
        for name, definition in declared.items():
            if name in found:
                continue
            if definition.get("default") is not None:
                found[name] = check_value(definition["default"], definition, f"inputs.{name}.default")
            elif not optional(definition):
                raise invalid(f"properties.inputs.{name}: the pipeline needs this input")
        return found

    def _check_computes(self, spec: dict[str, Any], default: Any, where: str) -> None:
        """Every command needs a compute that is there, its own or the job's."""
        if default:
            self._workspace.compute(default, where)
        for name, node in spec["jobs"].items():
            own = node.get("computeId") or node.get("compute")
            if own:
                self._workspace.compute(own, f"jobs.{name}.computeId")
            elif not default and node["spec"]["type"] == "command":
                raise invalid(f"jobs.{name}: neither the node nor the job names a compute")
            if node["spec"]["type"] == "pipeline":
                self._check_computes(node["spec"], own or default, f"jobs.{name}.computeId")


def check_settings(settings: Any) -> dict[str, Any]:
    """Settings of a pipeline job, or of a deployment of one. Raises ArmError."""
    if not isinstance(settings, dict):
        raise invalid("settings: an object is needed")
    unknown = sorted(set(settings) - _SETTINGS)
    if unknown:
        raise invalid(f"settings: {', '.join(unknown)}: unknown")
    return settings


def frozen(properties: dict[str, Any]) -> dict[str, Any]:
    """What of a job can not be changed."""
    told = {"experimentName": EXPERIMENT, **properties}
    return {key: value for key, value in told.items() if key not in FREE and value not in ({}, None)}


def new_uuid() -> str:
    """What makes the runs of a job's nodes different from those of all others."""
    return str(uuid.uuid4())


def _type(value: Any, where: str, key: str) -> str:
    """The type of an input or output as ARM has it, in the specification's words. A literal is text."""
    said = str(value.get(key, "")).lower() if isinstance(value, dict) else ""
    if said == "literal":
        return "string"
    if said not in DATA:
        raise invalid(f"properties.{where}: {key} {said!r} is none of literal, {', '.join(sorted(DATA))}")
    return said


def _texts(data: dict[str, Any], where: str) -> dict[str, str]:
    """A mapping whose values are text; without those that are null."""
    for key, value in data.items():
        if value is not None and not isinstance(value, str):
            raise invalid(f"properties.{where}.{key}: text is needed")
    return {key: value for key, value in data.items() if value is not None}
