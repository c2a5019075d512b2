"""The launcher's words for one step: its command and environment, with what a place fills in left to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from attrs import frozen

from penstock.launcher.wire import encode_value
from penstock.spec import Pipeline, Step, graph, optional
from penstock.spec.command import Reference, pieces, references, sole_reference
from penstock.spec.optional import may_lack
from penstock.spec.values import ARTIFACT_TYPES


@frozen(kw_only=True)
class Sources:
    """The words by which a place says where things are: all that it fills in itself.

    `parameter` is the text of a parameter, by its name, `value` that of an input which is a value, `given` what a
    `file` or `directory` input from outside is, `made` the path of one that another step wrote, `written` the path that
    takes the text of an output, and `kept` the one that its content is to lie at; each by the key in the step. `report`
    are the three words of where reports go, and `archive` says where the code lies, if there is any. `encode` writes
    literal text.
    """

    report: tuple[str, str, str]
    archive: str | None
    parameter: Callable[[str], str]
    value: Callable[[str], str]
    given: Callable[[str], str]
    made: Callable[[str], str]
    written: Callable[[str], str]
    kept: Callable[[str], str]
    encode: Callable[[str], str] = encode_value


def parameters_of(step: Step) -> list[str]:
    """The parameters that a step's command and environment mention, sorted."""
    return sorted({found.names[0] for found in _mentioned(step) if found.scope == "parameters"})


def words_of(pipeline: Pipeline, name: str, sources: Sources) -> Iterator[str]:
    """What the launcher is told of one step; the package says what each word means."""
    step = pipeline.effective(name)
    types = graph.input_types(pipeline, name)
    yield from ("report", *sources.report)
    if sources.archive is not None:
        yield from ("code", sources.archive)
    if step.timeout is not None:
        yield from ("limit", format(Decimal(repr(step.timeout)).normalize(), "f"))
    read = {found.names[0] for found in _mentioned(step) if found.scope == "inputs"}
    content = [key for key in sorted(read) if types[key] in ARTIFACT_TYPES]
    numbers = dict(zip(content, map(str, range(len(content))), strict=True))
    for key, number in numbers.items():
        source = sole_reference(step.inputs[key])
        if source and source.scope == "parameters":
            yield from ("file", number, sources.given(key))
        else:
            yield from ("path", number, sources.made(key))
    for place, (key, output) in enumerate(sorted(step.outputs.items())):
        if output.is_artifact:
            yield from ("artifact", str(place), key, output.type, sources.kept(key))
        else:
            yield from ("value", str(place), key, output.type, sources.written(key))
    lacking = may_lack(pipeline, step)
    for variable, text in sorted(step.env.items()):
        yield from _composed(text, numbers, sources)
        yield from ("env-if" if sole_reference(text) in lacking else "env", variable)
    for word in optional.words(step.command):
        missed = word.reference in lacking
        if word.option is not None and not missed:
            yield f"={sources.encode(word.option)}"
        literal = _literal(word.text)
        if literal is not None:
            yield f"={sources.encode(literal)}"
            continue
        yield from _composed(word.text, numbers, sources)
        if not missed:
            yield "arg"
        elif word.option is None:
            yield "arg-if"
        else:
            yield from ("option-if", sources.encode(word.option))


def _composed(text: str, numbers: Mapping[str, str], sources: Sources) -> Iterator[str]:
    """The words that write one text, piece by piece."""
    for piece in pieces(text):
        match piece:
            case str():
                yield from ("text", sources.encode(piece))
            case Reference("outputs", (key,)):
                yield from ("output", key)
            case Reference("inputs", (key,)) if key in numbers:
                yield from ("input", numbers[key])
            case Reference("inputs", (key,)):
                yield from ("text", sources.value(key))
            case Reference(_, (key,)):
                yield from ("text", sources.parameter(key))


def _literal(text: str) -> str | None:
    """The text when nothing is to be filled in."""
    found = list(pieces(text))
    return None if any(isinstance(piece, Reference) for piece in found) else "".join(map(str, found))


def _mentioned(step: Step) -> Iterator[Reference]:
    for text in (*step.command, *step.env.values()):
        yield from references(text)
