"""A pipeline job, as Google's REST API writes it, in the words of the contract: states, times, failures, outputs.

The shapes are those of `google.cloud.aiplatform.v1.PipelineJob` (reference of `projects.locations.pipelineJobs`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from attrs import frozen

from penstock.codec import read_time
from penstock.contract.run import ENDED, Failure, RunReport, RunState, StepReport, StepState
from penstock.errors import PenstockError
from penstock.launcher.reports import AttemptReport, exit_status
from penstock.launcher.wire import decode_value
from penstock_vertex.names import step_name

Job = Mapping[str, Any]
_STATES: Mapping[str, RunState] = {
    "PIPELINE_STATE_RUNNING": "running",
    "PIPELINE_STATE_CANCELLING": "running",
    "PIPELINE_STATE_PAUSED": "running",
    "PIPELINE_STATE_SUCCEEDED": "succeeded",
    "PIPELINE_STATE_FAILED": "failed",
    "PIPELINE_STATE_CANCELLED": "canceled",
}
_TASKS: Mapping[str, StepState] = {
    "RUNNING": "running",
    "CANCEL_PENDING": "running",
    "CANCELLING": "running",
    "SUCCEEDED": "succeeded",
    "FAILED": "failed",
    "CANCELLED": "canceled",
    "SKIPPED": "skipped",
    "NOT_TRIGGERED": "skipped",
}
_EXIT = re.compile(r"status of (\d+)")
"""How Google says the exit status of a container: `exited with a non-zero status of 3`."""


@frozen(kw_only=True)
class StepJobs:
    """What a step runs as: the ids of its attempts' custom jobs, the first one first.

    `ended` is when it ended, None as long as it may go on; `datetime.min` where nobody says when.
    """

    ids: tuple[str, ...]
    ended: datetime | None


def state_of(job: Job) -> RunState:
    """What a job's state is to us; what is not known yet is queued."""
    return _STATES.get(job.get("state", ""), "queued")


def failed_tasks(job: Job) -> list[str]:
    """The tasks of which the launcher may have left why they failed."""
    return [task["taskName"] for task in _tasks(job).values() if _TASKS.get(task.get("state", "")) == "failed"]


def run_report(job: Job, attempts: Mapping[str, int], last: Mapping[str, AttemptReport]) -> RunReport:
    """A run and its steps, in the order of the graph.

    `attempts` says how often the launcher of a task began, and `last` how the last attempt of one that failed ended.
    """
    state, details = state_of(job), _tasks(job)
    steps = tuple(_step(name, details.get(name, {}), state, attempts, last) for name in _order(job))
    return RunReport(
        state=state,
        started=_time(job.get("startTime")),
        ended=_time(job.get("endTime")) if state in ENDED else None,
        error=_why(job, steps) if state == "failed" else None,
        steps=steps,
    )


def step_jobs(job: Job, step: str) -> StepJobs | None:
    """The custom jobs of a step, None for a step that the pipeline does not have.

    Source: `PipelineTaskExecutorDetail.ContainerDetail`, where `failedMainJobs` are in chronological order.
    """
    if step not in _order(job):
        return None
    task = _tasks(job).get(step, {})
    detail = task.get("executorDetail", {}).get("containerDetail", {})
    names = dict.fromkeys((*detail.get("failedMainJobs", ()), detail.get("mainJob", "")))
    over = _TASKS.get(task.get("state", "")) in ENDED or state_of(job) in ENDED
    ended = _time(task.get("endTime") or job.get("endTime")) or datetime.min.replace(tzinfo=UTC)
    return StepJobs(ids=tuple(name.rpartition("/")[2] for name in names if name), ended=ended if over else None)


def run_outputs(job: Job) -> dict[str, str]:
    """The pipeline's outputs as far as their steps have produced them, sorted: what Google answers has no order."""
    produced = {name: _outputs(task) for name, task in _tasks(job).items()}
    found: dict[str, str] = {}
    declared = _dag(job).get("outputs", {})
    for name, source in declared.get("parameters", {}).items():
        where = source.get("valueFromParameter", {})
        text = produced.get(step_name(where.get("producerSubtask", "")), {}).get(where.get("outputParameterKey", ""))
        if text is not None:
            found[name] = text
    for name, source in declared.get("artifacts", {}).items():
        for where in source.get("artifactSelectors", []):
            uri = produced.get(step_name(where.get("producerSubtask", "")), {}).get(where.get("outputArtifactKey", ""))
            if uri is not None:
                found[name] = uri
    return dict(sorted(found.items()))


def _step(
    name: str,
    task: Mapping[str, Any],
    run: RunState,
    attempts: Mapping[str, int],
    last: Mapping[str, AttemptReport],
) -> StepReport:
    state = _TASKS.get(task.get("state", ""), "queued")
    if state not in ENDED and run in ENDED:  # what nobody will start any more
        state = "canceled" if run == "canceled" else "skipped"
    began, task_name = _time(task.get("startTime")), task.get("taskName", "")
    if state == "skipped":
        began = None
    report = last.get(task_name, AttemptReport())
    exit_code = 0 if state == "succeeded" else _exit_code(task, report)
    return StepReport(
        name=name,
        state=state,
        attempt=0 if began is None else attempts.get(task_name, _tried(task, state)),
        started=began,
        ended=_time(task.get("endTime")) if state in ENDED and began is not None else None,
        exit_code=None if began is None or state not in ENDED else exit_code,
        error=_failure(name, task, report, exit_code) if state == "failed" else None,
        outputs=_outputs(task) if state == "succeeded" else {},
    )


def _tried(task: Mapping[str, Any], state: StepState) -> int:
    """How often a task was tried, by what Google says."""
    failed = task.get("executorDetail", {}).get("containerDetail", {}).get("failedMainJobs", [])
    return max(1, len(failed) + (state != "failed"))


def _exit_code(task: Mapping[str, Any], report: AttemptReport) -> int | None:
    if report.code:
        return report.exit_code
    said = _EXIT.search(task.get("error", {}).get("message", ""))
    return exit_status(said[1]) if said else None


def _failure(name: str, task: Mapping[str, Any], report: AttemptReport, exit_code: int | None) -> Failure:
    said = " ".join(task.get("error", {}).get("message", "").split())[:500]
    message = report.message or (f"exited with code {exit_code}" if exit_code else "")
    return Failure(
        code=report.code or "step_failed",
        message=f"step `{name}`: {message or said or 'failed, and Google does not say why'}",
        step=name,
    )


def _why(job: Job, steps: tuple[StepReport, ...]) -> Failure:
    for step in steps:
        if step.error is not None:
            return step.error
    said = " ".join(job.get("error", {}).get("message", "").split())[:500]
    return Failure(code="run_failed", message=said or "the job failed, and Google does not say why")


def _outputs(task: Mapping[str, Any]) -> dict[str, str]:
    metadata = task.get("execution", {}).get("metadata", {})
    found = {
        key.removeprefix("output:"): _decoded(str(text)) for key, text in metadata.items() if key.startswith("output:")
    }
    for name, artifacts in task.get("outputs", {}).items():
        for artifact in artifacts.get("artifacts", []):
            found[name] = artifact.get("uri", "")
    return found


def _decoded(text: str) -> str:
    """The text that an output carries; what was not made by our launcher is taken as it is."""
    try:
        return decode_value(text)
    except ValueError:
        return text


def _tasks(job: Job) -> dict[str, Mapping[str, Any]]:
    """The details of each step's task, by step; the root's own task is left out."""
    known = _dag(job).get("tasks", {})
    details = job.get("jobDetail", {}).get("taskDetails", [])
    return {step_name(task["taskName"]): task for task in details if task.get("taskName") in known}


def _order(job: Job) -> list[str]:
    """The steps, each after all it depends on; alphabetical where the graph leaves a choice, as everywhere."""
    waits = {
        step_name(task): {step_name(needed) for needed in about.get("dependentTasks", [])}
        for task, about in _dag(job).get("tasks", {}).items()
    }
    return list(_sorted(waits))


def _sorted(waits: dict[str, set[str]]) -> Iterator[str]:
    left = dict(waits)
    while left:
        # Google answers no circle; if it did, the order is the only thing that is lost.
        name = min((step for step, needs in left.items() if not needs & left.keys()), default=min(left))
        del left[name]
        yield name


def _dag(job: Job) -> Mapping[str, Any]:
    dag: Mapping[str, Any] = job.get("pipelineSpec", {}).get("root", {}).get("dag", {})
    return dag


def _time(text: str | None) -> datetime | None:
    try:
        return None if text is None else read_time(text)
    except PenstockError:
        return None
