"""What Vertex AI cannot do with a pipeline, told before anything is written: each problem with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from penstock.contract.target import Problem
from penstock.launcher.wire import encode_value
from penstock.spec import Parameter, Pipeline, Resources, Retry
from penstock.spec.quantity import duration_text
from penstock.spec.values import render
from penstock_vertex import launcher, machines
from penstock_vertex.locations import refused
from penstock_vertex.names import MAX_TASK, task_name
from penstock_vertex.options import VertexOptions
from penstock_vertex.sizes import MOST_ARGUMENTS
from penstock_vertex.staging import code_object
from penstock_vertex.words import words_of

MOST_SPEC = 10 * 10**6
"""Bytes of a compiled pipeline: what Google's services take as one request. A guess; there is no documented limit."""

LONGEST_RETRY = 3600.0
"""Seconds after which a task is not tried again, however often it may be (kfp's proto: backoff_max_duration)."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_Place = tuple[str | int, ...]


def problems(options: VertexOptions, pipeline: Pipeline) -> Iterator[Problem]:
    """Everything that this target cannot do (errors) or does differently (warnings; errors when it is strict)."""
    yield from _names(pipeline)
    yield from _defaults(pipeline)
    yield from _machines(options, pipeline)
    yield from _sizes(options, pipeline)


def _error(code: str, message: str, *path: str | int) -> Problem:
    return Problem(severity="error", code=code, message=message, path=path)


def _names(pipeline: Pipeline) -> Iterator[Problem]:
    for name in pipeline.steps:
        length = len(task_name(name))
        if length > MAX_TASK:
            message = f"the step's name is {length} characters long as a task of Vertex AI; at most {MAX_TASK}"
            yield _error("name_refused", message, "steps", name)


def _defaults(pipeline: Pipeline) -> Iterator[Problem]:
    for name, parameter in pipeline.parameters.items():
        text = parameter.default
        if parameter.is_artifact and text and (Path(text).is_absolute() or _URI.match(text)):
            wrong = refused(text, parameter.type)
            if wrong:
                yield _error("location_unsupported", wrong, "parameters", name, "default")


@frozen
class _Asked:
    """What `defaults` or a step asks for, and where."""

    path: _Place
    image: str | None
    resources: Resources | None
    retry: Retry | None


def _machines(options: VertexOptions, pipeline: Pipeline) -> Iterator[Problem]:
    places = [_asked(("defaults",), pipeline.defaults)]
    places += [_asked(("steps", name), step) for name, step in pipeline.steps.items()]
    for place in places:
        wrong = None if place.image is None else machines.image_problem(place.image)
        if wrong is not None:
            yield _error("image_refused", wrong, *place.path, "image")
        if place.resources is not None:
            for key, code, message in _beyond(options, place.resources):
                yield _error(code, message, *place.path, "resources", key)
        if place.retry is not None and place.retry.delay * (place.retry.attempts - 1) > LONGEST_RETRY:
            yield Problem(
                severity="error" if options.strict else "warning",
                code="retry_shortened",
                message=f"a step is tried again for {duration_text(LONGEST_RETRY)} at most, whatever is left of this",
                path=(*place.path, "retry"),
            )


def _asked(path: _Place, holder: Any) -> _Asked:
    return _Asked(path, holder.image, holder.resources, holder.retry)


def _beyond(options: VertexOptions, resources: Resources) -> Iterator[tuple[str, str, str]]:
    """Key, code and message of what a step cannot have."""
    found = (("cpu", machines.cores_problem(resources.cpu)), ("memory", machines.memory_problem(resources.memory)))
    for key, wrong in found:
        if wrong is not None:
            yield key, "resources_refused", wrong
    if not resources.gpu:
        return
    if options.accelerator is None:
        message = "nobody knows what a gpu is here: set the target's `accelerator`, for example to NVIDIA_TESLA_T4"
        yield "gpu", "accelerator_unknown", message
    if resources.gpu not in machines.COUNTS:
        shown = ", ".join(map(str, machines.COUNTS))
        yield "gpu", "resources_refused", f"a step has {shown} of an accelerator, not {resources.gpu}"


def _sizes(options: VertexOptions, pipeline: Pipeline) -> Iterator[Problem]:
    total = 0
    for name, step in pipeline.steps.items():
        code = code_object("0" * 64) if pipeline.effective(name).code else None
        size = sum(map(len, words_of(pipeline, name, options.staging, code)))
        if size > MOST_ARGUMENTS:
            message = f"the arguments have {size:,} characters, as they travel; at most {MOST_ARGUMENTS:,}"
            yield _error("size_refused", message, "steps", name, "command")
        total += size + len(launcher.text()) + sum(map(len, step.inputs)) + sum(map(len, step.outputs))
    total += sum(len(encode_value(_default_text(one))) for one in pipeline.parameters.values())
    if total > MOST_SPEC:
        message = f"the pipeline has {total:,} characters when it is compiled; at most {MOST_SPEC:,}"
        yield _error("size_refused", message, "steps")


def _default_text(parameter: Parameter) -> str:
    return render(parameter.type, parameter.default) if parameter.has_default else ""
