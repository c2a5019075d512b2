"""The launcher's words for one step: its command and environment with every placeholder left to Vertex."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal

from penstock.launcher.wire import encode_value
from penstock.spec import Pipeline, Step, graph
from penstock.spec.command import Reference, pieces, references, sole_reference
from penstock.spec.values import ARTIFACT_TYPES
from penstock_vertex.names import task_name
from penstock_vertex.staging import REPORTS, RUNS, object_path

JOB_NAME = "{{$.pipeline_job_name}}"


def parameter_key(name: str) -> str:
    """The name of a task's input for a parameter of the pipeline that its command or environment mentions."""
    return f"p_{name}"


def input_key(name: str) -> str:
    """The name of a task's input for an input of its step."""
    return f"in_{name}"


def parameters_of(step: Step) -> list[str]:
    """The parameters that a step's command and environment mention, sorted."""
    return sorted({found.names[0] for found in _mentioned(step) if found.scope == "parameters"})


def words_of(pipeline: Pipeline, name: str, staging: str, code: str | None) -> Iterator[str]:
    """What the launcher is told of one step, as it stands in the IR; `launcher` says what each word means.

    `code` is the path below staging of the archive that its code lies in.
    """
    step = pipeline.effective(name)
    types = graph.input_types(pipeline, name)
    yield from ("report", object_path(staging, RUNS), JOB_NAME, f"{REPORTS}/{task_name(name)}")
    if code is not None:
        yield from ("code", object_path(staging, code))
    if step.timeout is not None:
        yield from ("limit", format(Decimal(repr(step.timeout)).normalize(), "f"))
    read = {found.names[0] for found in _mentioned(step) if found.scope == "inputs"}
    content = [key for key in sorted(read) if types[key] in ARTIFACT_TYPES]
    numbers = dict(zip(content, map(str, range(len(content))), strict=True))
    for key, number in numbers.items():
        source = sole_reference(step.inputs[key])
        if source and source.scope == "parameters":
            yield from ("file", number, _parameter(input_key(key)))
        else:
            yield from ("path", number, f"{{{{$.inputs.artifacts['{input_key(key)}'].path}}}}")
    for place, (key, output) in enumerate(sorted(step.outputs.items())):
        if output.is_artifact:
            yield from ("artifact", str(place), key, output.type, f"{{{{$.outputs.artifacts['{key}'].path}}}}")
        else:
            file = f"{{{{$.outputs.parameters['{key}'].output_file}}}}"
            yield from ("value", str(place), key, output.type, file)
    for variable, text in sorted(step.env.items()):
        yield from _composed(text, numbers)
        yield from ("env", variable)
    for text in step.command:
        literal = _literal(text)
        if literal is not None:
            yield f"={encode_value(literal)}"
        else:
            yield from _composed(text, numbers)
            yield "arg"


def _composed(text: str, numbers: Mapping[str, str]) -> Iterator[str]:
    """The words that write one text, piece by piece."""
    for piece in pieces(text):
        match piece:
            case str():
                yield from ("text", encode_value(piece))
            case Reference("outputs", (key,)):
                yield from ("output", key)
            case Reference("inputs", (key,)) if key in numbers:
                yield from ("input", numbers[key])
            case Reference("inputs", (key,)):
                yield from ("text", _parameter(input_key(key)))
            case Reference(_, (key,)):
                yield from ("text", _parameter(parameter_key(key)))


def _literal(text: str) -> str | None:
    """The text when nothing is to be filled in."""
    found = list(pieces(text))
    return None if any(isinstance(piece, Reference) for piece in found) else "".join(map(str, found))


def _mentioned(step: Step) -> Iterator[Reference]:
    for text in (*step.command, *step.env.values()):
        yield from references(text)


def _parameter(key: str) -> str:
    return f"{{{{$.inputs.parameters['{key}']}}}}"
