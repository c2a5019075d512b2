"""Parameters of one trigger: read, checked all at once, and made into what every backend gets."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath
from typing import Any

from attrs import frozen

from penstock import codec
from penstock.contract.target import Location
from penstock.errors import ParameterInvalid, Problem, UsageError, did_you_mean
from penstock.spec import Parameter, Pipeline, Value
from penstock.spec.values import RawValue, ValueInvalid, check, describe, normalise, read_text, render

_LONGEST_KEY = 255

Resolve = Callable[[Location], str | Problem]


@frozen(kw_only=True)
class Request:
    """What a trigger asks for, apart from what it addresses. `base` is the caller's folder, see `Location`."""

    parameters: Mapping[str, Any]
    experiment: str | None
    description: str
    tags: Mapping[str, str]
    key: str | None
    base: Path | None
    rerun_of: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse what is not text where text belongs. Raises UsageError."""
        texts = {"experiment": self.experiment, "description": self.description, "idempotency key": self.key}
        texts |= {f"tag `{name}`": value for name, value in self.tags.items()}
        for what, text in texts.items():
            if text is not None and not isinstance(text, str):
                raise UsageError(f"the {what} is text, got {describe(text)}")
        if self.key == "" or (self.key is not None and len(self.key) > _LONGEST_KEY):
            raise UsageError(
                f"an idempotency key is 1 to {_LONGEST_KEY} characters, got {len(self.key)}",
                code="idempotency_key_invalid",
            )
        if self.experiment is not None and not (0 < len(self.experiment) <= 255 and self.experiment.isprintable()):
            raise UsageError("the name of an experiment is 1 to 255 printable characters", code="name_invalid")


@frozen(kw_only=True)
class Settled:
    """The parameters of one run: typed (`parameters`), as text (`values`), and where its content lies.

    `bundled` names the parameters whose content is in the snapshot, with the archive's path.
    """

    parameters: Mapping[str, Value]
    values: Mapping[str, str]
    artifacts: Mapping[str, str]
    bundled: Mapping[str, str]


def settle(
    pipeline: Pipeline, given: Mapping[str, Any], *, archived: Collection[str], base: Path | None, resolve: Resolve
) -> Settled:
    """Settle every parameter of a trigger, or say everything that is wrong with them.

    `given` holds JSON values, or `RawValue` to be read by the declared type. `archived` are the paths that travel
    with the snapshot; `base` is the caller's folder, see `Location`. Raises ParameterInvalid.
    """
    declared = pipeline.parameters
    problems = [
        Problem("parameter_unknown", "the pipeline has no such parameter", (name,), hint=did_you_mean(name, declared))
        for name in given
        if name not in declared
    ]
    parameters: dict[str, Value] = {}
    values: dict[str, str] = {}
    artifacts: dict[str, str] = {}
    bundled: dict[str, str] = {}
    for name, parameter in declared.items():
        if name not in given and parameter.required:
            hint = f"a {parameter.type}" + (f": {parameter.description}" if parameter.description else "")
            problems.append(Problem("parameter_missing", "a value is required", (name,), hint=hint))
            continue
        try:
            value = _read(parameter, given[name]) if name in given else parameter.default
            found = [detail.under(name) for detail in check(parameter, value)]
        except ValueInvalid as error:
            found = [Problem(error.code, str(error), (name,))]
        if found:
            problems.extend(found)
            continue
        parameters[name] = normalise(parameter.type, value)
        if not parameter.is_artifact:
            values[name] = render(parameter.type, value)
        elif name not in given and value in archived:
            bundled[name] = value
        else:
            # The publisher's own default may be anywhere on the machine; a caller's value only where it may look.
            location = Location(
                parameter=name,
                type="file" if parameter.type == "file" else "directory",
                text=value,
                base=base if name in given else Path("/"),
            )
            answer = resolve(location)
            if isinstance(answer, Problem):
                problems.append(Problem(answer.code, answer.message, (name,)))
            else:
                artifacts[name] = parameters[name] = answer
    if problems:
        raise ParameterInvalid.of(sorted(problems, key=lambda detail: str(detail.path)), "parameters")
    return Settled(parameters=parameters, values=values, artifacts=artifacts, bundled=bundled)


def asked(spec: str, request: Request, *, version: str | None = None, digest: str | None = None) -> str:
    """What a request asks for, as one text: two requests are the same when their texts are.

    `spec` is the canonical JSON of what it is read against; `version` is what it pins, `digest` the snapshot of
    a file. Nothing is looked up, so that a repeat is known again whatever became of files and targets.
    """
    declared = codec.from_canonical(spec).parameters
    given = {name: _asked(declared.get(name), value, request.base) for name, value in request.parameters.items()}
    return codec.to_json(
        {
            "parameters": given,
            "experiment": request.experiment,
            "description": request.description,
            "tags": dict(request.tags),
            "rerun_of": request.rerun_of,
            "version": version,
            "digest": digest,
        }
    )


def _asked(parameter: Parameter | None, value: Any, base: Path | None) -> str | dict[str, str]:
    if parameter is None:
        return {"refused": describe(value)}
    try:
        text = render(parameter.type, _read(parameter, value))
    except ValueInvalid:
        # No accepted request says this: text that reads like the value is another request.
        return {"refused": describe(value)}
    if parameter.is_artifact and base is not None and "://" not in text:
        return os.path.normpath(base / text)
    return text


def _read(parameter: Parameter, value: Any) -> Value:
    if isinstance(value, RawValue):
        return read_text(parameter.type, str(value))
    return os.fspath(value) if parameter.is_artifact and isinstance(value, PurePath) else value
