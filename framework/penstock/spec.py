"""The pipeline spec as attrs classes: what YAML, Python and every backend mean by a pipeline.

The classes only hold and normalise; references between steps are checked in `graph`, values in `values`.
A class here and the YAML document have the same keys, in camelCase there where Python has snake_case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

from attrs import Factory, field, fields, frozen

from penstock.command import split
from penstock.quantity import bytes_of, cores_of, seconds_of

API_VERSION = "penstock/v1"

Type: TypeAlias = Literal["string", "integer", "number", "boolean", "list", "object", "file", "directory"]
"""The types of parameters and outputs."""

TYPES: tuple[Type, ...] = ("string", "integer", "number", "boolean", "list", "object", "file", "directory")
ARTIFACT_TYPES: frozenset[str] = frozenset({"file", "directory"})
"""Types that are a path or URI to content; every other type is a value with a text form."""

Value: TypeAlias = Any
"""A parameter's value as JSON knows it: str, int, float, bool, list, dict. Artifacts are a path or URI (str)."""


def _mapping(value: Mapping[Any, Any] | None) -> dict[str, Any]:
    # Existing callers have parameters named 1: an integer key is read as text.
    return {str(key): item for key, item in (value or {}).items()}


def document_key(name: str) -> str:
    """The key that documents use for an attribute of a class here: `min_length` is `minLength`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def _words(value: Sequence[str] | None) -> tuple[str, ...]:
    if isinstance(value, str):
        # A text is a sequence too, of its letters, which nobody means.
        raise ValueError(f"expected a list of names: write `[{value}]`")
    return tuple(value or ())


def _choices(value: Sequence[Value] | None) -> tuple[Value, ...] | None:
    return None if value is None else tuple(value)


def _command(value: str | Sequence[str]) -> tuple[str, ...]:
    return split(value) if isinstance(value, str) else tuple(value)


class _Shown:
    """Shown by what it says itself: attributes that are as they would be anyway are left out."""

    __slots__ = ()

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" if name else repr(value) for name, value in _said(self))
        return f"{type(self).__name__}({said})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython and hypothesis show, over several lines if need be."""
        name = type(self).__name__
        with printer.group(len(name) + 1, f"{name}(", ")"):
            for number, (key, value) in enumerate(_said(self)):
                if number:
                    printer.text(",")
                    printer.breakable()
                printer.text(f"{key}=" if key else "")
                printer.pretty(value)


def _said(thing: Any) -> list[tuple[str, Any]]:
    """The attributes of a thing that differ from their defaults, by name; "" for one that is given without it."""
    found = []
    for one in fields(type(thing)):
        value = getattr(thing, one.name)
        default = one.default.factory() if isinstance(one.default, Factory) else one.default  # type: ignore[arg-type]  # attrs types it as a function
        if value != default or type(value) is not type(default):
            found.append((one.name if one.kw_only else "", value))
    return found


@frozen(kw_only=True, repr=False)
class Parameter(_Shown):
    """One parameter of a pipeline: its type, its default and its JSON-Schema limits.

    Without a default the parameter is required. Limits count characters (`min_length`), items (`min_items`)
    or properties, and apply only to the types JSON Schema gives them to.
    """

    type: Type = field(kw_only=False)
    default: Value = None
    description: str = ""
    enum: tuple[Value, ...] | None = field(default=None, converter=_choices)
    minimum: int | float | None = None
    maximum: int | float | None = None
    exclusive_minimum: int | float | None = None
    exclusive_maximum: int | float | None = None
    multiple_of: int | float | None = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    min_items: int | None = None
    max_items: int | None = None
    unique_items: bool = False
    min_properties: int | None = None
    max_properties: int | None = None

    @property
    def required(self) -> bool:
        """Whether a trigger must give a value."""
        return self.default is None

    @property
    def is_artifact(self) -> bool:
        """Whether the value is a path or URI to content."""
        return self.type in ARTIFACT_TYPES


@frozen(kw_only=True, repr=False)
class Output(_Shown):
    """One thing a step writes: an artifact (`file`, `directory`) or a typed value, as text in a file."""

    type: Type = field(kw_only=False)
    description: str = ""

    @property
    def is_artifact(self) -> bool:
        """Whether the output is content rather than a value."""
        return self.type in ARTIFACT_TYPES


def _outputs(value: Mapping[Any, str | Output] | None) -> dict[str, Output]:
    # `table: file` is short for `table: {type: file}`; an Output passes as it is.
    return {name: Output(cast(Type, item)) if isinstance(item, str) else item for name, item in _mapping(value).items()}


@frozen(kw_only=True, repr=False)
class Retry(_Shown):
    """How often a step is tried and how long to wait in between. `delay` is in seconds or text like `10s`."""

    attempts: int = 1
    delay: float = field(default=0.0, converter=seconds_of)


@frozen(kw_only=True, repr=False)
class Resources(_Shown):
    """What a step asks of the machine: `cpu` in cores, `memory` in bytes or text like `4Gi`, `gpu` in devices."""

    cpu: float | None = field(default=None, converter=cores_of)
    memory: int | None = field(default=None, converter=bytes_of)
    gpu: int | None = None


@frozen(kw_only=True, repr=False)
class Defaults(_Shown):
    """What steps inherit when they do not say it themselves."""

    code: str | None = None
    image: str | None = None
    env: Mapping[str, str] = field(factory=dict, converter=_mapping)
    resources: Resources | None = None
    retry: Retry | None = None
    timeout: float | None = field(default=None, converter=seconds_of)


@frozen(kw_only=True, repr=False)
class Step(_Shown):
    """One process: an argument list, what it reads and what it writes.

    `command` given as one string is split once into arguments, placeholders kept whole. `code` is a folder
    relative to the spec; the process starts in a working copy of it. `timeout` is in seconds or text like `2h`.
    """

    command: tuple[str, ...] = field(converter=_command)
    description: str = ""
    inputs: Mapping[str, str] = field(factory=dict, converter=_mapping)
    outputs: Mapping[str, Output] = field(factory=dict, converter=_outputs)
    env: Mapping[str, str] = field(factory=dict, converter=_mapping)
    after: tuple[str, ...] = field(default=(), converter=_words)
    code: str | None = None
    image: str | None = None
    resources: Resources | None = None
    retry: Retry | None = None
    timeout: float | None = field(default=None, converter=seconds_of)


@frozen(kw_only=True, repr=False)
class Pipeline(_Shown):
    """A backend-neutral pipeline: parameters, steps, outputs. The document's `kind` is `Pipeline`."""

    name: str
    description: str = ""
    parameters: Mapping[str, Parameter] = field(factory=dict, converter=_mapping)
    defaults: Defaults = field(factory=Defaults)
    steps: Mapping[str, Step] = field(converter=_mapping)
    outputs: Mapping[str, str] = field(factory=dict, converter=_mapping)

    def effective(self, name: str) -> Step:
        """The step as it runs: what it says itself, else the pipeline's defaults. Raises KeyError."""
        from attrs import evolve

        step, base = self.steps[name], self.defaults
        return evolve(
            step,
            env={**base.env, **step.env},
            code=step.code if step.code is not None else base.code,
            image=step.image if step.image is not None else base.image,
            resources=step.resources or base.resources,
            retry=step.retry or base.retry or Retry(),
            timeout=step.timeout if step.timeout is not None else base.timeout,
        )
