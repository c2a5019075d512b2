"""The canonical form: what a digest is made of, the same for every way of writing the same pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs

from penstock.spec import API_VERSION, Output, Parameter, Pipeline, Type, document_key
from penstock.spec.quantity import bytes_of, bytes_text, duration_text, seconds_of
from penstock.spec.values import ValueInvalid, normalise

_QUANTITIES: Mapping[Any, Callable[[Any], str]] = {seconds_of: duration_text, bytes_of: bytes_text}
_NUMBER_LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


def canonical(pipeline: Pipeline) -> dict[str, Any]:
    """The document of a pipeline in canonical form, as plain data.

    Keys equal to their default are left out, so that keys which come later keep old digests; durations and sizes
    are text, commands lists, outputs in their short form; numbers are as their parameter's type holds them.
    """
    return {"apiVersion": API_VERSION, "kind": "Pipeline", **_fields(pipeline)}


def canonical_json(pipeline: Pipeline) -> str:
    """The canonical form as compact JSON with sorted keys."""
    return to_json(canonical(pipeline))


def to_json(data: Any) -> str:
    """Compact JSON with sorted keys: the same data, the same text."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@cache
def _plan(cls: Any) -> tuple[tuple[str, str, Any, Callable[[Any], Any]], ...]:
    """Per attribute: name, key, default, and how its value is written."""
    plan = []
    for field in attrs.fields(cls):
        default = field.default
        if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
            default = default.factory()
        plan.append((field.name, document_key(field.name), default, _QUANTITIES.get(field.converter, _plain)))
    return tuple(plan)


def _fields(record: Any) -> dict[str, Any]:
    data = {}
    cls: Any = type(record)
    for name, key, default, write in _plan(cls):
        value = getattr(record, name)
        if value is not None and value != default:
            data[key] = write(value)
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, Parameter):
        return _parameter(value)
    if isinstance(value, Output) and not value.description:
        return value.type
    if attrs.has(type(value)):
        return _fields(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _parameter(parameter: Parameter) -> dict[str, Any]:
    data = _fields(parameter)
    if "default" in data:
        data["default"] = _normal(parameter.type, data["default"])
    if "enum" in data:
        data["enum"] = [_normal(parameter.type, member) for member in data["enum"]]
    for key in _NUMBER_LIMITS:
        if key in data:
            data[key] = _limit(parameter.type, data[key])
    return data


def _normal(type_: Type, value: Any) -> Any:
    try:
        return normalise(type_, value)
    except ValueInvalid:
        return value


def _limit(type_: Type, limit: Any) -> Any:
    """`minimum: 1` and `minimum: 1.0` say the same, so they are written the same."""
    if type_ == "integer" and isinstance(limit, float) and limit.is_integer():
        return int(limit)
    return _normal("number", limit) if type_ == "number" else limit
