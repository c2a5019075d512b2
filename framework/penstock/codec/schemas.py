"""JSON Schemas (draft 2020-12) made from attrs classes and their docstrings: of our documents, and of records."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from penstock.codec import shapes
from penstock.errors import Problem, UsageError, did_you_mean
from penstock.spec import API_VERSION, Pipeline

KINDS: Mapping[str, type] = {"Pipeline": Pipeline}
"""The kinds of documents and their classes."""

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PLAIN = {str: "string", Path: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}

Schema: TypeAlias = dict[str, Any]
ObjectMaker: TypeAlias = "Callable[[Any, Schema], Schema]"
"""Makes the schema of an object from a class; what it refers to goes into the definitions."""


def schema(kind: str) -> Schema:
    """The JSON Schema of a kind of document, header included. Raises UsageError.

    `specs/schema/` holds what this returns: `penstock schema Pipeline > specs/schema/pipeline.schema.json`.
    """
    if kind not in KINDS:
        raise UsageError(f"there is no kind `{kind}` ({did_you_mean(kind, KINDS)})", code="kind_unknown")
    made = schema_of(KINDS[kind])
    header = {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}}
    return {**made, "properties": {**header, **made["properties"]}, "required": [*header, *made["required"]]}


def schema_of(cls: type) -> Schema:
    """The JSON Schema of what `structure` reads into an attrs class."""
    definitions: Schema = {}
    made = {"$schema": DIALECT, "title": cls.__name__, **_written_object(cls, definitions)}
    return {**made, "$defs": dict(sorted(definitions.items()))} if definitions else made


def type_schema(type_: Any, definitions: Schema, make: ObjectMaker) -> Schema:
    """The schema of a type; that of a class goes into the definitions, a generic one's by what is in it too."""
    if type_ is Any:
        return {}
    if type_ is datetime:
        return {"type": "string", "format": "date-time"}
    if shapes.is_union(type_):
        return _union(shapes.members_of(type_), definitions, make)
    if shapes.is_literal(type_):
        return {"enum": list(typing.get_args(type_))}
    if shapes.is_sequence(type_):
        return {"type": "array", "items": type_schema(shapes.item_type(type_), definitions, make)}
    if shapes.is_mapping(type_):
        return {"type": "object", "additionalProperties": type_schema(shapes.item_type(type_), definitions, make)}
    if type_ in _PLAIN:
        return {"type": _PLAIN[type_]}
    name = "Of".join(one.__name__ for one in (type_, *typing.get_args(type_)))
    if name not in definitions:
        definitions[name] = {}
        definitions[name] = make(type_, definitions)
    reference = {"$ref": f"#/$defs/{name}"}
    short = shapes.short_field(type_) if attrs.has(type_) else None
    return reference if short is None else {"anyOf": [type_schema(short.type, definitions, make), reference]}


def object_schema(properties: Schema, required: typing.Iterable[str], description: str | None = None) -> Schema:
    """The schema of an object that has these keys and no others."""
    about = {} if description is None else {"description": " ".join(description.split())}
    keys = {"properties": properties, "required": [*required], "additionalProperties": False}
    return {**about, "type": "object", **keys}


def _written_object(cls: type, definitions: Schema) -> Schema:
    """An object as a document writes it."""
    attrs.resolve_types(cls)
    doc = _as_written(cls, inspect.getdoc(cls) or "")
    fields = {shapes.key_of(cls, field.name): field for field in attrs.fields(cls) if field.init}
    properties = {
        key: {**_about(doc, key, field), **type_schema(shapes.written_type(field), definitions, _written_object)}
        for key, field in fields.items()
    }
    return object_schema(properties, [key for key, field in fields.items() if field.default is attrs.NOTHING], doc)


def _as_written(cls: type, doc: str) -> str:
    """What a class says of its attributes, with the keys that documents have for them."""
    names = {field.name for field in attrs.fields(cls)}
    return re.sub(r"`(\w+)`", lambda found: f"`{shapes.key_of(cls, found[1])}`" if found[1] in names else found[0], doc)


def _about(doc: str, key: str, field: attrs.Attribute[Any]) -> Schema:
    """What an editor shows for a key: the sentences of the class that name it, and the default."""
    sentences = re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(doc.split()))
    told = " ".join(sentence for sentence in sentences if f"`{key}`" in sentence)
    about: Schema = {"description": told} if told else {}
    if isinstance(field.default, bool | int | float):
        about["default"] = field.default
    return about


def _union(members: tuple[Any, ...], definitions: Schema, make: ObjectMaker) -> Schema:
    words = [_PLAIN[member] for member in members if member in _PLAIN]
    if "number" in words:
        words = [word for word in words if word != "integer"]
    others = [type_schema(member, definitions, make) for member in members if member not in _PLAIN]
    plain = {"type": words[0] if len(words) == 1 else list(dict.fromkeys(words))}
    if not others:
        return plain
    return {"anyOf": [*others, plain]} if words else {"anyOf": others}


_PROBLEM = {
    "severity": typing.Literal["error", "warning"],
    "code": str,
    "message": str,
    **dict.fromkeys(("path", "where", "hint"), str | None),
}
"""What `Problem.to_dict` returns."""


def answer_schema(answer: Any, definitions: Schema) -> Schema:
    """The schema of an answer as doors write it: a class, a mapping of keys, a class with more keys as a pair, or a
    list of one of these.
    """
    if isinstance(answer, tuple):
        record, more = (_answered_object(part, definitions) for part in answer)
        properties = {**record["properties"], **more["properties"]}
        return {**record, "properties": properties, "required": [*properties]}
    if isinstance(answer, list):
        return {"type": "array", "items": answer_schema(answer[0], definitions)}
    return (
        _answered_object(answer, definitions)
        if isinstance(answer, dict)
        else type_schema(answer, definitions, _answered_object)
    )


def _answered_object(answer: Any, definitions: Schema) -> Schema:
    """An object as it is printed: every key is there but one that ends in `?`, which is there when there is something
    to say. A page says by its argument what is on it.
    """
    answer = _PROBLEM if answer is Problem else answer
    if isinstance(answer, dict):
        keys = {key.rstrip("?"): answer_schema(value, definitions) for key, value in answer.items()}
        return object_schema(keys, [key for key in answer if not key.endswith("?")])
    cls, arguments = typing.get_origin(answer) or answer, typing.get_args(answer)
    hints = typing.get_type_hints(cls)
    properties = {}
    for field in attrs.fields(cls):
        hint = hints[field.name]
        hint = hint[arguments] if getattr(hint, "__parameters__", ()) else hint
        properties[field.name.rstrip("_")] = type_schema(hint, definitions, _answered_object)
    return object_schema(properties, properties, cls.__doc__)
