"""Declarations of parameters: every type, with every limit that its type has, and triggers that keep or break them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from penstock.spec import TYPES, Parameter, Type, Value
from penstock.testing.strategies.text import hostile_text, keys
from penstock.testing.strategies.values import json_text, values_for, values_outside

PATTERNS: Mapping[str, int] = {
    "^[a-z]{1,8}$": 1,
    r"^\d{4}-\d{2}$": 7,
    "^(fast|exact)": 4,
    "[A-Z]": 1,
    r"^v\d+(\.\d+)*$": 2,
    "^s3://": 5,
}
"""Patterns that every reader of regular expressions reads alike, each with the length of its shortest text."""

TEXTS: tuple[Type, ...] = ("string", "file", "directory")
"""The types whose values are text that can have a length and a pattern."""


@st.composite
def parameters(draw: DrawFn, types: tuple[Type, ...] = TYPES, *, optional: bool = False) -> Parameter:
    """Valid parameters: any type, some with limits, some with a default that keeps them; `optional` ones if asked."""
    type_ = draw(st.sampled_from(types))
    parameter = Parameter(type_, description=draw(hostile_text()), **draw(_limits(type_)))
    if draw(st.integers(0, 3)) == 0:
        members = draw(st.lists(values_for(parameter), min_size=1, max_size=3, unique_by=json_text))
        parameter = evolve(parameter, enum=members)
    if draw(st.booleans()):
        parameter = evolve(parameter, default=draw(values_for(parameter)))
    elif optional and draw(st.booleans()):
        parameter = evolve(parameter, default=None)
    return parameter


def declarations(
    types: tuple[Type, ...] = TYPES, least: int = 0, most: int = 5, *, optional: bool = False
) -> SearchStrategy[dict[str, Parameter]]:
    """The parameters of one pipeline, by key."""
    return st.dictionaries(keys(), parameters(types, optional=optional), min_size=least, max_size=most)


@st.composite
def values_of(draw: DrawFn, declared: Mapping[str, Parameter]) -> dict[str, Value]:
    """What a trigger may give a pipeline with these parameters: all that is required, some of what is not."""
    given = [name for name, parameter in declared.items() if parameter.required or draw(st.booleans())]
    return {name: draw(values_for(declared[name])) for name in given}


@st.composite
def wrong_values(draw: DrawFn, declared: Mapping[str, Parameter]) -> tuple[dict[str, Value], dict[str, str]]:
    """A trigger that must be refused, and why: the code that must be told of each wrong name, and of no other."""
    given: dict[str, Value] = {}
    wrong: dict[str, str] = {}
    for name, parameter in declared.items():
        fate = draw(st.sampled_from(["good", "bad", "bad", "absent"]))
        if fate == "good":
            given[name] = draw(values_for(parameter))
        elif fate == "bad":
            given[name], wrong[name] = draw(values_outside(parameter))
        elif parameter.required:
            wrong[name] = "parameter_missing"
    strangers = st.lists(keys().filter(lambda name: name not in declared), unique=True)
    for name in draw(strangers.map(lambda found: found[:2] if wrong else (found or ["stranger--"])[:2])):
        given[name], wrong[name] = 1, "parameter_unknown"
    return given, wrong


@st.composite
def _limits(draw: DrawFn, type_: Type) -> dict[str, Any]:
    """Limits of one type that leave room for a value."""
    if type_ in ("integer", "number"):
        return _named(draw(_ranges(type_)))
    chosen = draw(st.booleans())
    if type_ in ("list", "object") and chosen:
        what = "items" if type_ == "list" else "properties"
        least, more = draw(st.integers(0, 2)), draw(st.integers(0, 3))
        limits = {f"min_{what}": draw(st.sampled_from([None, least])), f"max_{what}": least + more}
        return _named({**limits, "unique_items": type_ == "list" and draw(st.booleans())})
    if type_ in TEXTS and chosen:
        return _named(draw(_lengths(type_)))
    return {}


@st.composite
def _lengths(draw: DrawFn, type_: Type) -> dict[str, Any]:
    pattern = draw(st.sampled_from([None, None, *PATTERNS]))
    if pattern is None:
        least = draw(st.integers(0 if type_ == "string" else 1, 3))
        return {"min_length": least, "max_length": draw(st.sampled_from([None, least, least + 6]))}
    shortest = PATTERNS[pattern]
    # Wide enough for most of the texts that the pattern allows.
    most = draw(st.sampled_from([None, shortest + 3, shortest + 6]))
    return {"pattern": pattern, "min_length": draw(st.sampled_from([None, shortest])), "max_length": most}


@st.composite
def _ranges(draw: DrawFn, type_: Type) -> dict[str, Any]:
    least = draw(st.integers(-1000, 1000))
    step = draw(st.sampled_from([None, None, 1, 3, 10] if type_ == "integer" else [None, None, 0.1, 0.25, 2, 1.5]))
    # Wide enough for a multiple strictly between the edges.
    most = least + draw(st.integers(25, 1000))
    shift = draw(st.sampled_from([0, 0.5])) if type_ == "number" else 0
    # Of two limits on one side the narrower one counts, or the one that leaves out the edge.
    beside = st.integers(-1, 1)
    low = {"minimum": least + shift, "exclusive_minimum": least + shift + draw(beside)}
    high = {"maximum": most, "exclusive_maximum": most + shift + draw(beside)}
    sides = [draw(st.sampled_from([(), *((name,) for name in side), tuple(side)])) for side in (low, high)]
    return {**{name: {**low, **high}[name] for side in sides for name in side}, "multiple_of": step}


def _named(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in limits.items() if value is not None and value is not False}
