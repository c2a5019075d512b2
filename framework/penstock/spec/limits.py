"""What is wrong with one parameter by itself: limits that do not fit its type, a default that breaks them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from attrs import evolve

from penstock.errors import Problem
from penstock.spec import patterns
from penstock.spec.binding import bind
from penstock.spec.keys import document_key
from penstock.spec.parameters import Parameter
from penstock.spec.values import describe

_NUMBERS = frozenset({"integer", "number"})
_TEXTS = frozenset({"string", "file", "directory"})
_LIMITS: dict[str, frozenset[str]] = {
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "exclusive_minimum": _NUMBERS,
    "exclusive_maximum": _NUMBERS,
    "multiple_of": _NUMBERS,
    "min_length": _TEXTS,
    "max_length": _TEXTS,
    "pattern": _TEXTS,
    "min_items": frozenset({"list"}),
    "max_items": frozenset({"list"}),
    "unique_items": frozenset({"list"}),
    "min_properties": frozenset({"object"}),
    "max_properties": frozenset({"object"}),
}
_NUMERIC = frozenset(name for name, types in _LIMITS.items() if types is _NUMBERS)
_COUNTS = frozenset({"min_length", "max_length", "min_items", "max_items", "min_properties", "max_properties"})


def parameter_problems(parameter: Parameter) -> Iterator[Problem]:
    """Everything that is wrong with a parameter; paths start at the parameter."""
    values = {name: getattr(parameter, name) for name in _LIMITS}
    given = {name: value for name, value in values.items() if value is not None and value is not False}
    broken = list(_limit_problems(parameter, given))
    yield from broken
    # Values are held against the limits only when these make sense, one mistake being one message.
    bare = Parameter(parameter.type) if broken else evolve(parameter, enum=None, default=None)
    members = parameter.enum if parameter.enum is not None else ()
    if parameter.enum is not None and not members:
        yield Problem("limit_invalid", "an empty enum allows nothing", ("enum",))
    for index, member in enumerate(members):
        yield from (detail.under("enum", index) for detail in bind(bare, member).problems)
    if parameter.default is not None:
        limited = evolve(bare, enum=parameter.enum) if members else bare
        yield from (detail.under("default") for detail in bind(limited, parameter.default).problems)


def _limit_problems(parameter: Parameter, given: dict[str, Any]) -> Iterator[Problem]:
    for name, value in given.items():
        key = document_key(name)
        if parameter.type not in _LIMITS[name]:
            fitting = " and ".join(f"`{type_}`" for type_ in sorted(_LIMITS[name]))
            message = f"`{key}` does not apply to type {parameter.type}"
            yield Problem("limit_not_applicable", message, (key,), hint=f"it applies to {fitting}")
        elif name == "pattern":
            yield from _pattern_problems(value)
        elif name in _COUNTS and value < 0:
            yield Problem("limit_invalid", f"`{key}` counts, so it is not negative", (key,))
        elif name in _NUMERIC and not _finite(value):
            yield Problem("limit_invalid", f"{describe(value)} is not a finite number", (key,))
        elif name == "multiple_of" and value <= 0:
            yield Problem("limit_invalid", f"`{key}` is greater than 0", (key,))
    for least, most in (("minimum", "maximum"), *((f"min_{w}", f"max_{w}") for w in ("length", "items", "properties"))):
        if least in given and most in given and given[least] > given[most]:
            message = f"`{document_key(least)}` is greater than `{document_key(most)}`: no value is allowed"
            yield Problem("limit_invalid", message, (document_key(least),))


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _pattern_problems(pattern: str) -> Iterator[Problem]:
    try:
        patterns.compiled(pattern)
    except patterns.PatternInvalid as error:
        yield Problem("pattern_invalid", f"the pattern cannot be used: {error}", ("pattern",), hint=error.hint)
