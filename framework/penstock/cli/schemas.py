"""The JSON Schema of what commands print with `--json`, made from the classes of what they answer."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from penstock.codec.schemas import DIALECT, Schema, object_schema, type_schema
from penstock.errors import Problem
from penstock.records import DefaultAt, EndpointRecord, HistoryRecord, Page, PublishedRecord, RunRecord
from penstock.registry import CancelOutcome, CheckReport, GateOutcome, MoveOutcome, VersionOutcome
from penstock.workspace.admin import Status
from penstock.workspace.publishing import Publishing
from penstock.workspace.targets import PluginStatus, TargetStatus

COMMANDS: Mapping[str, Any] = {
    "init": {"config": str},
    "status": Status,
    "validate": {"files": [{"file": str, "name": str, "digest": str, "target": str, "warnings": tuple[Problem, ...]}]},
    "publish": Publishing,
    "pipeline list": Page[PublishedRecord],
    "pipeline show": PublishedRecord,
    "pipeline disable": GateOutcome,
    "pipeline enable": GateOutcome,
    "pipeline delete": PublishedRecord,
    "endpoint create": EndpointRecord,
    "endpoint add-version": VersionOutcome,
    "endpoint list": Page[EndpointRecord],
    "endpoint show": EndpointRecord,
    "endpoint history": Page[HistoryRecord],
    "endpoint history --at": DefaultAt,
    "endpoint rename": EndpointRecord,
    "endpoint delete": EndpointRecord,
    "endpoint set-default": MoveOutcome,
    "endpoint rollback": MoveOutcome,
    "endpoint disable": GateOutcome,
    "endpoint enable": GateOutcome,
    "submit": (RunRecord, {"replayed": bool, "warnings": tuple[str, ...]}),
    "submit --wait": RunRecord,
    "run list": Page[RunRecord],
    "run show": RunRecord,
    "run wait": RunRecord,
    "run cancel": CancelOutcome,
    "run logs": {"id": str, "steps": Mapping[str, str]},
    "run outputs": {"id": str, "outputs": Mapping[str, Any]},
    "run rerun": (RunRecord, {"replayed": bool, "warnings": tuple[str, ...]}),
    "target list": {"items": tuple[TargetStatus, ...]},
    "target check": {"target": str, "ok": bool, "lines": tuple[str, ...]},
    "plugin list": {"items": tuple[PluginStatus, ...]},
    "registry check": CheckReport,
    "registry backup": {"backup": str},
    "history": Page[HistoryRecord],
    "--version": {"version": str},
    "error": {"error": {"code": str, "message": str, "details": tuple[Problem, ...]}},
}
"""What each command answers: a class, the keys of an object, or a class with more keys."""


_PROBLEM = {
    "severity": Literal["error", "warning"],
    "code": str,
    "message": str,
    **dict.fromkeys(("path", "where", "hint"), str | None),
}
"""What `Problem.to_dict` returns."""


def output_schema() -> Schema:
    """The schema of all answers: `$defs` holds one by the name of each command, and `error`.

    `specs/schema/output.schema.json` holds what this returns: `penstock schema Output`.
    """
    definitions: Schema = {}
    answers = {name: _answer(answer, definitions) for name, answer in COMMANDS.items()}
    return {
        "$schema": DIALECT,
        "title": "Output",
        "description": "What commands print with --json: the definition of a command's name.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in answers],
        "$defs": {**answers, **dict(sorted(definitions.items()))},
    }


def _answer(answer: Any, definitions: Schema) -> Schema:
    if isinstance(answer, tuple):
        record, more = (_object(part, definitions) for part in answer)
        properties = {**record["properties"], **more["properties"]}
        return {**record, "properties": properties, "required": [*properties]}
    if isinstance(answer, list):
        return {"type": "array", "items": _answer(answer[0], definitions)}
    return _object(answer, definitions) if isinstance(answer, dict) else type_schema(answer, definitions, _object)


def _object(answer: Any, definitions: Schema) -> Schema:
    """An object as it is printed: every key is there. A page says by its argument what is on it."""
    answer = _PROBLEM if answer is Problem else answer
    if isinstance(answer, dict):
        return object_schema({key: _answer(value, definitions) for key, value in answer.items()}, answer)
    cls, arguments = typing.get_origin(answer) or answer, typing.get_args(answer)
    hints = typing.get_type_hints(cls)
    properties = {}
    for field in attrs.fields(cls):
        hint = hints[field.name]
        hint = hint[arguments] if getattr(hint, "__parameters__", ()) else hint
        properties[field.name.rstrip("_")] = type_schema(hint, definitions, _object)
    return object_schema(properties, properties, cls.__doc__)
