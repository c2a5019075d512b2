"""What each class of the spec must keep to by itself, limits of parameters among it: one table, from class to check.

Types, placeholders, names and texts are looked at for every key by `problems`; here is what only the class knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import evolve

from penstock.errors import Problem
from penstock.spec import patterns
from penstock.spec.binding import bind
from penstock.spec.keys import REQUIRED, document_key
from penstock.spec.names import name_problem, note_problem
from penstock.spec.parameters import Output, Parameter
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Defaults, Resources, Retry, Step
from penstock.spec.values import describe

_NUMBERS = frozenset({"integer", "number"})
_TEXTS = frozenset({"string", "file", "directory"})
_LIMITS: dict[str, frozenset[str]] = {
    "minimum": _NUMBERS,
    "maximum": _NUMBERS,
    "exclusive_minimum": _NUMBERS,
    "exclusive_maximum": _NUMBERS,
    "multiple_of": _NUMBERS,
    "min_length": _TEXTS,
    "max_length": _TEXTS,
    "pattern": _TEXTS,
    "min_items": frozenset({"list"}),
    "max_items": frozenset({"list"}),
    "unique_items": frozenset({"list"}),
    "min_properties": frozenset({"object"}),
    "max_properties": frozenset({"object"}),
}
_NUMERIC = frozenset(name for name, types in _LIMITS.items() if types is _NUMBERS)
_COUNTS = frozenset({"min_length", "max_length", "min_items", "max_items", "min_properties", "max_properties"})


def _pipeline(pipeline: Pipeline) -> Iterator[Problem]:
    wrong = name_problem("the name of a pipeline", pipeline.name)
    if wrong:
        yield Problem("name_invalid", wrong, ("name",))
    yield from _described(pipeline)


def _described(holder: Pipeline | Step | Parameter | Output) -> Iterator[Problem]:
    wrong = note_problem("the description", holder.description)
    if wrong:
        yield Problem("text_too_large", wrong, ("description",), hint="keep it in a file and name that here")


def _step(step: Step) -> Iterator[Problem]:
    if not step.command or not step.command[0]:
        yield Problem("command_empty", "the command names no program", ("command",))
    yield from _described(step)
    yield from _shared(step)


def _shared(holder: Step | Defaults) -> Iterator[Problem]:
    """What a step has and `defaults` may say for all of them."""
    for variable in holder.env:
        if not variable or "=" in variable:
            message = "the name of an environment variable is not empty and holds no `=`"
            yield Problem("env_name_invalid", message, ("env", variable))
    for key, value in (("code", holder.code), ("image", holder.image)):
        if value == "":
            yield Problem("value_invalid", f"`{key}` is empty", (key,), hint="leave the key out")
    if holder.timeout is not None and holder.timeout <= 0:
        yield Problem("value_invalid", "a timeout is longer than nothing", ("timeout",), hint="leave the key out")


def _resources(resources: Resources) -> Iterator[Problem]:
    if resources.gpu is not None and resources.gpu < 0:
        yield Problem("value_invalid", "gpu is a number of devices, not negative", ("gpu",))


def _retry(retry: Retry) -> Iterator[Problem]:
    if retry.attempts < 1:
        yield Problem("value_invalid", "a step is tried at least once", ("attempts",))


def _parameter(parameter: Parameter) -> Iterator[Problem]:
    """Everything that is wrong with a parameter; paths start at the parameter."""
    values = {name: getattr(parameter, name) for name in _LIMITS}
    given = {name: value for name, value in values.items() if value is not None and value is not False}
    yield from _described(parameter)
    broken = list(_limit_problems(parameter, given))
    yield from broken
    if parameter.sensitive:
        yield from _sensitive_problems(parameter)
    # Values are held against the limits only when these make sense, one mistake being one message.
    bare = Parameter(parameter.type) if broken else evolve(parameter, enum=None, default=REQUIRED)
    members = parameter.enum if parameter.enum is not None else ()
    if parameter.enum is not None and not members:
        yield Problem("limit_invalid", "an empty enum allows nothing", ("enum",))
    for index, member in enumerate(members):
        yield from (detail.under("enum", index) for detail in bind(bare, member).problems)
    if parameter.has_default:
        limited = evolve(bare, enum=parameter.enum) if members else bare
        yield from (detail.under("default") for detail in bind(limited, parameter.default).problems)


def _sensitive_problems(parameter: Parameter) -> Iterator[Problem]:
    for key, said in (("default", parameter.has_default), ("enum", parameter.enum is not None)):
        if said:
            message = f"`{key}` says a value of a sensitive parameter, and everybody can read the spec"
            yield Problem("sensitive_invalid", message, (key,), hint="leave it out")
    if parameter.is_artifact:
        message = f"a {parameter.type} is content, which is no secret of the run's; only values are sensitive"
        yield Problem("sensitive_invalid", message, ("sensitive",), hint="leave it out")


def _limit_problems(parameter: Parameter, given: dict[str, Any]) -> Iterator[Problem]:
    for name, value in given.items():
        key = document_key(name)
        if parameter.type not in _LIMITS[name]:
            fitting = " and ".join(f"`{type_}`" for type_ in sorted(_LIMITS[name]))
            message = f"`{key}` does not apply to type {parameter.type}"
            yield Problem("limit_not_applicable", message, (key,), hint=f"it applies to {fitting}")
        elif name == "pattern":
            yield from _pattern_problems(value)
        elif name in _COUNTS and value < 0:
            yield Problem("limit_invalid", f"`{key}` counts, so it is not negative", (key,))
        elif name in _NUMERIC and not _finite(value):
            yield Problem("limit_invalid", f"{describe(value)} is not a finite number", (key,))
        elif name == "multiple_of" and value <= 0:
            yield Problem("limit_invalid", f"`{key}` is greater than 0", (key,))
    for least, most in (("minimum", "maximum"), *((f"min_{w}", f"max_{w}") for w in ("length", "items", "properties"))):
        if least in given and most in given and given[least] > given[most]:
            message = f"`{document_key(least)}` is greater than `{document_key(most)}`: no value is allowed"
            yield Problem("limit_invalid", message, (document_key(least),))


def _finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _pattern_problems(pattern: str) -> Iterator[Problem]:
    try:
        patterns.compiled(pattern)
    except patterns.PatternInvalid as error:
        yield Problem("pattern_invalid", f"the pattern cannot be used: {error}", ("pattern",), hint=error.hint)


CHECKS: Mapping[type, Callable[[Any], Iterator[Problem]]] = {
    Defaults: _shared,
    Output: _described,
    Parameter: _parameter,
    Pipeline: _pipeline,
    Resources: _resources,
    Retry: _retry,
    Step: _step,
}
"""The check of each class that has one: a function of its object, whose problems' paths start there."""
