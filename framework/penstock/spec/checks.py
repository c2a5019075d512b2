"""What each class of the spec must keep to by itself: one table, from class to check.

Types, placeholders, names and texts are looked at for every key by `problems`; here is what only the class knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from penstock.errors import Problem
from penstock.spec.limits import parameter_problems
from penstock.spec.names import name_problem
from penstock.spec.parameters import Parameter
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Defaults, Resources, Retry, Step


def _pipeline(pipeline: Pipeline) -> Iterator[Problem]:
    wrong = name_problem("the name of a pipeline", pipeline.name)
    if wrong:
        yield Problem("name_invalid", wrong, ("name",))


def _step(step: Step) -> Iterator[Problem]:
    if not step.command or not step.command[0]:
        yield Problem("command_empty", "the command names no program", ("command",))
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


CHECKS: Mapping[type, Callable[[Any], Iterator[Problem]]] = {
    Defaults: _shared,
    Parameter: parameter_problems,
    Pipeline: _pipeline,
    Resources: _resources,
    Retry: _retry,
    Step: _step,
}
"""The check of each class that has one: a function of its object, whose problems' paths start there."""
