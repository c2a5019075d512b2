"""The command of a step's component: a shell's line that pastes every input where it means nothing to a shell.

    exec sh launch.sh ATTEMPTS DELAY <<'~end of PATH'
    end of value PATH               what ends a value: PATH is that of the step's report
    NAME                            an input or output of the component
    ...                             what Azure put there, in as many lines as it has
    end of value PATH
    words
    ...                             the launcher's words (see `penstock.launcher`), a line each

A here-document whose delimiter is quoted is the one place of a shell's text where nothing is expanded, split or ended
by a quote. Our own values have none of that to begin with (see `wire`); but native callers give what they like, and
their text ends neither a value nor the document, because both ends hold a path that Azure chooses when the step begins
and that nobody knows when a job is submitted. The delimiter begins with a sign that texts hardly begin with: dash
0.5.12 drops a byte of some accents that follow its first letter at the beginning of a line.

A word that begins with `@` names a value, or a file beside the launcher.

    @value NAME         its text, also where it is a reference
    @read NAME          the text of the file that it is the path of
    @path NAME          a path
    @data NAME ARCHIVE  the same, or where there is none the content of an archive that came with the code
    @maybe NAME         the same, or where there is none what says so
    @here FILE          the path of a file that came with the code
    @reports            a folder for reports of attempts
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from penstock.launcher import words
from penstock.spec import Pipeline, graph
from penstock.spec.command import sole_reference
from penstock.spec.values import ARTIFACT_TYPES
from penstock_azureml.names import port_names
from penstock_azureml.wire import encode

REPORT = "penstock_report"
"""The output of every step that says how its last attempt went, which a step that only comes after it takes in."""
VALUES = "penstock_values"
"""The input that brings texts which are too long for a command."""


def parameter_ports(pipeline: Pipeline) -> dict[str, str]:
    """The inputs of a pipeline by the names of its parameters."""
    return port_names(pipeline.parameters)


def value_ports(pipeline: Pipeline, name: str) -> dict[str, str]:
    """The inputs of a step that bring the text of a parameter, by the parameter's name."""
    ports = parameter_ports(pipeline)
    return {key: f"p_{ports[key]}" for key in value_parameters(pipeline, name)}


def input_ports(pipeline: Pipeline, name: str) -> dict[str, str]:
    """The inputs of a step that bring content or the output of another step, by their keys."""
    return {key: f"in_{port}" for key, port in port_names(pipeline.steps[name].inputs).items()}


def output_ports(pipeline: Pipeline, name: str) -> dict[str, str]:
    """The outputs of a step: `value_x` is a file with a text, `out_x` is content."""
    outputs = pipeline.steps[name].outputs
    return {
        key: f"{'out' if outputs[key].is_artifact else 'value'}_{port}" for key, port in port_names(outputs).items()
    }


def of_parameter(text: str) -> str | None:
    """The parameter that an input names, or None where it is a step's output."""
    found = sole_reference(text)
    return found.names[0] if found and found.scope == "parameters" else None


def value_parameters(pipeline: Pipeline, name: str) -> list[str]:
    """The parameters whose text a step is given, sorted."""
    step = pipeline.effective(name)
    types = graph.input_types(pipeline, name)
    named = {
        given for key, text in step.inputs.items() if types[key] not in ARTIFACT_TYPES and (given := of_parameter(text))
    }
    return sorted({*words.parameters_of(step), *named})


def words_of(pipeline: Pipeline, name: str, bundled: Mapping[str, str], archive: str | None) -> Iterator[str]:
    """The launcher's words for a step. `bundled` names the archive of each parameter whose content came with the code,
    with `#` and a name for a file; `archive` is that of the code itself.
    """
    inputs, outputs, parameters = (
        input_ports(pipeline, name),
        output_ports(pipeline, name),
        value_ports(pipeline, name),
    )
    step = pipeline.steps[name]

    def value(key: str) -> str:
        given = of_parameter(step.inputs[key])
        return f"@value {parameters[given]}" if given else f"@read {inputs[key]}"

    def data(key: str) -> str:
        given = of_parameter(step.inputs[key]) or ""
        if given in bundled:
            return f"@data {inputs[key]} {bundled[given]}"
        return f"{'@maybe' if pipeline.parameters[given].optional else '@path'} {inputs[key]}"

    sources = words.Sources(
        report=("@reports", "attempts", "step"),
        archive=None if archive is None else f"@here {archive}",
        parameter=lambda key: f"@value {parameters[key]}",
        value=value,
        given=data,
        made=lambda key: f"@path {inputs[key]}",
        written=lambda key: f"@path {outputs[key]}",
        kept=lambda key: f"@path {outputs[key]}",
        encode=encode,
    )
    return words.words_of(pipeline, name, sources)


def command_of(pipeline: Pipeline, name: str, words: Iterable[str], inputs: Mapping[str, Mapping[str, object]]) -> str:
    """The command of a step's component. `inputs` are the component's, with `optional` where one may be left out."""
    retry = pipeline.effective(name).retry
    attempts, delay = (retry.attempts, retry.delay) if retry else (1, 0.0)
    path = f"${{{{outputs.{REPORT}}}}}"
    end = f"end of value {path}"
    lines = [f"exec sh launch.sh {attempts} {format(Decimal(repr(delay)), 'f')} <<'~end of {path}'", end]
    for port, definition in inputs.items():
        if port.startswith("after_"):
            continue
        pasted = f"${{{{inputs.{port}}}}}"
        lines += [port, f"$[[{pasted}]]" if definition.get("optional") else pasted, end]
    for port in (*output_ports(pipeline, name).values(), REPORT):
        lines += [port, f"${{{{outputs.{port}}}}}", end]
    return "\n".join((*lines, "words", *words, f"~end of {path}")) + "\n"
