"""JSON Schemas of our documents, generated from the attrs classes and their docstrings."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from penstock.codec import shapes
from penstock.errors import UsageError, did_you_mean
from penstock.spec import API_VERSION, Pipeline

KINDS: Mapping[str, type] = {"Pipeline": Pipeline}
"""The kinds of documents and their classes."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema(kind: str) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a kind of document, header included. Raises UsageError.

    `specs/schema/` holds what this returns: `penstock schema Pipeline > specs/schema/pipeline.schema.json`.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind `{kind}` ({did_you_mean(kind, KINDS)})", code="kind_unknown")
    made = schema_of(KINDS[kind])
    header = {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}
    return {**made, "properties": {**header, **made["properties"]}, "required": [*header, *made["required"]]}


def schema_of(cls: type) -> dict[str, Any]:
    """The JSON Schema of what `structure` reads into an attrs class."""
    definitions: dict[str, Any] = {}
    made = {"$schema": _DIALECT, "title": cls.__name__, **_object(cls, definitions)}
    return {**made, "$defs": dict(sorted(definitions.items()))} if definitions else made


def _object(cls: type, definitions: dict[str, Any]) -> dict[str, Any]:
    attrs.resolve_types(cls)
    doc = inspect.getdoc(cls) or ""
    properties, required = {}, []
    for field in attrs.fields(cls):
        if not field.init:
            continue
        key = shapes.key_of(cls, field.name)
        properties[key] = {**_about(doc, field), **_schema(shapes.written_type(field), definitions)}
        if field.default is attrs.NOTHING:
            required.append(key)
    return {
        "description": " ".join(doc.split()),
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _about(doc: str, field: attrs.Attribute[Any]) -> dict[str, Any]:
    """What an editor shows for a key: the sentences of the class that name it, and the default."""
    sentences = re.split(r"(?<=[.:])\s+(?=[A-Z`])", " ".join(doc.split()))
    told = " ".join(sentence for sentence in sentences if f"`{field.name}`" in sentence)
    about: dict[str, Any] = {"description": told} if told else {}
    if isinstance(field.default, bool | int | float):
        about["default"] = field.default
    return about


def _schema(type_: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if type_ is Any:
        return {}
    if shapes.is_union(type_):
        return _union(shapes.members_of(type_), definitions)
    if shapes.is_literal(type_):
        return {"enum": list(typing.get_args(type_))}
    if shapes.is_sequence(type_):
        return {"type": "array", "items": _schema(shapes.item_type(type_), definitions)}
    if shapes.is_mapping(type_):
        return {"type": "object", "additionalProperties": _schema(shapes.item_type(type_), definitions)}
    if type_ in _PLAIN:
        return {"type": _PLAIN[type_]}
    if type_.__name__ not in definitions:
        definitions[type_.__name__] = {}
        definitions[type_.__name__] = _object(type_, definitions)
    reference = {"$ref": f"#/$defs/{type_.__name__}"}
    short = shapes.short_field(type_)
    return reference if short is None else {"anyOf": [_schema(short.type, definitions), reference]}


def _union(members: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    words = [_PLAIN[member] for member in members if member in _PLAIN]
    if "number" in words:
        words = [word for word in words if word != "integer"]
    others = [_schema(member, definitions) for member in members if member not in _PLAIN]
    plain = {"type": words[0] if len(words) == 1 else list(dict.fromkeys(words))}
    if not others:
        return plain
    return {"anyOf": [*others, plain]} if words else {"anyOf": others}
