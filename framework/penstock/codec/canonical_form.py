"""The canonical form: what a digest is made of, the same for every way of writing the same pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from penstock.codec import shapes
from penstock.errors import Problem, SpecInvalid
from penstock.spec import API_VERSION, Pipeline
from penstock.spec.keys import attributes, is_default
from penstock.spec.values import describe

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(pipeline: Pipeline) -> dict[str, Any]:
    """The document of a pipeline in canonical form, as plain data.

    Keys equal to their default are left out, so that keys which come later keep old digests; durations and sizes
    are text, commands lists, outputs in their short form; numbers are as their parameter's type holds them. Raises
    SpecInvalid for what is no pipeline; what is wrong in one stays as it is.
    """
    if not isinstance(pipeline, Pipeline):
        message = f"expected a Pipeline, got {describe(pipeline)}"
        raise SpecInvalid(message, code="type_mismatch", details=[Problem("type_mismatch", message)])
    return {"apiVersion": API_VERSION, "kind": "Pipeline", **_fields(pipeline)}


def canonical_json(pipeline: Pipeline) -> str:
    """The canonical form as compact JSON with sorted keys."""
    return to_json(canonical(pipeline))


def to_json(data: Any) -> str:
    """Compact JSON with sorted keys: the same data, the same text."""
    return _encode(data)


def _fields(record: Any) -> dict[str, Any]:
    data = {}
    cls: Any = type(record)
    for attribute in attributes(cls):
        value = getattr(record, attribute.name)
        if not is_default(value, attribute.default):
            written = attribute.about.written
            data[attribute.key] = written(record, value) if written else _plain(value)
    return data


def _plain(value: Any) -> Any:
    if attrs.has(type(value)):
        data, short = _fields(value), shapes.short_key(type(value))
        return data if short is None or data.keys() != {short} else data[short]
    if isinstance(value, Mapping):
        return {_exact(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return _exact(value)


def _exact(value: Any) -> Any:
    # A text enum's member is its text to JSON, its name to str() and nothing at all to YAML.
    return str.__str__(value) if isinstance(value, str) else value
