"""Arguments of verbs as Python gives them: taken for what they are, or refused by their name before anything happens.

What a verb takes is what its signature says, so nothing is said twice. What Python itself would say of a list where a
mapping belongs comes late, without a code, and names nothing that the caller wrote.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from penstock.errors import UsageError
from penstock.spec import Pipeline
from penstock.spec.values import describe, instead, plain

_MOST = 10**100
"""Whole numbers are below it. Python writes no number of thousands of digits, not even into an error."""


class _Unfit(Exception):
    """What is no argument of a kind; its text says what to give instead, if that is known."""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value if type(value) is str else str.__str__(value)  # str() of a text enum is its name


def _whole(value: Any) -> int:
    value = plain(value)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= _MOST:
        raise _Unfit
    return int(value)


def _number(value: Any) -> float:
    value = plain(value)
    if isinstance(value, timedelta):
        raise _Unfit("give its seconds, `.total_seconds()`")
    if isinstance(value, float) and not math.isnan(value):
        return value
    return float(_whole(value))


def _flag(value: Any) -> bool:
    value = plain(value)
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _version(value: Any) -> str | int:
    return _text(value) if isinstance(value, str) else _whole(value)


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise _Unfit
    path = os.fspath(value)
    if not isinstance(path, str):
        raise _Unfit
    return Path(path)


def _named(value: Any) -> str | Path:
    """What may be a name or a path: a text stays one, for what it means depends on how it is written."""
    path = _path(value)
    return _text(value) if isinstance(value, str) else path


def _source(value: Any) -> str | Path | Pipeline:
    return value if isinstance(value, Pipeline) else _named(value)


def _texts(value: Any) -> tuple[str, ...]:
    value = plain(value)
    if isinstance(value, str):
        raise _Unfit(f"write `[{describe(value)[len('string ') :].strip('`')!r}]`")
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise _Unfit
    return tuple(map(_text, value))


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _Unfit("write `dict(...)`" if _is_pairs(value) else "")
    return {_key(name): item for name, item in value.items()}


def _key(name: Any) -> str:
    """A name among others; existing callers have parameters named 1."""
    try:
        return _text(name) if isinstance(name, str) else str(_whole(name))
    except _Unfit:
        raise _Unfit(f"the name {describe(name)} in it is no text") from None


def _tags(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise _Unfit("write `dict(...)`" if _is_pairs(value) else "")
    tags = dict(value)
    for what, text in (*(("name of a tag", name) for name in tags), *((f"tag `{name}`", tags[name]) for name in tags)):
        if not isinstance(text, str):
            raise UsageError(f"the {what} is text, got {describe(text)}")
    return {_text(name): _text(text) for name, text in tags.items()}


def _is_pairs(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, list | tuple) and len(item) == 2 for item in value)


def _time(value: Any) -> datetime:
    if not isinstance(value, datetime):
        raise _Unfit
    return value


def _duration(value: Any) -> timedelta:
    if not isinstance(value, timedelta):
        raise _Unfit("write `timedelta(seconds=...)`" if isinstance(value, int | float) else "")
    return value


def _called(value: Any) -> Any:
    if not callable(value):
        raise _Unfit
    return value


Taken = tuple[str, Callable[[Any], Any]]
_TEXT: Taken = ("text", _text)
KINDS: Mapping[str, Taken] = {
    "str": _TEXT,
    "Access": _TEXT,
    "Kind": _TEXT,
    "RunState": _TEXT,
    "Scope": _TEXT,
    "int": ("a whole number", _whole),
    "float": ("a number", _number),
    "bool": ("true or false", _flag),
    "str | int": ("a version, as text or a whole number", _version),
    "Path": ("a path", _path),
    "str | Path": ("text or a path", _named),
    "Path | str | Pipeline": ("a path or a Pipeline", _source),
    "Sequence[str]": ("a list of texts", _texts),
    "Mapping[str, str]": ("a mapping from text to text", _tags),
    "Mapping[str, Any]": ("a mapping from names to values", _mapping),
    "datetime": ("a time, like `datetime.now(UTC)`", _time),
    "timedelta": ("a `timedelta`", _duration),
    "Progress": ("something to call", _called),
    "Callable[[RunRecord], None]": ("something to call", _called),
}
"""What the annotations of verbs mean: in words, and what takes such a value or says that it is none."""
_OPEN = {
    "folder": "str | Path | None",
    "config": "Path | None",
    "env": "Mapping[str, Any] | None",
    "flags": "Mapping[str, Any] | None",
    "actor": "str | None",
    "door": "str",
}
OPTIONAL = " | None"
"""What stands behind the annotation of an argument that may be None."""


def taken(annotations: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call as the annotations, which are texts, say: numpy's scalars as numbers, paths as paths.

    Raises UsageError for the first that is something else.
    """
    return {name: _take(name, annotations[name], value) for name, value in given.items()}


def opened(**given: Any) -> dict[str, Any]:
    """The same of the arguments that a workspace is opened with."""
    return taken(_OPEN, given)


def _take(name: str, annotation: str, value: Any) -> Any:
    if value is None and annotation.endswith(OPTIONAL):
        return None
    words, take = KINDS[annotation.removesuffix(OPTIONAL)]
    try:
        return take(value)
    except _Unfit as error:
        hint = str(error) or instead(value).removeprefix("; ")
        message = f"`{name}` is {words}, got {describe(value)}"
    raise UsageError(message + (f"; {hint}" if hint else ""))
