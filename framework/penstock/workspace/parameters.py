"""Parameters of one trigger: read, checked all at once, and bound to what every backend gets."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

from attrs import frozen

from penstock import codec
from penstock.contract.run import BoundParameters
from penstock.contract.target import Location
from penstock.errors import ParameterInvalid, Problem, UsageError, did_you_mean
from penstock.records import FrozenSnapshot
from penstock.spec import Parameter, Value
from penstock.spec.binding import bind
from penstock.spec.parameters import HIDDEN
from penstock.spec.sizes import Sizes
from penstock.spec.values import OpenedPath, RawValue, describe
from penstock.text import with_article

_HINTS = 20
"""For how many unknown parameters of a request it is said what may have been meant."""

_LONGEST_KEY = 255

_KEPT = 64
"""Of how many snapshots it is kept what was read of them."""

Resolve = Callable[[Location], str | Problem]


@frozen(kw_only=True)
class TriggerOptions:
    """What a trigger asks for, apart from what it addresses.

    `parameters` holds JSON values, or `RawValue` to be read by the declared type. `folder` is the caller's, see
    `Location`. `not_kept` are the parameters of the run of a rerun whose values were not kept.
    """

    parameters: Mapping[str, Any]
    experiment: str | None
    description: str
    tags: Mapping[str, str]
    idempotency_key: str | None
    folder: Path | None
    rerun_of: str | None = None
    not_kept: frozenset[str] = frozenset()
    deduplicate: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse a key or a name that is too long. Raises UsageError."""
        key = self.idempotency_key
        if key is not None and not 0 < len(key) <= _LONGEST_KEY:
            raise UsageError(
                f"an idempotency key is 1 to {_LONGEST_KEY} characters, got {len(key)}", code="idempotency_key_invalid"
            )
        if self.experiment is not None and not (0 < len(self.experiment) <= 255 and self.experiment.isprintable()):
            raise UsageError("the name of an experiment is 1 to 255 printable characters", code="name_invalid")


def bind_parameters(snapshot: FrozenSnapshot, options: TriggerOptions, resolve: Resolve) -> BoundParameters:
    """Give every parameter of a snapshot its value, or say everything that is wrong with them.

    `resolve` says what a path or URI means on the target. Raises ParameterInvalid.
    """
    (declared, sizes), given = _read(snapshot), options.parameters
    archived = archive_paths(snapshot)
    unknown = [name for name in given if name not in declared]
    # Looking for the nearest name takes its time, and a body may have thousands.
    hints = [did_you_mean(name, declared) for name in unknown[:_HINTS]]
    problems = [
        Problem("parameter_unknown", "the pipeline has no such parameter", (name,), hint=hint)
        for name, hint in zip_longest(unknown, hints, fillvalue="")
    ]
    sensitive: list[str] = []
    typed: dict[str, Value] = {}
    texts: dict[str, str] = {}
    artifacts: dict[str, str] = {}
    bundled: dict[str, str] = {}
    for name, parameter in declared.items():
        if name not in given and (parameter.required or name in options.not_kept):
            hint = with_article(parameter.type) + (f": {parameter.description}" if parameter.description else "")
            code, message = "parameter_missing", "a value is required"
            if parameter.sensitive and options.rerun_of is not None:
                code, message = "sensitive_missing", "its value was not kept; a rerun has to give it again"
            problems.append(Problem(code, message, (name,), hint=hint))
            continue
        bound = bind(parameter, given.get(name, parameter.default))
        if bound.problems:
            problems.extend(problem.under(name) for problem in bound.problems)
            continue
        if bound.value is None:  # an optional parameter without a value, which is no secret either
            typed[name] = None
            continue
        typed[name] = HIDDEN if parameter.sensitive else bound.value
        if parameter.sensitive:
            sensitive.append(name)
        if not parameter.is_artifact:
            texts[name] = bound.text
        elif name not in given and bound.value in archived:
            bundled[name] = bound.value
        else:
            # The publisher's own default may be anywhere on the machine, and so may what is configured for callers; a
            # caller's value only where it may look.
            anywhere = name not in given or isinstance(given[name], OpenedPath)
            folder = Path("/") if anywhere else options.folder
            answer = resolve(location_of(name, parameter, bound.value, folder))
            if isinstance(answer, Problem):
                problems.append(Problem(answer.code, answer.message, (name,)))
            else:
                artifacts[name] = typed[name] = answer
    problems = problems or list(_too_long(sizes, texts))
    if problems:
        raise ParameterInvalid.of(sorted(problems, key=lambda problem: str(problem.path)), "parameters")
    return BoundParameters(typed=typed, texts=texts, artifacts=artifacts, bundled=bundled, sensitive=tuple(sensitive))


def location_of(name: str, parameter: Parameter, text: str, folder: Path | None) -> Location:
    """The content that a `file` or `directory` parameter points at."""
    return Location(parameter=name, type="file" if parameter.type == "file" else "directory", text=text, base=folder)


def _too_long(words: Sizes, texts: Mapping[str, str]) -> Iterator[Problem]:
    """The parameters that make an argument or variable longer than a program can be given."""
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    for found in words.oversized(sizes):
        name = max(found.parameters, key=lambda one: sizes.get(one, 0), default="")
        yield Problem("parameter_too_large", f"with it, {found}", (name,), hint="pass what is long as a file")


def declared_by(snapshot: FrozenSnapshot) -> Mapping[str, Parameter]:
    """The parameters that a snapshot declares."""
    return _read(snapshot)[0]


@lru_cache(maxsize=_KEPT)
def _read(snapshot: FrozenSnapshot) -> tuple[Mapping[str, Parameter], Sizes]:
    pipeline = codec.from_canonical(snapshot.spec)
    return pipeline.parameters, Sizes(pipeline)


@lru_cache(maxsize=_KEPT)
def archive_paths(snapshot: FrozenSnapshot) -> frozenset[str]:
    """The paths of code and data that come with a snapshot."""
    return frozenset(archive["path"] for archive in json.loads(snapshot.archives))


def fingerprint(
    snapshot: FrozenSnapshot,
    options: TriggerOptions,
    hashed: Callable[[str], str],
    *,
    version: str | None = None,
    digest: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> str:
    """What a request asks for, as one text: two requests are the same when their texts are.

    It is read against `snapshot`; `version` is what it pins, `digest` the snapshot of a file. Nothing is looked up, so
    that a repeat is known again whatever became of files and targets. Of a sensitive value it has what `hashed` makes
    of it, and of the idempotency key, so that the same value is not known again elsewhere. `texts` are those of bound
    parameters, where they are known, which say the same.
    """
    declared, texts = declared_by(snapshot), texts or {}
    given = {
        name: texts[name] if name in texts else _shown(declared.get(name), value, options.folder)
        for name, value in options.parameters.items()
        if value is not None or name not in declared or not declared[name].optional  # null says what is said anyway
    }
    for name in given:
        if name in declared and declared[name].sensitive:
            given[name] = {"hashed": hashed(codec.to_json([options.idempotency_key, name, given[name]]))}
    return codec.to_json(
        {
            "parameters": given,
            "experiment": options.experiment,
            "description": options.description,
            "tags": dict(options.tags),
            "rerun_of": options.rerun_of,
            "version": version,
            "digest": digest,
        }
    )


def request_text(options: TriggerOptions, version: str | None) -> str:
    """What a request asks for as it was said, as one text; nothing is read by declared types, which another default
    may have changed meanwhile.
    """
    asked = {
        "parameters": {
            name: {"text": str(value)} if isinstance(value, RawValue) else {"value": value}
            for name, value in options.parameters.items()
        },
        "experiment": options.experiment,
        "description": options.description,
        "tags": dict(options.tags),
        "version": version,
    }
    return json.dumps(asked, sort_keys=True, separators=(",", ":"), default=str)


def _shown(parameter: Parameter | None, value: Any, folder: Path | None) -> str | dict[str, str]:
    if parameter is None:
        return {"refused": describe(value)}
    bound = bind(parameter, value)
    if bound.problems:
        # No accepted request says this: text that reads like the value is another request.
        return {"refused": describe(value)}
    if parameter.is_artifact and folder is not None and "://" not in bound.text:
        return os.path.normpath(folder / bound.text)
    return bound.text
