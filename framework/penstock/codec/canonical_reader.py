"""Reading back the canonical form that was kept: quick, because it was checked before it was kept."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs

from penstock.codec import shapes
from penstock.spec import Pipeline


def from_canonical(text: str) -> Pipeline:
    """The pipeline whose canonical JSON this is. It was checked when it was made and is not checked again.

    Raises SpecInvalid for text that is not a pipeline in canonical form.
    """
    data = json.loads(text)
    try:
        del data["apiVersion"], data["kind"]
        pipeline: Pipeline = _reader(Pipeline)(data)
        return pipeline
    except (TypeError, ValueError, KeyError, AttributeError):
        from penstock.codec.documents import pipeline_of  # which needs the slow converter

        return pipeline_of(json.loads(text))


_Read = Callable[[Any], Any]


@cache
def _reader(cls: type) -> _Read:
    """What makes an object of a class from its canonical data; what can be known of the class is found out once."""
    attrs.resolve_types(cls)
    plan = {shapes.key_of(cls, field.name): (field.name, _inside(field.type)) for field in attrs.fields(cls)}
    short = shapes.short_key(cls)

    def read(data: Any) -> Any:
        if short is not None and not isinstance(data, Mapping):
            data = {short: data}
        values = {}
        for key, value in data.items():
            name, inside = plan[key]
            values[name] = inside(value) if inside else value
        return cls(**values)

    return read


def _inside(type_: Any) -> _Read | None:
    """How the objects in a value of this type are read, or None when there are none."""
    for member in shapes.members_of(type_):
        if isinstance(member, type) and attrs.has(member):
            return _reader(member)
        if shapes.is_mapping(member) and (each := _inside(shapes.item_type(member))):
            return _each_value(each)
        if shapes.is_sequence(member) and (each := _inside(shapes.item_type(member))):
            return _each_item(each)
    return None


def _each_value(read: _Read) -> _Read:
    return lambda data: {name: read(item) for name, item in data.items()}


def _each_item(read: _Read) -> _Read:
    return lambda data: [read(item) for item in data]
