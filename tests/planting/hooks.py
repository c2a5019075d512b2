"""A backend whose hooks answer something else: the hook function in the backend's module is replaced."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any

from attrs import evolve

BACKEND = "PENSTOCK_PLANTED_BACKEND"
"""The environment variable that names the module of the backend whose hooks are replaced."""


def around(hook: str, answer: Callable[..., Any]) -> None:
    """Let `answer(real, *arguments)` answer a hook; the arguments are those of its specification, in that order."""
    module = importlib.import_module(os.environ.get(BACKEND, "penstock_local.hooks"))
    real = getattr(module, hook)

    @functools.wraps(real)
    def replaced(*arguments: Any) -> Any:
        return answer(real, *arguments)

    setattr(module, hook, replaced)


def answered(hook: str, change: Callable[[Any], Any]) -> None:
    """Pass what a hook answers through a function."""
    around(hook, lambda real, *arguments: change(real(*arguments)))


def reported(change: Callable[[Any], Any]) -> None:
    """Pass every report of a run that the backend knows through a function, of one run and of many."""
    around("penstock_get_run", lambda real, *arguments: _changed(change, real(*arguments)))
    around(
        "penstock_list_runs",
        lambda real, *arguments: {run: _changed(change, one) for run, one in real(*arguments).items()},
    )


def _changed(change: Callable[[Any], Any], found: Any) -> Any:
    return change(found) if hasattr(found, "steps") else found


def texts_handed_over(change: Callable[[str], str]) -> None:
    """Pass every text of a run's parameters through a function before the backend gets it."""

    def submit(real: Callable[..., Any], target: Any, run: Any) -> Any:
        texts = {name: change(text) for name, text in run.parameters.texts.items()}
        return real(target, evolve(run, parameters=evolve(run.parameters, texts=texts)))

    around("penstock_submit_run", submit)


def other_steps(steps: Callable[[Any], dict[str, Any]]) -> None:
    """Let the backend compile and publish other steps than those of a pipeline, under its digest."""

    def other(real: Callable[..., Any], target: Any, snapshot: Any, *compiled: Any) -> Any:
        return real(
            target, evolve(snapshot, pipeline=evolve(snapshot.pipeline, steps=steps(snapshot.pipeline))), *compiled
        )

    for hook in ("penstock_compile_pipeline", "penstock_publish_pipeline"):
        around(hook, other)


def other_commands(command: Callable[[Any, Any], Iterable[str]]) -> None:
    """The same with the commands alone, each a function of its pipeline and its step."""
    other_steps(
        lambda pipeline: {
            name: evolve(step, command=tuple(command(pipeline, step))) for name, step in pipeline.steps.items()
        }
    )


def commands_run_by(program: str, *words: str) -> None:
    """Let the steps' own Python run their commands by a program, whose arguments are `words` and the command."""
    other_commands(lambda pipeline, step: (step.command[0], "-S", "-c", program, *words, *step.command))
