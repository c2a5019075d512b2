"""The JSON Schema of what commands print with `--json`, made from the classes of what they answer."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeVar, Union

import attrs

from penstock.codec import shapes
from penstock.errors import Problem
from penstock.records import DefaultAt, EndpointRecord, HistoryRecord, Page, PublishedRecord, RunRecord
from penstock.registry import CancelOutcome, CheckReport, GateOutcome, MoveOutcome, VersionOutcome
from penstock.workspace.admin import Status
from penstock.workspace.publishing import Publishing
from penstock.workspace.targets import PluginStatus, TargetStatus

_TEXT: dict[str, Any] = {"type": "string"}
_PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}

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


def output_schema() -> dict[str, Any]:
    """The schema of all answers: `$defs` holds one by the name of each command, and `error`.

    `specs/schema/output.schema.json` holds what this returns: `penstock schema Output`.
    """
    definitions: dict[str, Any] = {}
    answers = {name: _answer(answer, definitions) for name, answer in COMMANDS.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Output",
        "description": "What commands print with --json: the definition of a command's name.",
        "anyOf": [{"$ref": f"#/$defs/{name}"} for name in answers],
        "$defs": {**answers, **dict(sorted(definitions.items()))},
    }


def _answer(answer: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if isinstance(answer, tuple):
        record, more = answer
        whole = _object_of(record, {}, definitions)
        added = _answer(more, definitions)
        properties = {**whole["properties"], **added["properties"]}
        return {**whole, "properties": properties, "required": [*properties]}
    if isinstance(answer, list):
        return {"type": "array", "items": _answer(answer[0], definitions)}
    if isinstance(answer, dict):
        properties = {key: _answer(value, definitions) for key, value in answer.items()}
        return {"type": "object", "properties": properties, "required": [*answer], "additionalProperties": False}
    return _schema(answer, {}, definitions)


def _schema(type_: Any, bound: Mapping[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    type_ = bound.get(type_, type_) if isinstance(type_, TypeVar) else type_
    origin, arguments = typing.get_origin(type_), typing.get_args(type_)
    if type_ is Any:
        return {}
    if type_ is datetime:
        return {"type": "string", "format": "date-time"}
    if type_ is Problem:
        return _problem()
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(member, bound, definitions) for member in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if shapes.is_sequence(type_):
        return {"type": "array", "items": _schema(arguments[0], bound, definitions)}
    if shapes.is_mapping(type_):
        return {"type": "object", "additionalProperties": _schema(arguments[-1], bound, definitions)}
    if type_ in _PLAIN:
        return {"type": _PLAIN[type_]}
    return _reference(origin or type_, arguments, definitions)


def _reference(cls: Any, arguments: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    """A class by its name; one of a page by the name of what is on it."""
    name = "".join((cls.__name__, *(f"Of{one.__name__}" for one in arguments)))
    if name not in definitions:
        definitions[name] = {}
        bound = dict(zip(getattr(cls, "__parameters__", ()), arguments, strict=False))
        definitions[name] = _object_of(cls, bound, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _object_of(cls: Any, bound: Mapping[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    properties = {field.name.rstrip("_"): _schema(hints[field.name], bound, definitions) for field in attrs.fields(cls)}
    about = " ".join((cls.__doc__ or "").split())
    return {
        "description": about,
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


def _problem() -> dict[str, Any]:
    """The JSON shape of `Problem.to_dict`."""
    optional = {"type": ["string", "null"]}
    properties = {
        "severity": {"enum": ["error", "warning"]},
        "code": _TEXT,
        "message": _TEXT,
        "path": optional,
        "where": optional,
        "hint": optional,
    }
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}
