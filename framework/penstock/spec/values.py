"""Values of parameters and outputs: read by type, checked against limits, and made text exactly once.

Backends carry the text made here and never a native number, because JSON numbers lose 2**53 + 1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from penstock.errors import Problem
from penstock.spec import Parameter, Type, Value
from penstock.text import printable

MAX_TEXT = 64 * 1024
"""The largest text of one value, in UTF-8 bytes."""
MAX_DEPTH = 100
"""How deep lists and objects may be nested in each other."""


class ValueInvalid(ValueError):
    """A value that its type does not allow. `code` is stable."""

    def __init__(self, message: str, code: str = "parameter_type") -> None:
        super().__init__(message)
        self.code = code


class RawValue(str):
    """A value given as text, to be read by its declared type: what `-p name=value` means."""


def normalise(type_: Type, value: Any) -> Value:
    """The value as its type holds it: a whole number given for `number` becomes a float, a tuple a list.

    Raises ValueInvalid for any other mismatch; text is never read as a number here (see `read_text`).
    """
    if type_ in ("string", "file", "directory"):
        if not isinstance(value, str):
            raise ValueInvalid(f"expected {type_}, got {describe(value)}")
        if type_ != "string" and not value:
            raise ValueInvalid(f"expected the path or URI of a {type_}, got an empty text")
        # Members of a text enum are text whose str() is something else.
        value = str.__str__(value)
    elif type_ == "boolean":
        if not isinstance(value, bool):
            raise ValueInvalid(f"expected boolean, got {describe(value)}")
    elif type_ == "integer":
        if isinstance(value, bool) or not isinstance(value, int):
            raise ValueInvalid(f"expected integer, got {describe(value)}")
        value = int(value)
    elif type_ == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueInvalid(f"expected number, got {describe(value)}")
        try:
            value = float(value)
        except OverflowError:
            raise ValueInvalid("the number is too large", "parameter_range") from None
    elif type_ == "list":
        if not isinstance(value, list | tuple):
            raise ValueInvalid(f"expected list, got {describe(value)}")
        value = list(value)
    elif not isinstance(value, dict):
        raise ValueInvalid(f"expected object, got {describe(value)}")
    return value


def render(type_: Type, value: Value) -> str:
    """The one text of a value. String verbatim; integer decimal; number as `repr(float)`; `true` / `false`;
    list and object as compact JSON with sorted keys. Raises ValueInvalid for what has no text.
    """
    value = normalise(type_, value)
    try:
        if type_ in ("list", "object"):
            text = _json(value)
        elif type_ == "boolean":
            text = "true" if value else "false"
        elif type_ == "number":
            if not math.isfinite(value):
                raise ValueInvalid("NaN and infinity are not values", "parameter_not_finite")
            text = repr(value)
        else:
            text = str(value)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ValueInvalid("the text holds a lone surrogate, which is not Unicode text", "parameter_text") from None
    except ValueError as error:
        if isinstance(error, ValueInvalid):
            raise
        # Python refuses to write integers of more than 4,300 digits.
        raise ValueInvalid("the number has too many digits", "parameter_too_large") from None
    if "\0" in text:
        raise ValueInvalid("the text holds a NUL character, which no argument can carry", "parameter_text")
    if size > MAX_TEXT:
        raise ValueInvalid(f"the value is {size:,} bytes of text; at most {MAX_TEXT:,}", "parameter_too_large")
    return text


def read_text(type_: Type, text: str) -> Value:
    """Read a value from text by its declared type, as `-p name=value` and the v1 wire give it.

    Booleans are `true` and `false` in any case. Raises ValueInvalid.
    """
    if type_ in ("string", "file", "directory"):
        return normalise(type_, text)
    stripped = text.strip()
    if type_ == "boolean":
        if stripped.lower() not in ("true", "false"):
            raise ValueInvalid(f"expected boolean (true or false), got `{_short(text)}`")
        return stripped.lower() == "true"
    if type_ == "integer":
        if not re.fullmatch(r"[+-]?[0-9]+", stripped):
            raise ValueInvalid(f"expected integer, got `{_short(text)}`")
        try:
            return int(stripped)
        except ValueError:
            raise ValueInvalid("the number has too many digits", "parameter_too_large") from None
    if type_ == "number":
        # float() also takes 1_000 and digits of other scripts, which no other reader would.
        plain = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", stripped, re.A | re.I)
        if not plain:
            raise ValueInvalid(f"expected number, got `{_short(text)}`")
        return float(stripped)
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        raise ValueInvalid(f"expected {type_} as JSON, got `{_short(text)}`") from None
    return normalise(type_, value)


def read_output(type_: Type, data: bytes) -> str:
    """The canonical text of a value output from the bytes a step wrote. Raises ValueInvalid.

    A string is kept verbatim; every other type is read with surrounding white space ignored, so that both
    `print(0.5)` and `printf 0.5` count.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise ValueInvalid(f"expected {type_} as UTF-8 text, got other bytes", "output_invalid") from None
    try:
        return render(type_, read_text(type_, text))
    except ValueInvalid as error:
        raise ValueInvalid(str(error), "output_invalid") from None


def check(parameter: Parameter, value: Value) -> Iterator[Problem]:
    """Everything that is wrong with a value for this parameter: type, text form and limits."""
    try:
        value = normalise(parameter.type, value)
        render(parameter.type, value)
    except ValueInvalid as error:
        yield Problem(error.code, str(error))
        return
    for code, message in _broken_limits(parameter, value):
        yield Problem(code, message)


def _broken_limits(parameter: Parameter, value: Value) -> Iterator[tuple[str, str]]:
    p, shown = parameter, _short(value)
    if p.enum is not None and not any(_same(p.type, item, value) for item in p.enum):
        yield "parameter_enum", f"{shown} is none of {', '.join(_short(item) for item in p.enum)}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        if p.minimum is not None and value < p.minimum:
            yield "parameter_range", f"{shown} is less than the minimum {_short(p.minimum)}"
        if p.maximum is not None and value > p.maximum:
            yield "parameter_range", f"{shown} is greater than the maximum {_short(p.maximum)}"
        if p.exclusive_minimum is not None and value <= p.exclusive_minimum:
            yield "parameter_range", f"{shown} is not greater than {_short(p.exclusive_minimum)}"
        if p.exclusive_maximum is not None and value >= p.exclusive_maximum:
            yield "parameter_range", f"{shown} is not less than {_short(p.exclusive_maximum)}"
        if p.multiple_of and not _is_multiple(value, p.multiple_of):
            yield "parameter_range", f"{shown} is not a multiple of {_short(p.multiple_of)}"
    elif isinstance(value, str):
        yield from _length(len(value), p.min_length, p.max_length, "characters")
        if p.pattern is not None and not re.search(p.pattern, value):
            yield "parameter_pattern", f"{shown} does not match the pattern `{p.pattern}`"
    elif isinstance(value, list):
        yield from _length(len(value), p.min_items, p.max_items, "items")
        if p.unique_items and len({_json(item) for item in value}) < len(value):
            yield "parameter_range", "the items are not unique"
    elif isinstance(value, dict):
        yield from _length(len(value), p.min_properties, p.max_properties, "properties")


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


def _same(type_: Type, item: Any, value: Value) -> bool:
    try:
        return render(type_, item) == render(type_, value)
    except ValueInvalid:
        return False


def _json(value: Any) -> str:
    """Compact JSON with sorted keys; refuses what JSON has no word for. Raises ValueInvalid."""
    _check_nested(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check_nested(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueInvalid(f"the value is nested more than {MAX_DEPTH} deep", "parameter_too_large")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueInvalid("NaN and infinity are not values", "parameter_not_finite")
    if isinstance(value, str) and "\0" in value:
        raise ValueInvalid("the text holds a NUL character, which no argument can carry", "parameter_text")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueInvalid(f"keys of an object are text, got {describe(key)}")
            _check_nested(key, depth)
            _check_nested(item, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_nested(item, depth + 1)
    elif value is not None and not isinstance(value, str | int | float | bool):
        raise ValueInvalid(f"{describe(value)} has no JSON form")


def describe(value: Any) -> str:
    """A value in an error message: its type and, when it is short enough to help, itself."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "object"}
    name = "nothing" if value is None else names.get(type(value), type(value).__name__)
    return name if value is None or isinstance(value, list | dict) else f"{name} `{_short(value)}`"


def _short(value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    text = printable(text[:50])
    return text if len(text) <= 40 else text[:37] + "..."
