"""What a key of the spec means beyond its type, said beside the attribute, so that nothing else knows it by name.

The codec, the checks, the graph and the snapshot read the types and this, and find a new key by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from functools import cache
from typing import Any, Literal

from attrs import Factory, fields, frozen, has

from penstock.errors import Path
from penstock.spec.quantity import bytes_text, duration_text

KEY = "penstock"
"""The entry of an attribute's metadata that holds its `Key`."""


@frozen(kw_only=True)
class Key:
    """What there is to know about one attribute of a spec class; the default is a plain one.

    `filled`: placeholders in its texts are replaced when the step runs. `links`: each text is exactly one placeholder
    of these scopes. `steps`: it names steps to wait for. `named`: its keys are names that placeholders use. `bundled`:
    its text is a path beside the spec whose content travels, as this kind of archive. `short`: a document may write it
    alone in place of its whole object. `own_rules`: its texts are judged by the check of its class alone. `written`:
    how a value stands in canonical form, from its object and itself. `otherwise`: makes what holds for a step when
    neither it nor `defaults` says it. `null`: a document may write `null`, which is not the same as leaving it out.
    """

    filled: bool = False
    links: tuple[str, ...] = ()
    steps: bool = False
    named: bool = False
    bundled: Literal["code", "directory", "file"] | None = None
    short: bool = False
    own_rules: bool = False
    written: Callable[[Any, Any], Any] | None = None
    otherwise: Callable[[], Any] | None = None
    null: bool = False


class Required(Enum):
    """The type of REQUIRED. It is false, as what is not there is."""

    REQUIRED = "REQUIRED"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return self.value


REQUIRED = Required.REQUIRED
"""What stands for a default that is not there, where None is one."""

DURATION: Mapping[str, Key] = {KEY: Key(written=lambda _, seconds: duration_text(seconds))}
"""Metadata of an attribute that `seconds_of` converts."""
SIZE: Mapping[str, Key] = {KEY: Key(written=lambda _, size: bytes_text(size))}
"""Metadata of an attribute that `bytes_of` converts."""

_PLAIN = Key()


@frozen
class Attribute:
    """One attribute of a spec class: its name, the key that documents use, its default (or NOTHING) and its `Key`."""

    name: str
    key: str
    default: Any
    about: Key


def document_key(name: str) -> str:
    """The key that documents use for an attribute of a class here: `min_length` is `minLength`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


def about(metadata: Mapping[Any, Any]) -> Key:
    """The `Key` in an attribute's metadata; a plain one when it has none."""
    found: Key = metadata.get(KEY, _PLAIN)
    return found


@cache
def attributes(cls: Any) -> tuple[Attribute, ...]:
    """The attributes of a spec class, in order."""
    return tuple(
        Attribute(one.name, document_key(one.name), default_of(one.default), about(one.metadata)) for one in fields(cls)
    )


def default_of(default: Any) -> Any:
    """What attrs holds for a default as the value itself; NOTHING stays NOTHING."""
    return default.factory() if isinstance(default, Factory) else default  # type: ignore[arg-type]  # attrs types it as a function


def walk(record: Any) -> Iterator[tuple[Path, Any, Key]]:
    """Every object, mapping and text inside an object of the spec, itself first, each with its path and `Key`."""
    return _walk((), record, _PLAIN)


def _walk(path: Path, value: Any, key: Key) -> Iterator[tuple[Path, Any, Key]]:
    if isinstance(value, str):
        yield path, value, key
    elif isinstance(value, Mapping):
        yield path, value, key
        for name, item in value.items():
            yield from _walk((*path, name), item, key)
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _walk((*path, index), item, key)
    elif has(type(value)):
        yield path, value, key
        cls: Any = type(value)
        for one in attributes(cls):
            if not one.about.own_rules and (inner := getattr(value, one.name)) is not None:
                yield from _walk((*path, one.key), inner, one.about)


def is_default(value: Any, default: Any) -> bool:
    """Whether a value is what its attribute has anyway, so that canonical form leaves it out."""
    if value is None:
        return default is not REQUIRED
    return type(value) is type(default) and bool(value == default)  # True is 1, and no number of attempts
