"""Everything that is wrong with a pipeline as a whole, each problem with its path in the document."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from attrs import frozen

from penstock.errors import Path, Problem, did_you_mean
from penstock.spec import Defaults, Pipeline, Step
from penstock.spec.command import CommandInvalid, Reference, references, sole_reference
from penstock.spec.graph import cycle_details
from penstock.spec.limits import parameter_problems

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_INPUT_SCOPES = ("parameters", "steps")
_EXAMPLES = {"parameters": "${{ parameters.name }}", "steps": "${{ steps.name.outputs.name }}"}


def check(pipeline: Pipeline, *, unread: Collection[Path] = ()) -> list[Problem]:
    """All problems of a pipeline, in the order of the document's keys; empty when there are none.

    `unread` names places that exist in the document but could not be read: nothing is said about what refers
    to them, because their own problem has been told.
    """
    return list(_Check(pipeline, frozenset(unread)).problems())


@frozen
class _Check:
    pipeline: Pipeline
    unread: frozenset[Path]

    def problems(self) -> Iterator[Problem]:
        pipeline = self.pipeline
        name = pipeline.name
        if not (1 <= len(name) <= 255 and name.isprintable() and name == name.strip()):
            message = "a name is 1 to 255 printable characters, with no space at either end"
            yield Problem("name_invalid", message, ("name",))
        yield from _text(pipeline.description, "description")
        yield from _keys(pipeline.parameters, "parameters")
        for name, parameter in pipeline.parameters.items():
            path = ("parameters", name)
            yield from (detail.under(*path) for detail in parameter_problems(parameter))
            yield from (detail.under(*path) for detail in _text(parameter.description, "description"))
            yield from (detail.under(*path) for detail in _text(parameter.pattern or "", "pattern"))
        yield from (detail.under("defaults") for detail in self._defaults(pipeline.defaults))
        yield from _keys(pipeline.steps, "steps")
        if not pipeline.steps and not any(path[:1] == ("steps",) for path in self.unread):
            yield Problem("steps_missing", "a pipeline has at least one step", ("steps",))
        for name, step in pipeline.steps.items():
            yield from (detail.under("steps", name) for detail in self._step(name, step))
        yield from cycle_details(pipeline)
        yield from _keys(pipeline.outputs, "outputs")
        for name, text in pipeline.outputs.items():
            yield from (detail.under("outputs", name) for detail in (*_text(text), *self._link(text, ("steps",))))

    def _step(self, name: str, step: Step) -> Iterator[Problem]:
        yield from _text(step.description, "description")
        yield from _keys(step.inputs, "inputs")
        for key, text in step.inputs.items():
            yield from (detail.under("inputs", key) for detail in (*_text(text), *self._link(text, _INPUT_SCOPES)))
        if not step.command or not step.command[0]:
            yield Problem("command_empty", "the command names no program", ("command",))
        for index, text in enumerate(step.command):
            yield from (detail.under("command", index) for detail in (*_text(text), *self._filled(text, name, step)))
        yield from _keys(step.outputs, "outputs")
        for key, output in step.outputs.items():
            yield from (detail.under("outputs", key) for detail in _text(output.description, "description"))
        yield from _shared(step)
        yield from self._environment(name, step)
        for index, other in enumerate(step.after):
            yield from (detail.under("after", index) for detail in self._known(("steps", other), self.pipeline.steps))

    def _defaults(self, defaults: Defaults) -> Iterator[Problem]:
        yield from _shared(defaults)
        for variable, text in defaults.env.items():
            # Only in a step is it known which inputs and outputs there are.
            users = [(name, step) for name, step in self.pipeline.steps.items() if variable not in step.env]
            problems = _distinct(found for name, step in users for found in self._filled(text, name, step))
            yield from (detail.under("env", variable) for detail in problems)

    def _environment(self, name: str, step: Step) -> Iterator[Problem]:
        for variable, text in step.env.items():
            yield from (detail.under("env", variable) for detail in self._filled(text, name, step))

    def _filled(self, text: str, name: str, step: Step) -> list[Problem]:
        """What is wrong with a text whose placeholders are filled when the step runs."""
        try:
            found = references(text)
        except CommandInvalid as error:
            return [Problem(error.code, str(error))]
        return _distinct(problem for reference in found for problem in self._fillable(reference, name, step))

    def _fillable(self, reference: Reference, name: str, step: Step) -> Iterator[Problem]:
        match reference:
            case Reference("parameters", (key,)):
                yield from self._known(("parameters", key), self.pipeline.parameters)
                parameter = self.pipeline.parameters.get(key)
                if parameter and parameter.is_artifact:
                    message = f"`{reference}` is a {parameter.type}, which a step reads through its inputs"
                    hint = f'write `inputs: {{{key}: "{reference}"}}` and here `${{{{ inputs.{key} }}}}`'
                    yield Problem("artifact_in_command", message, hint=hint)
            case Reference("inputs", (key,)):
                yield from self._known(("steps", name, "inputs", key), step.inputs)
            case Reference("outputs", (key,)):
                yield from self._known(("steps", name, "outputs", key), step.outputs)
            case Reference("steps", _):
                message = f"`{reference}` cannot stand here"
                yield Problem("reference_scope", message, hint="pass it through `inputs`, then `${{ inputs.name }}`")
            case _:
                yield _not_a_scope(reference, ("parameters", "inputs", "outputs"))

    def _link(self, text: str, scopes: tuple[str, ...]) -> Iterator[Problem]:
        """An input or a pipeline output: exactly one placeholder of the scopes that are allowed."""
        shown = " or ".join(f"`{_EXAMPLES[scope]}`" for scope in scopes)
        try:
            reference = sole_reference(text)
        except CommandInvalid as error:
            yield Problem(error.code, str(error))
            return
        match reference:
            case None:
                yield Problem("reference_expected", f"expected exactly one placeholder, {shown}")
            case Reference("parameters", (name,)) if "parameters" in scopes:
                yield from self._known(("parameters", name), self.pipeline.parameters)
            case Reference("steps", (name, "outputs", output)):
                unknown = list(self._known(("steps", name), self.pipeline.steps))
                step = self.pipeline.steps.get(name)
                yield from unknown or self._known(("steps", name, "outputs", output), step.outputs if step else {})
            case Reference("steps", _):
                yield Problem("reference_scope", f"`{reference}` names no output of a step", hint=f"write {shown}")
            case _:
                yield _not_a_scope(reference, scopes)

    def _known(self, path: Path, names: Mapping[str, object]) -> Iterator[Problem]:
        *_, kind, name = ("", *path)
        if name in names or self._is_unread(path):
            return
        where = f" of step `{path[1]}`" if len(path) > 2 else ""
        what = f"{str(kind)[:-1]} `{str(name)[:80]}`{where}"
        hint = did_you_mean(str(name), names) or f"there are no {kind}{where}"
        yield Problem("reference_unknown", f"there is no {what}", hint=hint)

    def _is_unread(self, path: Path) -> bool:
        return any(path[:length] in self.unread for length in range(1, len(path) + 1))


def _not_a_scope(reference: Reference, scopes: Iterable[str]) -> Problem:
    allowed = ", ".join(f"`{scope}`" for scope in scopes)
    return Problem("reference_scope", f"`{reference}` cannot stand here", hint=f"allowed here: {allowed}")


def _keys(mapping: Mapping[str, object], place: str) -> Iterator[Problem]:
    for key in mapping:
        if not _KEY.fullmatch(key):
            message = f"`{key[:80]}` is not a key" if key.isprintable() else "this is not a key"
            hint = "letters, digits, `_` and `-`, not starting with `-`"
            yield Problem("key_invalid", message, (place, key), hint=hint)


def _text(text: str, *path: str) -> Iterator[Problem]:
    if "\0" in text:
        yield Problem("text_invalid", "the text holds a NUL character, which no argument can carry", path)
    elif not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        yield Problem("text_invalid", "the text holds a lone surrogate, which is not Unicode text", path)


def _shared(holder: Step | Defaults) -> Iterator[Problem]:
    """What a step has and `defaults` may say for all of them, each by itself."""
    for variable, text in holder.env.items():
        if not variable or "=" in variable:
            message = "the name of an environment variable is not empty and holds no `=`"
            yield Problem("env_name_invalid", message, ("env", variable))
        yield from _text(variable + text, "env", variable)
    for key, value in (("code", holder.code), ("image", holder.image)):
        yield from _text(value or "", key)
        if value == "":
            yield Problem("value_invalid", f"`{key}` is empty", (key,), hint="leave the key out")
    if holder.resources and holder.resources.gpu is not None and holder.resources.gpu < 0:
        yield Problem("value_invalid", "gpu is a number of devices, not negative", ("resources", "gpu"))
    if holder.retry and holder.retry.attempts < 1:
        yield Problem("value_invalid", "a step is tried at least once", ("retry", "attempts"))
    if holder.timeout is not None and holder.timeout <= 0:
        yield Problem("value_invalid", "a timeout is longer than nothing", ("timeout",), hint="leave the key out")


def _distinct(details: Iterable[Problem]) -> list[Problem]:
    """The same placeholder twice in one text is one problem."""
    return list(dict.fromkeys(details))
