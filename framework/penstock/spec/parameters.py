"""Parameters and outputs: their types, defaults and limits. Values are checked in `binding`, limits in `checks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from attrs import field, frozen

from penstock.spec.keys import KEY, REQUIRED, Key
from penstock.spec.shown import Shown, listed
from penstock.spec.values import ARTIFACT_TYPES, Type, Value, ValueInvalid, normalise, plain


def _choices(value: Sequence[Value] | None) -> tuple[Value, ...] | None:
    return None if value is None else listed(value)


def _typed(parameter: Parameter, value: Value) -> Value:
    """A value as the parameter's type holds it; one that does not fit as it is, for the check to tell."""
    try:
        return normalise(parameter.type, value)
    except ValueInvalid:
        return value


def _typed_each(parameter: Parameter, values: Any) -> Any:
    return [_typed(parameter, value) for value in values] if isinstance(values, tuple) else values


def _limit(parameter: Parameter, limit: Any) -> Any:
    # `minimum: 1` and `minimum: 1.0` say the same, so they are written the same.
    if parameter.type == "integer" and isinstance(limit, float) and limit.is_integer():
        return int(limit)
    return _typed(parameter, limit) if parameter.type == "number" else limit


HIDDEN = "***"
"""What is shown in place of the value of a sensitive parameter."""

_VALUE = {KEY: Key(own_rules=True, written=_typed, null=True)}
_VALUES = {KEY: Key(own_rules=True, written=_typed_each)}
_LIMIT = {KEY: Key(written=_limit)}


@frozen(kw_only=True, repr=False)
class Parameter(Shown):
    """One parameter of a pipeline: its type, its default and its JSON-Schema limits.

    `type` is what its values are. `default` is the value of a trigger that gives none; without it the parameter is
    required, and with `null` it is optional: it may have no value, and then an argument or variable that says nothing
    else is left out, with the option in front of it. `description` is for people. The value of a `sensitive` parameter
    is shown to nobody and kept only for as long as its run needs it; every trigger and rerun gives it. `enum` lists the
    values that there may be. A number or integer is at least `minimum` and at most `maximum`, more than
    `exclusive_minimum` and less than `exclusive_maximum`, and a multiple of `multiple_of`. A text, path or URI has from
    `min_length` to `max_length` characters, and `pattern` is found anywhere in it, in the dialect of RE2. A list has
    from `min_items` to `max_items` items, all different with `unique_items`. An object has from `min_properties` to
    `max_properties` properties.
    """

    type: Type = field(kw_only=False)
    default: Value = field(default=REQUIRED, converter=plain, metadata=_VALUE)
    description: str = ""
    sensitive: bool = field(default=False, converter=plain)
    enum: tuple[Value, ...] | None = field(default=None, converter=_choices, metadata=_VALUES)
    minimum: int | float | None = field(default=None, converter=plain, metadata=_LIMIT)
    maximum: int | float | None = field(default=None, converter=plain, metadata=_LIMIT)
    exclusive_minimum: int | float | None = field(default=None, converter=plain, metadata=_LIMIT)
    exclusive_maximum: int | float | None = field(default=None, converter=plain, metadata=_LIMIT)
    multiple_of: int | float | None = field(default=None, converter=plain, metadata=_LIMIT)
    min_length: int | None = field(default=None, converter=plain)
    max_length: int | None = field(default=None, converter=plain)
    pattern: str | None = None
    min_items: int | None = field(default=None, converter=plain)
    max_items: int | None = field(default=None, converter=plain)
    unique_items: bool = field(default=False, converter=plain)
    min_properties: int | None = field(default=None, converter=plain)
    max_properties: int | None = field(default=None, converter=plain)

    @property
    def required(self) -> bool:
        """Whether a trigger must give a value."""
        return self.default is REQUIRED

    @property
    def optional(self) -> bool:
        """Whether it may have no value: its default is None."""
        return self.default is None

    @property
    def has_default(self) -> bool:
        """Whether `default` is a value."""
        return not (self.required or self.optional)

    @property
    def is_artifact(self) -> bool:
        """Whether the value is a path or URI to content."""
        return self.type in ARTIFACT_TYPES


@frozen(kw_only=True, repr=False)
class Output(Shown):
    """One thing a step writes: an artifact (`file`, `directory`) or a typed value, as text in a file.

    `type` is what it is, and all that has to be said: `mean: number` is short for `mean: {type: number}`. `description`
    is for people.
    """

    type: Type = field(kw_only=False, metadata={KEY: Key(short=True)})
    description: str = ""

    @property
    def is_artifact(self) -> bool:
        """Whether the output is content rather than a value."""
        return self.type in ARTIFACT_TYPES
