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

PATTERNS: tuple[str, ...] = ("^[a-z]{1,8}$", r"^\d{4}-\d{2}$", "^(fast|exact)", "[A-Z]", r"^v\d+(\.\d+)*\Z")
"""Patterns that every reader of regular expressions reads alike."""


@st.composite
def parameters(draw: DrawFn, types: tuple[Type, ...] = TYPES) -> Parameter:
    """Valid parameters: any type, some with limits, some with a default that keeps them."""
    type_ = draw(st.sampled_from(types))
    parameter = Parameter(type_, description=draw(hostile_text()), **draw(_limits(type_)))
    if draw(st.integers(0, 3)) == 0:
        members = draw(st.lists(values_for(parameter), min_size=1, max_size=3, unique_by=json_text))
        parameter = evolve(parameter, enum=members)
    if draw(st.booleans()):
        parameter = evolve(parameter, default=draw(values_for(parameter)))
    return parameter


def declarations(
    types: tuple[Type, ...] = TYPES, least: int = 0, most: int = 5
) -> SearchStrategy[dict[str, Parameter]]:
    """The parameters of one pipeline, by key."""
    return st.dictionaries(keys(), parameters(types), min_size=least, max_size=most)


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
    if type_ == "string" and chosen:
        if draw(st.booleans()):
            return {"pattern": draw(st.sampled_from(PATTERNS))}
        least = draw(st.integers(0, 3))
        return _named({"min_length": least, "max_length": draw(st.sampled_from([None, least, least + 6]))})
    return {}


@st.composite
def _ranges(draw: DrawFn, type_: Type) -> dict[str, Any]:
    least = draw(st.integers(-1000, 1000))
    step = draw(st.sampled_from([None, None, 1, 3, 10] if type_ == "integer" else [None, None, 0.1, 0.25, 2, 1.5]))
    # Wide enough for a multiple strictly between the edges.
    most = least + draw(st.integers(25, 1000))
    shift = draw(st.sampled_from([0, 0.5])) if type_ == "number" else 0
    low: dict[str, Any] = draw(st.sampled_from([{}, {"minimum": least + shift}, {"exclusive_minimum": least + shift}]))
    high: dict[str, Any] = draw(st.sampled_from([{}, {"maximum": most}, {"exclusive_maximum": most + shift}]))
    return {**low, **high, "multiple_of": step}


def _named(limits: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in limits.items() if value is not None and value is not False}
