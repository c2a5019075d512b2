"""Steps: an argument list with what it reads, writes and asks for, and what steps inherit from `defaults`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any, cast

from attrs import field, frozen

from penstock.spec.command import split
from penstock.spec.keys import DURATION, KEY, SIZE, Key
from penstock.spec.parameters import Output
from penstock.spec.quantity import bytes_of, cores_of, seconds_of
from penstock.spec.shown import Shown, listed, mapping, names
from penstock.spec.values import Type, plain

_FILLED = {KEY: Key(filled=True)}
_INPUTS = {KEY: Key(links=("parameters", "steps"), named=True)}
_CODE = {KEY: Key(bundled="code")}


def _command(value: str | Sequence[str]) -> tuple[str, ...]:
    if isinstance(value, PurePath):  # given from Python: one word, whatever is in it
        return (plain(value),)
    return split(value) if isinstance(value, str) else listed(value)


def _variables(value: Mapping[Any, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = plain(mapping(value))
    return found


def _outputs(value: Mapping[Any, str | Output] | None) -> dict[str, Output]:
    # `table: file` is short for `table: {type: file}`; an Output passes as it is.
    found = mapping(value)
    if not isinstance(found, dict):
        return found
    return {name: Output(cast(Type, item)) if isinstance(item, str) else item for name, item in found.items()}


@frozen(kw_only=True, repr=False)
class Retry(Shown):
    """How often a step is tried and how long to wait in between.

    `attempts` is how often at the most, the first time included. `delay` is in seconds or text like `10s`.
    """

    attempts: int = field(default=1, converter=plain)
    delay: float = field(default=0.0, converter=seconds_of, metadata=DURATION)


@frozen(kw_only=True, repr=False)
class Resources(Shown):
    """What a step asks of the machine.

    `cpu` is in cores, `memory` in bytes or text like `4Gi`, `gpu` in devices.
    """

    cpu: float | None = field(default=None, converter=cores_of)
    memory: int | None = field(default=None, converter=bytes_of, metadata=SIZE)
    gpu: int | None = field(default=None, converter=plain)


@frozen(kw_only=True, repr=False)
class Defaults(Shown):
    """What steps inherit when they do not say it themselves.

    `code` is a folder relative to the spec; a step starts in a working copy of it. `image` is the container image,
    where a target has containers. `env` are variables of the environment, which a step's own are put over. `resources`
    are what a step asks of the machine. `retry` says how often a step is tried; once unless given. `timeout` is how
    long it may take, in seconds or text like `2h`.
    """

    code: str | None = field(default=None, converter=plain, metadata=_CODE)
    image: str | None = field(default=None, converter=plain)
    env: Mapping[str, str] = field(factory=dict, converter=_variables, metadata=_FILLED)
    resources: Resources | None = None
    retry: Retry | None = field(default=None, metadata={KEY: Key(otherwise=Retry)})
    timeout: float | None = field(default=None, converter=seconds_of, metadata=DURATION)


@frozen(kw_only=True, repr=False)
class Step(Shown):
    """One process: an argument list, what it reads and what it writes.

    `command` given as one string is split once into arguments, placeholders kept whole; what only a shell would expand
    or obey is refused there unless it is quoted, like `*.csv`, `~/x`, `|` or `cd`. `description` is for people.
    `inputs` are what it reads, by name: each exactly one placeholder of a parameter or of another step's output.
    `outputs` are what it writes, by name, each to the path that replaces its placeholder. `env` are variables of its
    environment, which may hold placeholders. `after` names steps that end first although nothing of theirs is read.
    `code` is a folder relative to the spec; the process starts in a working copy of it. `image` is the container image,
    where a target has containers. `resources` are what it asks of the machine. `retry` says how often it is tried; once
    unless given. `timeout` is how long it may take, in seconds or text like `2h`.
    """

    command: tuple[str, ...] = field(converter=_command, metadata=_FILLED)
    description: str = ""
    inputs: Mapping[str, str] = field(factory=dict, converter=mapping, metadata=_INPUTS)
    outputs: Mapping[str, Output] = field(factory=dict, converter=_outputs, metadata={KEY: Key(named=True)})
    env: Mapping[str, str] = field(factory=dict, converter=_variables, metadata=_FILLED)
    after: tuple[str, ...] = field(default=(), converter=names, metadata={KEY: Key(steps=True)})
    code: str | None = field(default=None, converter=plain, metadata=_CODE)
    image: str | None = field(default=None, converter=plain)
    resources: Resources | None = None
    retry: Retry | None = None
    timeout: float | None = field(default=None, converter=seconds_of, metadata=DURATION)
