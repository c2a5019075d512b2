"""What the classes of the spec have in common: how they are shown, and how mappings and names are taken in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import fields

from penstock.errors import SpecInvalid
from penstock.spec.keys import default_of
from penstock.spec.values import plain


def mapping(value: Mapping[Any, Any] | None) -> dict[str, Any]:
    """A mapping as a dict, with text keys where they are text or whole numbers.

    What is no mapping stays as it is, as a key that is none: the check of the pipeline says where it stands.
    """
    if value is None or not isinstance(value, Mapping):
        return {} if value is None else value
    return {_key(key): item for key, item in value.items()}


def _key(key: Any) -> Any:
    # Existing callers have parameters named 1: an integer key is read as text.
    key = key if isinstance(key, tuple) else plain(key)
    return str(key) if isinstance(key, int) and not isinstance(key, bool) and abs(key) < _LARGEST else key


def names(value: Sequence[str] | None) -> tuple[str, ...]:
    """A list of names as a tuple; what is no list stays as it is, see `mapping`. Raises NamesInvalid for a text."""
    if isinstance(value, str):
        # A text is a sequence too, of its letters, which nobody means.
        raise NamesInvalid(f"expected a list of names: write `[{value}]`", code="type_mismatch")
    return () if value is None else listed(value)


def listed(value: Any) -> Any:
    """A list of any kind as a tuple; what has no order, or is none, stays as it is, see `mapping`."""
    value = plain(value)
    other = isinstance(value, str | bytes | bytearray | memoryview | set | frozenset | Mapping)
    return value if other or not isinstance(value, Iterable) else tuple(map(plain, value))


_LARGEST = 2**63
"""Python writes no number of thousands of digits."""


class NamesInvalid(SpecInvalid, ValueError):
    """What is one text where a list of names belongs."""


class Shown:
    """Shown by what it says itself: attributes that are as they would be anyway are left out."""

    __slots__ = ()

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" if name else repr(value) for name, value in _given(self))
        return f"{type(self).__name__}({said})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython and hypothesis show, over several lines if need be."""
        name = type(self).__name__
        with printer.group(len(name) + 1, f"{name}(", ")"):
            for number, (key, value) in enumerate(_given(self)):
                if number:
                    printer.text(",")
                    printer.breakable()
                printer.text(f"{key}=" if key else "")
                printer.pretty(value)


def _given(thing: Any) -> list[tuple[str, Any]]:
    """The attributes of a thing that differ from their defaults, by name; "" for one that is given without it."""
    found = []
    for one in fields(type(thing)):
        value = getattr(thing, one.name)
        default = default_of(one.default)
        if type(value) is not type(default) or value != default:
            found.append((one.name if one.kw_only else "", value))
    return found
