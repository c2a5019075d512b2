"""Values of a parameter: those within all its limits, and those outside, each with the code that must be told."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from penstock.spec import Parameter, Value
from penstock.spec.patterns import matches
from penstock.testing.strategies.text import characters, hostile_text, keys

MAX_BYTES = 64 * 1024
"""The largest text of one value, in bytes."""

EXACT = (0.0, -0.0, 0.1, 1.0, 1e16, 1e22, 1e308, -1e-308, 5e-324, 2.0**53, 1 / 3)
WHOLE = (0, 1, -1, 2**31, 2**53 + 1, -(2**63) - 1, 2**64, 10**40)


def values_for(parameter: Parameter) -> SearchStrategy[Value]:
    """Values that a parameter takes: within every limit that it has, its edges among them."""
    if parameter.enum is not None:
        return st.sampled_from(parameter.enum)
    makers: dict[str, Callable[[Parameter], SearchStrategy[Any]]] = {
        "string": _texts,
        "integer": _integers,
        "number": _numbers,
        "boolean": lambda parameter: st.booleans(),
        "list": _lists,
        "object": _objects,
        "file": _texts,
        "directory": _texts,
    }
    return makers[parameter.type](parameter)


def values_outside(parameter: Parameter) -> SearchStrategy[tuple[Value, str]]:
    """Values that a parameter refuses, each with the code of the refusal.

    Of another type, without a text form (NaN, infinities, NUL, lone surrogates, more than 64 KiB, nested too deep),
    and just outside of every limit that the parameter has.
    """
    return st.sampled_from(refused(parameter))


def refused(parameter: Parameter) -> list[tuple[Value, str]]:
    """Every kind of value that a parameter refuses, each with the code of the refusal."""
    return [*_mistyped(parameter), *_unwritable(parameter), *_out_of_limits(parameter)]


def json_values() -> SearchStrategy[Any]:
    """Anything JSON has a word for, numbers that are hard to keep among them."""
    numbers = st.sampled_from(EXACT) | st.floats(allow_nan=False, allow_infinity=False)
    leaves = st.none() | st.booleans() | st.sampled_from(WHOLE) | st.integers() | numbers | hostile_text()
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text(), inner, max_size=3),
        max_leaves=6,
    )


def json_text(value: Any) -> str:
    """A value as JSON in which 1, 1.0 and true are different things."""
    return json.dumps(value, sort_keys=True)


def _texts(parameter: Parameter) -> SearchStrategy[str]:
    # A path is never empty.
    least, most = max(parameter.min_length or 0, parameter.type != "string"), parameter.max_length
    if parameter.pattern is not None:
        # Python's `$` and `\s` are a little wider than those of the dialect that patterns are in.
        matching = st.from_regex(re.compile(parameter.pattern, re.ASCII), alphabet=characters)
        fitting = matching.filter(lambda text: least <= len(text) and (most is None or len(text) <= most))
        return fitting.filter(lambda text: matches(str(parameter.pattern), text))
    if parameter.min_length is not None or most is not None:
        return st.text(characters, min_size=least, max_size=least + 60 if most is None else most)
    usual = {"file": keys().map("./{}.csv".format), "directory": keys().map("data/{}".format)}
    return usual.get(parameter.type, hostile_text())


def _integers(parameter: Parameter) -> SearchStrategy[int]:
    floor, ceiling = _bounds(parameter)
    least = None if floor is None else floor[0] + 1 if floor[1] and floor[0] == int(floor[0]) else floor[0]
    most = None if ceiling is None else ceiling[0] - 1 if ceiling[1] and ceiling[0] == int(ceiling[0]) else ceiling[0]
    if parameter.multiple_of is not None:
        return _multiples(parameter, least, most).map(int)
    if least is None and most is None:
        return st.sampled_from(WHOLE) | st.integers()
    low, high = (None if least is None else math.ceil(least)), (None if most is None else math.floor(most))
    return st.integers(low, high) | st.sampled_from([edge for edge in (low, high) if edge is not None])


def _numbers(parameter: Parameter) -> SearchStrategy[float]:
    floor, ceiling = _bounds(parameter)
    if parameter.multiple_of is not None:
        least, most = (None if floor is None else floor[0]), (None if ceiling is None else ceiling[0])
        inside = [(edge[0], edge[1]) for edge in (floor, ceiling) if edge is not None]
        return _multiples(parameter, least, most).filter(lambda value: (value, True) not in inside)
    if floor is None and ceiling is None:
        return st.sampled_from(EXACT) | st.floats(allow_nan=False, allow_infinity=False)
    return st.floats(
        None if floor is None else floor[0],
        None if ceiling is None else ceiling[0],
        exclude_min=floor is not None and floor[1],
        exclude_max=ceiling is not None and ceiling[1],
        allow_nan=False,
        allow_infinity=False,
    )


def _bounds(parameter: Parameter) -> tuple[tuple[float, bool] | None, tuple[float, bool] | None]:
    """The lowest and the highest value, each with whether it is itself outside."""
    p = parameter
    least = [(p.minimum, False)] if p.minimum is not None else []
    least += [(p.exclusive_minimum, True)] if p.exclusive_minimum is not None else []
    most = [(p.maximum, False)] if p.maximum is not None else []
    most += [(p.exclusive_maximum, True)] if p.exclusive_maximum is not None else []
    floor = max(least, default=None)
    ceiling = min(most, key=lambda edge: (edge[0], not edge[1]), default=None)
    return floor, ceiling


def _multiples(parameter: Parameter, least: float | None, most: float | None) -> SearchStrategy[float]:
    step = Decimal(repr(parameter.multiple_of))
    low = -1000 if least is None else math.ceil(Decimal(repr(least)) / step)
    high = low + 1000 if most is None else math.floor(Decimal(repr(most)) / step)
    # By the digits as they are written: 3 * 0.1 is 0.3 here.
    return st.integers(min(low, high), high).map(lambda count: float(count * step))


def _lists(parameter: Parameter) -> SearchStrategy[list[Any]]:
    least = parameter.min_items or 0
    most = least + 5 if parameter.max_items is None else parameter.max_items
    return st.lists(
        json_values(), min_size=least, max_size=most, unique_by=json_text if parameter.unique_items else None
    )


def _objects(parameter: Parameter) -> SearchStrategy[dict[str, Any]]:
    least = parameter.min_properties or 0
    most = least + 4 if parameter.max_properties is None else parameter.max_properties
    return st.dictionaries(hostile_text(), json_values(), min_size=least, max_size=most)


def _mistyped(parameter: Parameter) -> Iterator[tuple[Value, str]]:
    wrong: dict[str, tuple[Any, ...]] = {
        "string": (1, 1.0, True, ["a"], {"a": 1}),
        "integer": (1.0, "1", True, [1], {}, math.nan),
        "number": ("1.5", True, [1.5], {}),
        "boolean": (0, 1, "true", []),
        "list": ("[1]", {"a": 1}, 1, [{1: 2}]),
        "object": ([], "{}", 1, {1: 2}),
        "file": (1, "", [], True),
        "directory": (1, "", {}, False),
    }
    yield from ((value, "parameter_type") for value in (None, *wrong[parameter.type]))


def _unwritable(parameter: Parameter) -> Iterator[tuple[Value, str]]:
    deep: Any = 1
    for _ in range(150):
        deep = [deep]
    texts = [
        ("a\0b", "parameter_text"),
        ("\ud800", "parameter_text"),
        ("é" * (MAX_BYTES // 2 + 1), "parameter_too_large"),
    ]
    endless = [(value, "parameter_not_finite") for value in (math.nan, math.inf, -math.inf)]
    within = [*texts, *endless, (deep, "parameter_too_large")]
    if parameter.type in ("string", "file", "directory"):
        yield from texts
    elif parameter.type == "integer":
        yield 10**5000, "parameter_too_large"
    elif parameter.type == "number":
        yield from endless
        yield 10**400, "parameter_range"
    elif parameter.type == "list":
        yield from (([1, value], code) for value, code in within)
    elif parameter.type == "object":
        yield from (({"a": value}, code) for value, code in within)
        yield {"a\0": 1}, "parameter_text"


def _out_of_limits(parameter: Parameter) -> Iterator[tuple[Value, str]]:
    p = parameter
    if p.enum is not None:
        strangers: dict[str, tuple[Any, ...]] = {
            "string": ("stranger",), "file": ("./stranger",), "directory": ("./stranger",), "integer": (987654321,),
            "number": (0.987654321,), "boolean": (True, False), "list": (["stranger"],), "object": ({"stranger": 1},),
        }  # fmt: skip
        known = {json_text(float(item) if p.type == "number" else item) for item in p.enum}
        yield from ((value, "parameter_enum") for value in strangers[p.type] if json_text(value) not in known)
    number: type[int] | type[float] = int if p.type == "integer" else float
    if p.minimum is not None:
        yield number(math.ceil(p.minimum) - 1), "parameter_range"
    if p.maximum is not None:
        yield number(math.floor(p.maximum) + 1), "parameter_range"
    if p.exclusive_minimum is not None:
        yield number(math.floor(p.exclusive_minimum)), "parameter_range"
    if p.exclusive_maximum is not None:
        yield number(math.ceil(p.exclusive_maximum)), "parameter_range"
    if p.multiple_of is not None and (p.type == "number" or p.multiple_of > 1):
        half = Decimal(repr(p.multiple_of)) / 2
        yield (1 if p.type == "integer" else float(half)), "parameter_range"
    if p.min_length and (p.min_length > 1 or p.type == "string"):
        yield "a" * (p.min_length - 1), "parameter_range"
    if p.max_length is not None:
        yield "a" * (p.max_length + 1), "parameter_range"
    if p.pattern is not None:
        yield "\x01 no \x01", "parameter_pattern"
    if p.min_items:
        yield list(range(p.min_items - 1)), "parameter_range"
    if p.max_items is not None:
        yield list(range(p.max_items + 1)), "parameter_range"
    if p.unique_items:
        yield [1, 2, 1], "parameter_range"
    if p.min_properties:
        yield {str(number): 0 for number in range(p.min_properties - 1)}, "parameter_range"
    if p.max_properties is not None:
        yield {str(number): 0 for number in range(p.max_properties + 1)}, "parameter_range"
