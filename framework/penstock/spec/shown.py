"""What the classes of the spec have in common: how they are shown, and how mappings and names are taken in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import fields

from penstock.spec.keys import default_of


def mapping(value: Mapping[Any, Any] | None) -> dict[str, Any]:
    """A mapping as a dict with text keys."""
    # Existing callers have parameters named 1: an integer key is read as text.
    return {str(key): item for key, item in (value or {}).items()}


def names(value: Sequence[str] | None) -> tuple[str, ...]:
    """A list of names as a tuple. Raises ValueError for a text."""
    if isinstance(value, str):
        # A text is a sequence too, of its letters, which nobody means.
        raise ValueError(f"expected a list of names: write `[{value}]`")
    return tuple(value or ())


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
        if value != default or type(value) is not type(default):
            found.append((one.name if one.kw_only else "", value))
    return found
