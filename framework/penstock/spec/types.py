"""The words for types of parameters and outputs, on which values and the classes of the spec both stand."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Type: TypeAlias = Literal["string", "integer", "number", "boolean", "list", "object", "file", "directory"]
"""The types of parameters and outputs."""

TYPES: tuple[Type, ...] = ("string", "integer", "number", "boolean", "list", "object", "file", "directory")
ARTIFACT_TYPES: frozenset[str] = frozenset({"file", "directory"})
"""Types that are a path or URI to content; every other type is a value with a text form."""

Value: TypeAlias = Any
"""A parameter's value as JSON knows it: str, int, float, bool, list, dict. Artifacts are a path or URI (str)."""
