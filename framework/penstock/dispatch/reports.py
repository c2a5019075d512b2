"""What a backend says of a run, held against the pipeline: what contradicts it is left out and said."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from penstock.contract.run import ENDED, RUN_STATES, Absent, Failure, RunReport, StepReport
from penstock.spec import Pipeline, Type, Value
from penstock.spec.command import sole_reference
from penstock.spec.values import ValueInvalid, read_text, render

_LONGEST = 500
"""How many characters of what a run waits for are kept."""


@frozen(kw_only=True)
class ReadReport:
    """A report as far as it fits the pipeline: typed outputs of the run and of steps. `wrong` says what did not fit."""

    report: RunReport | Absent
    outputs: Mapping[str, Value] | None
    step_outputs: Mapping[str, Mapping[str, Value]]
    wrong: str | None


def read_report(pipeline: Pipeline, report: RunReport | Absent, outputs: Mapping[str, str] | None) -> ReadReport:
    """Read a report. `outputs` are the texts of the pipeline's outputs, once it succeeded.

    A run that ended with something wrong in its report keeps its state, and says so in its error.
    """
    if isinstance(report, Absent):
        return ReadReport(report=report, outputs=None, step_outputs={}, wrong=None)
    wrong: list[str] = []
    steps: list[StepReport] = []
    step_outputs: dict[str, Mapping[str, Value]] = {}
    for step in report.steps:
        if step.name not in pipeline.steps:
            wrong.append(f"a step `{step.name}` that the pipeline does not have")
            continue
        if step.state not in (*RUN_STATES, "skipped"):
            wrong.append(f"a state `{step.state}` of step `{step.name}`")
            continue
        steps.append(step)
        step_outputs[step.name] = _typed(
            step_types(pipeline, step.name), step.outputs, wrong, f" of step `{step.name}`"
        )
    typed = None if outputs is None else _typed(output_types(pipeline), outputs, wrong, "")
    said = "; ".join(wrong) or None
    waits_for = report.waits_for and " ".join(report.waits_for.split())[:_LONGEST]
    report = evolve(report, steps=tuple(steps), waits_for=waits_for or None)
    if said and report.state in ENDED and report.error is None:
        report = evolve(report, error=Failure(code="report_invalid", message=f"the backend reported {said}"))
    return ReadReport(report=report, outputs=typed, step_outputs=step_outputs, wrong=said)


def output_types(pipeline: Pipeline) -> dict[str, Type]:
    """The type of each output of a pipeline: that of the step output which it names."""
    found: dict[str, Type] = {}
    for name, text in pipeline.outputs.items():
        reference = sole_reference(text)
        if reference is not None:
            step, _, output = reference.names
            found[name] = pipeline.steps[step].outputs[output].type
    return found


def step_types(pipeline: Pipeline, step: str) -> dict[str, Type]:
    """The type of each output of a step."""
    return {name: output.type for name, output in pipeline.steps[step].outputs.items()}


def _typed(declared: Mapping[str, Type], texts: Mapping[str, str], wrong: list[str], where: str) -> Mapping[str, Value]:
    typed: dict[str, Value] = {}
    for name, text in texts.items():
        if name not in declared:
            wrong.append(f"an output `{name}`{where} that is not declared")
            continue
        try:
            value = read_text(declared[name], text)
            render(declared[name], value)  # what has no text is no value
            typed[name] = value
        except ValueInvalid as error:
            wrong.append(f"an output `{name}`{where} that is not what its type says: {error}")
    return typed
