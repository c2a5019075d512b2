"""Everything that is wrong with a pipeline as a whole, and what is probably not meant: each problem with its path."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from attrs import frozen

from penstock.errors import Path, Problem, did_you_mean
from penstock.spec.checks import CHECKS
from penstock.spec.command import CommandInvalid, Reference, references, sole_reference
from penstock.spec.graph import cycle_details
from penstock.spec.keys import Key, walk
from penstock.spec.optional import may_lack
from penstock.spec.pipeline import Pipeline
from penstock.spec.sizes import MAX_KEY, size_problems
from penstock.spec.steps import Step

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_EXAMPLES = {"parameters": "${{ parameters.name }}", "steps": "${{ steps.name.outputs.name }}"}


def check(pipeline: Pipeline, *, unread: Collection[Path] = ()) -> list[Problem]:
    """All problems of a pipeline, in the order of the document's keys; empty when there are none.

    `unread` names places that exist in the document but could not be read: nothing is said about what refers
    to them, because their own problem has been told.
    """
    found = list(_Check(pipeline, frozenset(unread)).problems())
    # What cannot be read cannot be measured.
    return found if found or unread else list(size_problems(pipeline))


@frozen
class _Check:
    pipeline: Pipeline
    unread: frozenset[Path]

    def problems(self) -> Iterator[Problem]:
        for path, value, about in walk(self.pipeline):
            if isinstance(value, str):
                found = _distinct((*_text(value), *self._read(path, value, about)))
            elif isinstance(value, Mapping):
                found = [*(_keys(value) if about.named else _key_texts(value))]
            else:
                found = list(CHECKS.get(type(value), lambda _: iter(()))(value))
            yield from (problem.under(*path) for problem in found)
        if not self.pipeline.steps and not any(path[:1] == ("steps",) for path in self.unread):
            yield Problem("steps_missing", "a pipeline has at least one step", ("steps",))
        yield from cycle_details(self.pipeline)

    def _read(self, path: Path, text: str, about: Key) -> Iterator[Problem]:
        """What is wrong with a text as its key reads it; paths start at the text."""
        if about.links:
            yield from self._link(text, about.links)
        elif about.steps:
            yield from self._known(("steps", text), self.pipeline.steps)
        elif about.filled:
            # Only in a step is it known which inputs and outputs there are.
            inherited = path[0] == "defaults"
            name = str(path[1])
            users = self.pipeline.heirs(path[1:]) if inherited else [(name, self.pipeline.steps[name])]
            for user, step in users:
                yield from self._filled(text, user, step)
                if path[2:] == ("command", 0):
                    yield from self._program(text, step)

    def _filled(self, text: str, name: str, step: Step) -> list[Problem]:
        """What is wrong with a text whose placeholders are filled when the step runs."""
        wrong: list[CommandInvalid] = []
        found = references(text, wrong)
        broken = [Problem(error.code, str(error)) for error in wrong]
        return _distinct((*broken, *(one for reference in found for one in self._fillable(reference, name, step))))

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

    def _program(self, text: str, step: Step) -> Iterator[Problem]:
        """A program that may have no value; paths start at the text."""
        lacking = may_lack(self.pipeline, step)
        for reference in references(text, []):
            if reference in lacking:
                message = f"`{reference}` cannot stand here: it may have no value, and a command names a program"
                yield Problem("reference_scope", message, hint="give the parameter a default, or require it")

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


def _keys(mapping: Mapping[str, object]) -> Iterator[Problem]:
    for key in mapping:
        if not _KEY.fullmatch(key):
            message = f"`{key[:80]}` is not a key" if key.isprintable() else "this is not a key"
            hint = "letters, digits, `_` and `-`, not starting with `-`"
            yield Problem("key_invalid", message, (key,), hint=hint)
        elif len(key) > MAX_KEY:
            message = f"the key `{key[:40]}...` is {len(key):,} bytes long; at most {MAX_KEY}"
            yield Problem("key_invalid", message, (key,), hint="it becomes a file name, as in `NAME.log`")


def _key_texts(mapping: Mapping[str, object]) -> Iterator[Problem]:
    yield from (problem.under(key) for key in mapping for problem in _text(key))


def _text(text: str) -> Iterator[Problem]:
    if "\0" in text:
        yield Problem("text_invalid", "the text holds a NUL character, which no argument can carry")
    elif not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        yield Problem("text_invalid", "the text holds a lone surrogate, which is not Unicode text")


def _distinct(problems: Iterable[Problem]) -> list[Problem]:
    """The same placeholder twice in one text is one problem."""
    return list(dict.fromkeys(problems))


def warnings(pipeline: Pipeline) -> list[Problem]:
    """All warnings of a pipeline that `check` found nothing wrong with, each with its path.

    Codes: `output_unmentioned`, `input_unmentioned` (neither the step's command nor its environment has the
    placeholder), `parameter_unused` (neither they nor an input that they mention reads it).
    """
    found: list[Problem] = []
    used: set[str] = set()
    for name in pipeline.steps:
        step = pipeline.effective(name)
        mentioned = _mentioned(step)
        used.update(key for scope, key in mentioned if scope == "parameters")
        for key in step.outputs:
            if ("outputs", key) not in mentioned:
                message = f"no program learns where to write this output: nothing mentions `${{{{ outputs.{key} }}}}`"
                found.append(_warning("output_unmentioned", message, "steps", name, "outputs", key))
        for key, text in step.inputs.items():
            if ("inputs", key) in mentioned:
                used.update(_parameters(text))
            else:
                message = f"no program reads this input: nothing mentions `${{{{ inputs.{key} }}}}`"
                found.append(_warning("input_unmentioned", message, "steps", name, "inputs", key))
    unused = [key for key in pipeline.parameters if key not in used]
    message = "no step reads this parameter, so its value changes nothing"
    return [_warning("parameter_unused", message, "parameters", key) for key in unused] + found


def _mentioned(step: Step) -> set[tuple[str, str]]:
    """Scope and name of every placeholder that is replaced when the step runs."""
    texts = (value for _, value, about in walk(step) if about.filled and isinstance(value, str))
    return {(reference.scope, reference.names[0]) for text in texts for reference in references(text)}


def _parameters(text: str) -> Iterator[str]:
    return (reference.names[0] for reference in references(text) if reference.scope == "parameters")


def _warning(code: str, message: str, *path: str) -> Problem:
    hint = "" if code == "parameter_unused" else "add it to the command or to `env`, or leave the key out"
    return Problem(code, message, path, hint=hint, severity="warning")
