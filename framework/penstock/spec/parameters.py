"""Parameters and outputs: their types, defaults and limits. Values are checked in `values`, limits in `limits`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

from attrs import field, frozen

from penstock.spec.shown import Shown

Type: TypeAlias = Literal["string", "integer", "number", "boolean", "list", "object", "file", "directory"]
"""The types of parameters and outputs."""

TYPES: tuple[Type, ...] = ("string", "integer", "number", "boolean", "list", "object", "file", "directory")
ARTIFACT_TYPES: frozenset[str] = frozenset({"file", "directory"})
"""Types that are a path or URI to content; every other type is a value with a text form."""

Value: TypeAlias = Any
"""A parameter's value as JSON knows it: str, int, float, bool, list, dict. Artifacts are a path or URI (str)."""


def _choices(value: Sequence[Value] | None) -> tuple[Value, ...] | None:
    return None if value is None else tuple(value)


@frozen(kw_only=True, repr=False)
class Parameter(Shown):
    """One parameter of a pipeline: its type, its default and its JSON-Schema limits.

    Without a default the parameter is required. Limits count characters (`min_length`), items (`min_items`)
    or properties, and apply only to the types JSON Schema gives them to.
    """

    type: Type = field(kw_only=False)
    default: Value = None
    description: str = ""
    enum: tuple[Value, ...] | None = field(default=None, converter=_choices)
    minimum: int | float | None = None
    maximum: int | float | None = None
    exclusive_minimum: int | float | None = None
    exclusive_maximum: int | float | None = None
    multiple_of: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    min_properties: int | None = None
    max_properties: int | None = None

    @property
    def required(self) -> bool:
        """Whether a trigger must give a value."""
        return self.default is None

    @property
    def is_artifact(self) -> bool:
        """Whether the value is a path or URI to content."""
        return self.type in ARTIFACT_TYPES


@frozen(kw_only=True, repr=False)
class Output(Shown):
    """One thing a step writes: an artifact (`file`, `directory`) or a typed value, as text in a file."""

    type: Type = field(kw_only=False)
    description: str = ""

    @property
    def is_artifact(self) -> bool:
        """Whether the output is content rather than a value."""
        return self.type in ARTIFACT_TYPES
