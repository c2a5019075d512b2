"""Values of parameters: held to the declared type and limits, with all that is wrong in one answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import frozen

from penstock.errors import Problem
from penstock.spec import patterns
from penstock.spec.parameters import HIDDEN, Parameter
from penstock.spec.values import (
    RawValue,
    Type,
    Value,
    ValueInvalid,
    json_text,
    normalise,
    read_text,
    render,
    short,
    text_of,
)


@frozen
class Bound:
    """A value as its parameter holds it, its one text, and what is wrong with it.

    With problems, `value` and `text` are no use: they may be what was given, and empty.
    """

    value: Value
    text: str
    problems: tuple[Problem, ...] = ()


def bind(parameter: Parameter, value: Value) -> Bound:
    """Hold a value to its parameter: type, text form and limits, each looked at once.

    A `RawValue` is read by the declared type first. None is no value, which an optional parameter may have: no limit
    is asked of it, and its text is empty. Paths of the problems are empty.
    """
    if value is None and parameter.optional:
        return Bound(None, "")
    try:
        typed = read_text(parameter.type, value) if isinstance(value, RawValue) else normalise(parameter.type, value)
        text = text_of(parameter.type, typed)
    except ValueInvalid as error:
        message = f"expected {parameter.type}, got something else" if parameter.sensitive else str(error)
        return Bound(value, "", (Problem(error.code, message),))

    def shown() -> str:
        if parameter.sensitive:
            return HIDDEN
        return short(value).strip() or ("an empty text" if value == "" else "a blank text")

    broken = tuple([Problem(code, message) for code, message in _broken_limits(parameter, typed, text, shown)])
    return Bound(typed, text, broken)


def _broken_limits(p: Parameter, value: Value, text: str, shown: Callable[[], str]) -> Iterator[tuple[str, str]]:
    """What a value breaks, with codes; `shown` is the value as it was given, for which most have no use."""
    if p.enum is not None and not any(_is_written(p.type, item, text) for item in p.enum):
        yield "parameter_enum", f"{shown()} is none of {', '.join(short(item) for item in p.enum)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if p.minimum is not None and value < p.minimum:
            yield "parameter_range", f"{shown()} is less than the minimum {short(p.minimum)}"
        if p.maximum is not None and value > p.maximum:
            yield "parameter_range", f"{shown()} is greater than the maximum {short(p.maximum)}"
        if p.exclusive_minimum is not None and value <= p.exclusive_minimum:
            yield "parameter_range", f"{shown()} is not greater than {short(p.exclusive_minimum)}"
        if p.exclusive_maximum is not None and value >= p.exclusive_maximum:
            yield "parameter_range", f"{shown()} is not less than {short(p.exclusive_maximum)}"
        if p.multiple_of and not _is_multiple(value, p.multiple_of):
            yield "parameter_range", f"{shown()} is not a multiple of {short(p.multiple_of)}"
    elif isinstance(value, str):
        yield from _length(len(value), p.min_length, p.max_length, "characters")
        if p.pattern is not None:
            yield from _unmatched(p.pattern, value, shown)
    elif isinstance(value, list):
        yield from _length(len(value), p.min_items, p.max_items, "items")
        if p.unique_items and len({json_text(item) for item in value}) < len(value):
            yield "parameter_range", "the items are not unique"
    elif isinstance(value, dict):
        yield from _length(len(value), p.min_properties, p.max_properties, "properties")


def _unmatched(pattern: str, value: str, shown: Callable[[], str]) -> Iterator[tuple[str, str]]:
    try:
        if not patterns.matches(pattern, value):
            yield "parameter_pattern", f"{shown()} does not match the pattern `{pattern}`"
    except patterns.PatternInvalid as error:
        # It was read when it was published, by another release of the engine: nothing passes unchecked.
        yield "parameter_pattern", f"{shown()} cannot be held to the pattern `{pattern}`: {error}"


def _length(size: int, least: int | None, most: int | None, what: str) -> Iterator[tuple[str, str]]:
    if least is not None and size < least:
        yield "parameter_range", f"{size} {what} are fewer than {least}"
    if most is not None and size > most:
        yield "parameter_range", f"{size} {what} are more than {most}"


def _is_multiple(value: int | float, of: int | float) -> bool:
    from decimal import Context, Decimal

    # Decimals of the written digits: 0.3 is a multiple of 0.1, as everybody who writes it means.
    number, step = (Decimal(repr(float(n)) if isinstance(n, float) else n) for n in (value, of))
    # The quotient must fit: floats span 632 decimal places, whole numbers have as many digits as they have.
    context = Context(prec=700 + len(number.as_tuple().digits) + len(step.as_tuple().digits), traps=[])
    return not context.remainder(number, step)


def _is_written(type_: Type, item: Value, text: str) -> bool:
    try:
        return render(type_, item) == text
    except ValueInvalid:
        return False
