"""What a document may write for each field of an attrs class: shared by reading and by the JSON Schema."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union

import attrs

from penstock.spec.keys import about, document_key

WORDS: Mapping[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "string"}
"""The word of a document for a Python type."""


def key_of(cls: type, name: str) -> str:
    """The key of an attribute in documents: camelCase for the spec's own classes, else the name as it is."""
    return document_key(name) if cls.__module__.startswith("penstock.spec.") else name.rstrip("_")


def short_field(cls: type) -> attrs.Attribute[Any] | None:
    """The attribute that a document may write alone in place of a whole object of the class, see `Key.short`."""
    return next((field for field in attrs.fields(cls) if about(field.metadata).short), None)


def short_key(cls: type) -> str | None:
    """The key of that attribute."""
    field = short_field(cls)
    return None if field is None else key_of(cls, field.name)


def written_type(field: attrs.Attribute[Any]) -> Any:
    """The type of what a document writes for a field whose class has resolved types.

    That is the field's type, and every plain type that its converter's argument is annotated with besides:
    `memory: int` whose converter takes `str | int` is written as either.
    """
    converter = field.converter
    if not inspect.isfunction(converter):
        return field.type
    hints = typing.get_type_hints(converter)
    argument = next(iter(inspect.signature(converter).parameters))
    extra = tuple(member for member in members_of(hints.get(argument)) if member in WORDS)
    return Union[(*members_of(field.type), *extra)] if extra else field.type


def members_of(type_: Any) -> tuple[Any, ...]:
    """The members of a union, or the type alone."""
    if typing.get_origin(type_) in (Union, types.UnionType):
        return typing.get_args(type_)
    return (type_,)


def is_union(type_: Any) -> bool:
    """Whether the type is a union of several."""
    return len(members_of(type_)) > 1


def is_literal(type_: Any) -> bool:
    """Whether the type is a Literal."""
    return typing.get_origin(type_) is Literal


def is_sequence(type_: Any) -> bool:
    """Whether the type is a list, a tuple of one item type, or a Sequence."""
    origin = typing.get_origin(type_) or type_
    return origin in (list, tuple, Sequence, typing.Sequence)


def is_mapping(type_: Any) -> bool:
    """Whether the type is a mapping of text to something."""
    origin = typing.get_origin(type_) or type_
    return origin in (dict, Mapping, typing.Mapping)


def item_type(type_: Any) -> Any:
    """The type of a sequence's items or of a mapping's values; Any when it does not say."""
    arguments = [argument for argument in typing.get_args(type_) if argument is not Ellipsis]
    return arguments[-1] if arguments else Any


def fits(data: Any, type_: Any) -> bool:
    """Whether data has the outer form of a type: what decides between the members of a union."""
    if type_ is Any:
        return True
    if is_literal(type_):
        return any(type(data) is type(member) and data == member for member in typing.get_args(type_))
    if is_sequence(type_):
        return isinstance(data, list | tuple)
    if type_ is float:
        return isinstance(data, int | float) and not isinstance(data, bool)
    if type_ in WORDS:
        return isinstance(data, str if type_ is Path else type_) and isinstance(data, bool) is (type_ is bool)
    return isinstance(data, Mapping)


def is_plain(data: Any, type_: Any) -> bool:
    """Whether data is a plain value of the kind that a type wants, be it a right one or not."""
    members = typing.get_args(type_) if is_literal(type_) else members_of(type_)
    return type(data) in [type(member) if is_literal(type_) else member for member in members]


def word_of(type_: Any) -> str:
    """The word for a type in an error message."""
    if is_literal(type_):
        return "one of " + ", ".join(f"`{member}`" for member in typing.get_args(type_))
    return WORDS.get(type_) or ("list" if is_sequence(type_) else "object")
