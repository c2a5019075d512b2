"""The launcher's words for one step of a pipeline job: every placeholder is left to Vertex."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.launcher import words
from penstock.launcher.words import parameters_of as parameters_of
from penstock.spec import Pipeline
from penstock_vertex.names import task_name
from penstock_vertex.staging import REPORTS, RUNS, object_path

JOB_NAME = "{{$.pipeline_job_name}}"


def parameter_key(name: str) -> str:
    """The name of a task's input for a parameter of the pipeline that its command or environment mentions."""
    return f"p_{name}"


def input_key(name: str) -> str:
    """The name of a task's input for an input of its step."""
    return f"in_{name}"


def words_of(pipeline: Pipeline, name: str, staging: str, archive: str | None) -> Iterator[str]:
    """What the launcher is told of one step, as it stands in the IR; `penstock.launcher` says what each word means.

    `archive` is the path below staging of the archive that its code lies in.
    """
    sources = words.Sources(
        report=(object_path(staging, RUNS), JOB_NAME, f"{REPORTS}/{task_name(name)}"),
        archive=None if archive is None else object_path(staging, archive),
        parameter=lambda key: _parameter(parameter_key(key)),
        value=lambda key: _parameter(input_key(key)),
        given=lambda key: _parameter(input_key(key)),
        made=lambda key: f"{{{{$.inputs.artifacts['{input_key(key)}'].path}}}}",
        written=lambda key: f"{{{{$.outputs.parameters['{key}'].output_file}}}}",
        kept=lambda key: f"{{{{$.outputs.artifacts['{key}'].path}}}}",
    )
    return words.words_of(pipeline, name, sources)


def _parameter(key: str) -> str:
    return f"{{{{$.inputs.parameters['{key}']}}}}"
