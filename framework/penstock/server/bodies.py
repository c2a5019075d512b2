"""Reading what callers send: JSON whatever its content type says, query values and conditions, with clear errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from attrs import evolve, frozen

from penstock.codec import read_json
from penstock.contract.http import HttpRequest
from penstock.errors import UsageError, did_you_mean
from penstock.spec.values import describe
from penstock.text import printable


@frozen
class Key:
    """A key of a body: the types that it takes, the JSON Schema that says so, whether it must be there, and what errors
    call what it takes, by its types unless given.
    """

    types: tuple[type, ...]
    schema: Mapping[str, Any]
    required: bool = False
    called: str = ""

    @property
    def needed(self) -> Key:
        """The same, which must be there."""
        return evolve(self, required=True)


TEXT = Key((str,), {"type": "string"})
NAME = Key((str,), {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^/:@]+$"})
REFERENCE = Key((str,), {"type": "string", "minLength": 1, "description": "An id or a name."})
EXPERIMENT = Key((str,), {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"})
FLAG = Key((bool,), {"type": "boolean"})
VERSION = Key((str, int), {"type": ["string", "integer"], "description": "The number of a version, like `0`."})
ACCESS = Key((str,), {"type": "string", "enum": ["private", "public"]})
SECONDS = Key(
    (int,),
    {"type": "integer", "minimum": 1, "maximum": 604_800, "description": "In seconds."},
    called="a whole number of seconds, like 600",
)
TAGS = Key((dict,), {"type": "object", "additionalProperties": {"type": "string"}})
OBJECT = Key((dict,), {"type": "object"})


Data: TypeAlias = dict[str, Any]
"""A body that was read: the keys that were given."""


def read_object(request: HttpRequest, keys: Mapping[str, Key]) -> Data:
    """The body as an object with nothing but known keys of their types; `null` counts as left out.

    Raises UsageError that names the key.
    """
    data = read_json(request.body)
    if not isinstance(data, dict):
        raise UsageError(f"the body is a JSON object, got {describe(data)}", code="json_invalid")
    for key, value in data.items():
        if key not in keys:
            hint = did_you_mean(key, keys) or "it takes none"
            raise UsageError(
                f"the body has a key `{printable(key[:80])}` that is not read ({hint})", code="unknown_key"
            )
        types = keys[key].types
        if value is not None and (not isinstance(value, types) or (isinstance(value, bool) and bool not in types)):
            names = keys[key].called or " or ".join(_JSON_NAMES[each] for each in types)
            raise UsageError(f"`{key}` is {names}, got {describe(value)}", code="type_mismatch")
        if keys[key] == TAGS and isinstance(value, dict):
            _check_tags(key, value)
    given = {key: value for key, value in data.items() if value is not None}
    missing = [f"`{key}`" for key, about in keys.items() if about.required and key not in given]
    if missing:
        raise UsageError(f"the body needs {' and '.join(missing)}", code="missing_key")
    return given


def _check_tags(key: str, tags: Mapping[str, Any]) -> None:
    for name, value in tags.items():
        if not isinstance(value, str):
            raise UsageError(
                f"the tag `{printable(name[:80])}` in `{key}` is text, got {describe(value)}", code="type_mismatch"
            )


def one(request: HttpRequest, name: str) -> str | None:
    """The one value of a query parameter, or None. Raises UsageError when it is there twice."""
    values = request.query.get(name, ())
    if len(values) > 1:
        raise UsageError(f"the query has `{name}` {len(values)} times; say it once")
    return values[0] if values else None


def only(request: HttpRequest, *known: str) -> None:
    """Refuse query parameters that are not read. Raises UsageError."""
    for name in request.query:
        if name not in known:
            hint = did_you_mean(name, known) or "it takes none"
            raise UsageError(f"the query has `{printable(name[:80])}`, which is not read ({hint})", code="unknown_key")


def flag(request: HttpRequest, name: str) -> bool:
    """A query parameter that is `true` or `false`, or left out."""
    text = one(request, name)
    if text in ("true", "1", ""):
        return True
    if text in (None, "false", "0"):
        return False
    raise UsageError(f"`{name}` is true or false, got `{printable((text or '')[:40])}`", code="value_invalid")


def number(request: HttpRequest, name: str, default: int, *, least: int = 0, most: int = 100_000) -> int:
    """A query parameter that is a whole number within limits."""
    text = one(request, name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise UsageError(
            f"`{name}` is a whole number from {least} to {most}, got `{printable(text[:40])}`", code="value_invalid"
        )
    return int(text)


def expected_revision(request: HttpRequest) -> int | None:
    """The revision that `If-Match` asks for, as our ETags write it; `*` and no header ask for none.

    Raises UsageError.
    """
    text = request.headers.get("if-match", "*").strip()
    if text == "*":
        return None
    digits = text.removeprefix('"').removesuffix('"')
    if not (text == f'"{digits}"' and digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise UsageError(f'`If-Match` is an ETag of ours like `"3"`, or `*`, got `{printable(text[:40])}`')
    return int(digits)


_JSON_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: "an object", list: "a list"}
