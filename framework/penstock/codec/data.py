"""Records as JSON-able data and times as text: all that listings need, so it imports next to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import PurePath
from typing import Any

import attrs

from penstock.errors import UsageError
from penstock.text import printable

_TIME = re.compile(
    r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)


_PLAIN = frozenset({str, int, float, bool, type(None)})
"""What is JSON as it is: most values are, and a call for each would be half the time of an answer."""


def to_data(record: Any) -> Any:
    """The JSON-able data of any attrs record, and of lists and mappings of them.

    Keys are the attribute names, a trailing underscore dropped; times are RFC 3339 UTC with microseconds, paths
    text, tuples lists. Raises TypeError for what has no JSON form.
    """
    return _writer_for(type(record))(record)  # type: ignore[arg-type]  # a class is hashable


def fields_of(record: Any) -> dict[str, Any]:
    """The fields of an attrs record by the keys of `to_data`, with what they hold as it is."""
    return {key: getattr(record, name) for key, name in _keys(type(record))}  # type: ignore[arg-type]  # a class is hashable


def json_default(value: Any) -> Any:
    """What a JSON encoder asks of what it has no form for; then it writes of a record what `to_data` says."""
    cls = type(value)
    return fields_of(value) if attrs.has(cls) and not hasattr(cls, "to_dict") else to_data(value)


@cache
def _keys(cls: type) -> tuple[tuple[str, str], ...]:
    return tuple((field.name.rstrip("_"), field.name) for field in attrs.fields(cls))


def time_text(time: datetime) -> str:
    """A time as `2026-01-31T12:00:00.000000Z`. A time without a zone counts as UTC, as all our records are."""
    plain = time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
    return plain.isoformat(timespec="microseconds") + "Z"


def read_time(text: str) -> datetime:
    """The UTC time that a text names: RFC 3339, or `2026-01-31 12:00` and `2026-01-31`, which are in UTC.

    Raises UsageError (`time_invalid`).
    """
    if _TIME.fullmatch(text):
        try:
            time = datetime.fromisoformat(text.upper())
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    known = "write RFC 3339, `2026-11-20 13:40` (UTC) or `2026-11-20`"
    raise UsageError(f"`{printable(text[:40])}` is not a time: {known}", code="time_invalid")


@cache
def _writer_for(cls: type) -> Callable[[Any], Any]:
    if hasattr(cls, "to_dict"):
        return lambda record: record.to_dict()
    if attrs.has(cls):
        names = [field.name for field in attrs.fields(cls)]
        keys = [name.rstrip("_") for name in names]
        return lambda record: {
            key: value if type(value) in _PLAIN else to_data(value)
            for key, value in zip(keys, map(partial(getattr, record), names), strict=True)
        }
    if cls in _PLAIN:
        return lambda value: value
    if issubclass(cls, datetime):
        return time_text
    if issubclass(cls, PurePath):
        return str
    if issubclass(cls, Mapping):
        return lambda mapping: {
            str(key): value if type(value) in _PLAIN else to_data(value) for key, value in mapping.items()
        }
    if issubclass(cls, list | tuple):
        return lambda items: [to_data(item) for item in items]
    if issubclass(cls, set | frozenset):
        return lambda items: sorted(to_data(item) for item in items)
    for plain in (str, int, float):
        if issubclass(cls, plain):
            return plain
    raise TypeError(f"{cls.__qualname__} has no JSON form")
