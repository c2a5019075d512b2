"""Values by their type: read, held to what the type allows, and made text. Limits of parameters are in `binding`.

Backends carry the text made here and never a native number, because JSON numbers lose 2**53 + 1.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Literal, TypeAlias

from penstock.text import printable

Type: TypeAlias = Literal["string", "integer", "number", "boolean", "list", "object", "file", "directory"]
"""The types of parameters and outputs."""

TYPES: tuple[Type, ...] = ("string", "integer", "number", "boolean", "list", "object", "file", "directory")
ELSEWHERE: Mapping[str, Type] = {
    **dict.fromkeys(("float", "double", "decimal"), "number"),
    **dict.fromkeys(("int", "long"), "integer"),
    **dict.fromkeys(("str", "text"), "string"),
    **dict.fromkeys(("array", "sequence", "tuple"), "list"),
    **dict.fromkeys(("dict", "map", "mapping"), "object"),
    **dict.fromkeys(("folder", "dir", "path"), "directory"),
    "bool": "boolean",
}
"""What other languages call our types."""
ARTIFACT_TYPES: frozenset[str] = frozenset({"file", "directory"})
"""Types that are a path or URI to content; every other type is a value with a text form."""

Value: TypeAlias = Any
"""A parameter's value as JSON knows it: str, int, float, bool, list, dict. Artifacts are a path or URI (str)."""

MAX_TEXT = 64 * 1024
"""The largest text of one value, in UTF-8 bytes."""
MAX_DEPTH = 100
"""How deep lists and objects may be nested in each other."""

_JSON = frozenset({str, int, float, bool, type(None)})
_NUMPY_KINDS = tuple("biufUO")
"""Truth values, whole numbers, floats, texts and objects; a time or a structure has no JSON form."""


# Members of a text enum are text whose str() is something else.
_TEXT = (str, str.__str__)
_KINDS: dict[str, tuple[Any, Callable[[Any], Value]]] = {
    "string": _TEXT,
    "file": _TEXT,
    "directory": _TEXT,
    "boolean": (bool, bool),
    "integer": (int, int),
    "number": (int | float, float),
    "list": (list | tuple, list),
    "object": (dict, lambda value: value),
}
"""What each type takes, and what makes of that what the type holds."""


class ValueInvalid(ValueError):
    """A value that its type does not allow. `code` is stable."""

    def __init__(self, message: str, code: str = "parameter_type") -> None:
        super().__init__(message)
        self.code = code


class RawValue(str):
    """A value given as text, to be read by its declared type: what `-p name=value` means."""


class OpenedPath(str):
    """A path of this machine that its configuration opened, whoever calls; only a door's own code makes one."""


def plain(value: Any, depth: int = 0) -> Any:
    """A value given from Python as JSON has it: paths as text, numpy's scalars and arrays as the numbers they hold.

    What is neither, nor holds such, stays as it is.
    """
    if type(value) in _JSON or depth > MAX_DEPTH:
        return value
    if isinstance(value, PurePath):
        return os.fspath(value)
    if isinstance(value, dict):
        return {key: plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if _numpy_kind(value) in _NUMPY_KINDS:
        held = value.tolist()
        # A long double has no type of Python's.
        return float(held) if hasattr(held, "dtype") else plain(held, depth + 1)
    return value


def _numpy_kind(value: Any) -> str:
    """The kind of a scalar's or array's numbers, or empty for what is not numpy's, which need not be installed."""
    known = type(value).__module__.partition(".")[0] == "numpy"
    return str(getattr(getattr(value, "dtype", None), "kind", "")) if known else ""


def normalise(type_: Type, value: Any) -> Value:
    """The value as its type holds it: a whole number given for `number` becomes a float, a tuple a list.

    Paths and what is numpy's are taken for what they are, see `plain`. Raises ValueInvalid for any other mismatch; text
    is never read as a number here (see `read_text`).
    """
    value = plain(value)
    # A type that is none is told elsewhere; until then it is some object.
    kind, held = _KINDS.get(type_, _KINDS["object"]) if isinstance(type_, str) else _KINDS["object"]
    if not isinstance(value, kind) or (isinstance(value, bool) and type_ != "boolean"):
        raise ValueInvalid(f"expected {type_}, got {describe(value)}{instead(value)}")
    if type_ in ARTIFACT_TYPES and not value:
        raise ValueInvalid(f"expected the path or URI of a {type_}, got an empty text")
    try:
        return held(value)
    except OverflowError:
        raise ValueInvalid("the number is too large", "parameter_range") from None


def render(type_: Type, value: Value) -> str:
    """The one text of a value. String verbatim; integer decimal; number as `repr(float)`; `true` / `false`;
    list and object as compact JSON with sorted keys. Raises ValueInvalid for what has no text.
    """
    return text_of(type_, normalise(type_, value))


def text_of(type_: Type, value: Value) -> str:
    """The same for a value that `normalise` returned. Raises ValueInvalid."""
    try:
        if type_ in ("list", "object"):
            text = json_text(value)
        elif type_ == "boolean":
            text = "true" if value else "false"
        elif type_ == "number":
            _check_finite(value)
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
            raise ValueInvalid(f"expected boolean (true or false), got `{short(text)}`")
        return stripped.lower() == "true"
    if type_ == "integer":
        if not re.fullmatch(r"[+-]?[0-9]+", stripped):
            raise ValueInvalid(f"expected integer, got `{short(text)}`")
        try:
            return int(stripped)
        except ValueError:
            raise ValueInvalid("the number has too many digits", "parameter_too_large") from None
    if type_ == "number":
        # float() also takes 1_000 and digits of other scripts, which no other reader would.
        plain = re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", stripped, re.A | re.I)
        if not plain:
            raise ValueInvalid(f"expected number, got `{short(text)}`")
        return float(stripped)
    try:
        value = json.loads(stripped)
    except (ValueError, RecursionError):
        raise ValueInvalid(f"expected {type_} as JSON, got `{short(text)}`") from None
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
        return text_of(type_, read_text(type_, text))
    except ValueInvalid as error:
        raise ValueInvalid(str(error), "output_invalid") from None


def json_text(value: Any) -> str:
    """Compact JSON with sorted keys. Raises ValueInvalid for what JSON has no word for."""
    _check_nested(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _check_nested(value: Any, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueInvalid(f"the value is nested more than {MAX_DEPTH} deep", "parameter_too_large")
    if isinstance(value, float):
        _check_finite(value)
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
        raise ValueInvalid(f"{describe(value)} has no JSON form{instead(value)}")


def _check_finite(value: float) -> None:
    if math.isnan(value):
        raise ValueInvalid("NaN is not a value", "parameter_not_finite")
    if math.isinf(value):
        raise ValueInvalid("infinity, or a number that is too large, is not a value", "parameter_not_finite")


def describe(value: Any) -> str:
    """A value in an error message: its type and, when it is short enough to help, itself."""
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "list", dict: "object"}
    name = "nothing" if value is None else names.get(type(value), type(value).__name__)
    if type(value) is float and math.isfinite(value):
        return f"{name} `{value!r}`"  # 3.0 is no integer, and looks like one without its fraction
    return name if value is None or isinstance(value, list | dict) else f"{name} `{short(value)}`"


def instead(value: Any) -> str:
    """What to give instead of a value of Python's that JSON does not have."""
    if isinstance(value, set | frozenset):
        return "; give a list, like `sorted(...)`"
    if isinstance(value, bytes | bytearray):
        return "; give text, like `.decode()`, or a file"
    if hasattr(value, "isoformat") or _numpy_kind(value) in ("M", "m"):
        return "; give its text, like `str(...)`"
    return ""


def short(value: Any) -> str:
    """A value in an error message, cut to 40 characters; a whole number without `.0`."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        text = type(value).__name__
    text = printable(text[:50])
    return text if len(text) <= 40 else text[:37] + "..."
