"""What Azure ML cannot do with a pipeline, told before anything is registered: each problem with its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from penstock.contract.target import Problem
from penstock.spec import Pipeline, Resources
from penstock_azureml.command import VALUES, command_of, input_ports, of_parameter, value_ports, words_of
from penstock_azureml.locations import refused
from penstock_azureml.names import LONGEST, component_name, port_names
from penstock_azureml.options import IMAGE, AzuremlOptions, conda_text
from penstock_azureml.wire import MOST_COMMAND

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_Place = tuple[str | int, ...]


def problems(options: AzuremlOptions, pipeline: Pipeline) -> Iterator[Problem]:
    """Everything that this target cannot do (errors) or does differently (warnings; errors when it is strict)."""
    yield from _names(pipeline)
    yield from _defaults(pipeline)
    places: list[tuple[_Place, Any]] = [(("defaults",), pipeline.defaults)]
    places += [(("steps", name), step) for name, step in pipeline.steps.items()]
    for path, holder in places:
        if holder.image is not None and not re.fullmatch(IMAGE, holder.image, re.A):
            yield _error("image_refused", f"`{holder.image[:80]}` is no container image", *path, "image")
        if holder.resources is not None:
            for key, code, message in _beyond(holder.resources):
                severity: Any = "error" if options.strict else "warning"
                yield Problem(severity=severity, code=code, message=message, path=(*path, "resources", key))
    yield from _sizes(pipeline)
    wrong = None if options.conda is None else conda_problem(options.conda)
    if wrong:
        yield _error("image_refused", wrong, "defaults")


def conda_problem(file: Path) -> str | None:
    """What is wrong with the target's conda file: Azure builds an environment of it, and says so only then."""
    where = f"the option `conda` of the target: `{file}`"
    try:
        found = yaml.safe_load(conda_text(file))
    except OSError as error:
        return f"{where} cannot be read ({(error.strerror or 'unreadable').lower()})"
    except UnicodeDecodeError:
        return f"{where} is not in UTF-8"
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        return f"{where}{f':{mark.line + 1}:{mark.column + 1}' if mark else ''} is no YAML"
    if not isinstance(found, dict) or not isinstance(found.get("dependencies"), list):
        return f"{where} is no conda file: it has a list of `dependencies`, and may have `channels` and a `name`"
    return None


def _error(code: str, message: str, *path: str | int) -> Problem:
    return Problem(severity="error", code=code, message=message, path=path)


def _names(pipeline: Pipeline) -> Iterator[Problem]:
    for name in pipeline.steps:
        if len(component_name(pipeline.name, name)) > LONGEST:
            message = f"the step's name is too long for a component of Azure ML, which has {LONGEST} characters at most"
            yield _error("name_refused", message, "steps", name)
    for kind, names in (("parameters", pipeline.parameters), ("outputs", pipeline.outputs)):
        for name, port in port_names(names).items():
            if len(port) > LONGEST:
                yield _error("name_refused", f"the name has {len(port)} characters; at most {LONGEST}", kind, name)


def _defaults(pipeline: Pipeline) -> Iterator[Problem]:
    for name, parameter in pipeline.parameters.items():
        text = parameter.default
        if not parameter.is_artifact or not text:
            continue
        if Path(text).is_absolute() or _URI.match(text):
            wrong = refused(text)
            if wrong:
                yield _error("location_unsupported", wrong, "parameters", name, "default")
        elif not (base := PurePosixPath(text).name).isprintable() or "{{" in base or "[[" in base or "#" in base:
            message = f"a command of Azure ML cannot say the name {base[:80]!r}; give the file another one"
            yield _error("name_refused", message, "parameters", name, "default")


def _beyond(resources: Resources) -> Iterator[tuple[str, str, str]]:
    """Key, code and message of what a machine of the target's compute has or has not, whoever asks."""
    if resources.cpu is not None:
        yield "cpu", "cpu_ignored", "the target's compute decides how many cores a step has"
    if resources.memory is not None:
        yield "memory", "memory_ignored", "the target's compute decides how much memory a step has"
    if resources.gpu:
        yield "gpu", "gpu_ignored", "the target's compute, or `instance_type`, decides which GPUs a step has"


def _sizes(pipeline: Pipeline) -> Iterator[Problem]:
    for name in pipeline.steps:
        size = measured(pipeline, name)
        if size > MOST_COMMAND:
            message = f"the command has {size:,} characters, as it travels; at most {MOST_COMMAND:,}"
            yield _error("size_refused", message, "steps", name, "command")


def measured(pipeline: Pipeline, name: str) -> int:
    """Characters of the command of a step's component, or a few more: its content is not looked at for it."""
    return len(command_of(pipeline, name, words_of(pipeline, name, *_archives(pipeline, name)), _ports(pipeline, name)))


def _archives(pipeline: Pipeline, name: str) -> tuple[dict[str, str], str | None]:
    """What `words_of` is told of archives, as long as it is when they are there."""
    step, found = pipeline.effective(name), {}
    for text in step.inputs.values():
        parameter = pipeline.parameters.get(of_parameter(text) or "")
        if parameter is not None and parameter.is_artifact and parameter.default:
            found[of_parameter(text) or ""] = f"data-{'0' * 16}.tar#{PurePosixPath(parameter.default).name}"
    return found, None if step.code is None else "code.tar"


def _ports(pipeline: Pipeline, name: str) -> dict[str, dict[str, object]]:
    """The inputs of a step's component, with all that its command says of them."""
    found: dict[str, dict[str, object]] = {port: {} for port in value_ports(pipeline, name).values()}
    found |= {port: {"optional": True} for port in (*input_ports(pipeline, name).values(), VALUES)}
    return found
