"""What is valid and probably not meant: outputs that nobody can write, inputs and parameters that nobody reads."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.errors import Problem
from penstock.spec.command import references
from penstock.spec.keys import walk
from penstock.spec.pipeline import Pipeline
from penstock.spec.steps import Step


def warnings(pipeline: Pipeline) -> list[Problem]:
    """All warnings of a pipeline that `problems.check` found nothing wrong with, each with its path.

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
