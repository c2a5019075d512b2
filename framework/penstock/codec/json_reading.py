"""JSON as callers send it over HTTP, read strictly: what two readers would read differently is refused."""

from __future__ import annotations

import json
import math
from typing import Any

from penstock.errors import UsageError
from penstock.text import printable

MAX_DEPTH = 100
"""How deep JSON may be nested."""


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. An empty body is an empty object, because callers leave out what is `{}`.

    A key that is there twice is refused, and so are NaN, infinities and numbers beyond what a float holds. Raises
    UsageError `json_invalid`.
    """
    if not body.strip():
        return {}
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(f"it is not UTF-8 text (byte {error.start})") from None
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:  # int() refuses more than 4300 digits
        raise _invalid("it holds a number with too many digits") from None
    # What opens fewer than so many is no deeper, and needs no walk.
    if body.count(b"{") + body.count(b"[") >= MAX_DEPTH and _is_deep(value):
        raise _too_deep()
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise UsageError(f"the body has the key `{printable(twice[:80])}` twice", code="duplicate_key")
    return made


def _constant(name: str) -> Any:
    raise _invalid(f"{name} is not JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _invalid("it holds a number that is too large")
    return value


_decode = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float).decode


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True


def _invalid(why: str) -> UsageError:
    return UsageError(f"the body is not JSON: {why}", code="json_invalid")


def _too_deep() -> UsageError:
    return UsageError(f"the body is nested deeper than {MAX_DEPTH} levels", code="json_invalid")
