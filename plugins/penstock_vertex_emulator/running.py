"""One job on its way: the interpreter of the IR. A thread for the job, one for each task that runs."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import data_of, now, status_of, vertex
from penstock_vertex_emulator.processes import GRACE, Processes, Step
from penstock_vertex_emulator.spec import Spec, bind, producers, selectors
from penstock_vertex_emulator.storage import Storage
from penstock_vertex_emulator.store import Store

PENDING, RUNNING, SUCCEEDED, CANCELLED, FAILED, SKIPPED, NOT_TRIGGERED = 1, 2, 3, 6, 7, 8, 9
"""The numbers of `PipelineTaskDetail.State`."""

_ENDED = frozenset({SUCCEEDED, CANCELLED, FAILED, SKIPPED, NOT_TRIGGERED})
_GOOD = frozenset({SUCCEEDED, SKIPPED})
_JOB_RUNNING, _JOB_SUCCEEDED, _JOB_FAILED, _JOB_CANCELLING, _JOB_CANCELLED = 3, 4, 5, 6, 7
_FAIL_FAST = 2


@dataclass(frozen=True)
class Places:
    """Where jobs find what they share."""

    storage: Storage
    processes: Processes
    logs: Path
    work: Path
    store: Store

    def log(self, job: str, task: str) -> Path:
        """The file of a task's log."""
        return self.logs / hashlib.sha256(job.encode()).hexdigest()[:32] / f"{_file(task)}.log"


@dataclass
class Scope:
    """What a dag gives to its tasks: its own inputs, and what the tasks made."""

    path: str
    parent_id: int
    component: Any
    parameters: dict[str, Any]
    artifacts: dict[str, list[Any]]


class Stopped(Exception):
    """The emulator ends: the task stays as it is, for the next one."""


class Running:
    """A job that has not ended."""

    def __init__(self, job: Any, live: Any, places: Places, save: Callable[[Any, bool], None]) -> None:
        self.job = job
        self.live = live
        self.places = places
        self.spec = Spec(data_of(job.pipeline_spec))
        self.id = job.name.rpartition("/")[2]
        self.changed = threading.Condition(threading.RLock())
        self.steps: set[Step] = set()
        self.canceling = live.state == _JOB_CANCELLING
        self.stopping = False
        self._save = save
        self._thread = threading.Thread(target=self._run, name=self.id, daemon=True)
        self._details = {one.task_unique_name: one for one in live.job_detail.task_details}

    def start(self) -> None:
        """Begin, or go on."""
        self._thread.start()

    def join(self) -> None:
        """Wait until its thread has ended."""
        self._thread.join()

    def cancel(self) -> None:
        """End the steps that run and start no other."""
        with self.changed:
            if self.live.state in (_JOB_SUCCEEDED, _JOB_FAILED, _JOB_CANCELLED):
                return
            self.canceling = True
            self.live.state = _JOB_CANCELLING
            self.save()
            self._end_steps()

    def stop(self) -> None:
        """End the steps that run and leave the job to the next emulator."""
        with self.changed:
            self.stopping = True
            self._end_steps(1.0)

    def _end_steps(self, grace: float = GRACE) -> None:
        for step in self.steps:
            step.end(grace)
        self.changed.notify_all()

    def save(self, ended: bool = False) -> None:
        """Write down how the job is now; the caller holds the lock."""
        self.live.update_time.CopyFrom(now())
        self._save(self.live, ended)
        self.changed.notify_all()

    def _run(self) -> None:
        with self.changed:
            if not self.canceling:
                self.live.state = _JOB_RUNNING
            if not self.live.HasField("start_time"):
                self.live.start_time.CopyFrom(now())
            root = self.detail("", self.id, 0, "system.Run")
            self._begin(root)
            self.save()
        parameters = bind(self.spec.root, self.job.runtime_config.parameter_values)
        self.note(root, "input", parameters)
        scope = Scope("", root.task_id, self.spec.root, parameters, {})
        try:
            state = self.run_dag(scope)
        except Stopped:
            return
        with self.changed:
            try:
                if state == SUCCEEDED:
                    self.finish_dag(scope, root)
            except ApiError as error:
                state = FAILED
                root.error.CopyFrom(status_of(error))
            self._finish(root, state)
            self.live.end_time.CopyFrom(now())
            self.live.state = {SUCCEEDED: _JOB_SUCCEEDED, CANCELLED: _JOB_CANCELLED}.get(state, _JOB_FAILED)
            if state != SUCCEEDED:
                self._explain(state)
            self.save(ended=True)

    def _explain(self, state: int) -> None:
        if state == CANCELLED:
            self.live.error.CopyFrom(status_of(ApiError("CANCELLED", "The pipeline job was cancelled by its user.")))
            return
        failed = sorted(one.task_name for one in self._details.values() if one.state == FAILED and one.parent_task_id)
        message = f"The DAG failed because some tasks failed. The failed tasks are: [{', '.join(failed)}]."
        self.live.error.CopyFrom(status_of(ApiError("FAILED_PRECONDITION", message)))

    def run_dag(self, scope: Scope) -> int:
        """Run all tasks of a dag; SUCCEEDED, FAILED or CANCELLED."""
        tasks = scope.component.dag.tasks
        with self.changed:
            details = {name: self._task_detail(scope, name, tasks[name]) for name in sorted(tasks)}
            self.save()
            started: set[str] = set()
            while not all(one.state in _ENDED for one in details.values()):
                if self.stopping:
                    self._await_steps(started, details)
                    raise Stopped
                before = [one.state for one in details.values()]
                for name, detail in details.items():
                    if detail.state not in _ENDED and name not in started:
                        self._advance(scope, name, details, started)
                if before == [one.state for one in details.values()]:
                    self.changed.wait()
            states = {one.state for one in details.values()}
        if self.canceling and states & {CANCELLED}:
            return CANCELLED
        return FAILED if states & {FAILED, CANCELLED} else SUCCEEDED

    def _await_steps(self, started: set[str], details: dict[str, Any]) -> None:
        while self.steps:
            self.changed.wait()

    def _advance(self, scope: Scope, name: str, details: dict[str, Any], started: set[str]) -> None:
        """Start a task, or say why it will not be started; the caller holds the lock."""
        task, detail = scope.component.dag.tasks[name], details[name]
        if self.canceling:
            self.end(detail, CANCELLED)
            return
        upstream = {details[one].state for one in producers(task)}
        if not upstream <= _ENDED:
            return
        whatever = task.trigger_policy.strategy == task.trigger_policy.ALL_UPSTREAM_TASKS_COMPLETED
        stopped = self.job.runtime_config.failure_policy == _FAIL_FAST and not whatever
        failed = any(one.state == FAILED for one in self._details.values())
        if not (whatever or upstream <= _GOOD) or (stopped and failed):
            self.end(detail, NOT_TRIGGERED)
            return
        started.add(name)
        self._begin(detail)
        self.save()
        threading.Thread(target=self._run_task, args=(scope, name, detail), daemon=True).start()

    def _run_task(self, scope: Scope, name: str, detail: Any) -> None:
        from penstock_vertex_emulator.tasks import run_task

        try:
            state = run_task(self, scope, name, detail)
        except Stopped:
            return
        except ApiError as error:
            state = FAILED
            with self.changed:
                detail.error.CopyFrom(status_of(error))
        except Exception as error:  # a fault of the emulator ends the task and not the thread alone
            traceback.print_exc()
            state = FAILED
            with self.changed:
                detail.error.CopyFrom(status_of(ApiError("INTERNAL", f"the emulator failed: {error!r}")))
        with self.changed:
            self.end(detail, state)

    def _begin(self, detail: Any) -> None:
        detail.state = RUNNING
        if not detail.HasField("start_time"):  # else it goes on after a restart
            detail.start_time.CopyFrom(now())
        detail.pipeline_task_status.add(update_time=now(), state=RUNNING)

    def end(self, detail: Any, state: int) -> None:
        """Write down a task's end; the caller holds the lock."""
        self._finish(detail, state)
        self.save()

    def _finish(self, detail: Any, state: int) -> None:
        detail.state = state
        detail.end_time.CopyFrom(now())
        status = detail.pipeline_task_status.add(update_time=now(), state=state)
        if detail.HasField("error"):
            status.error.CopyFrom(detail.error)

    def finish_dag(self, scope: Scope, detail: Any) -> None:
        """Hand a dag's outputs on from its tasks. Raises ApiError."""
        outputs = scope.component.dag.outputs
        found: dict[str, Any] = {}
        for name, output in outputs.parameters.items():
            values = [
                made[one.output_parameter_key]
                for one in selectors(output)
                if one.output_parameter_key in (made := self.made(scope, one.producer_subtask))
            ]
            if len(values) != 1:
                raise ApiError("FAILED_PRECONDITION", f"{len(values)} tasks made the output {name!r}, not one")
            found[name] = values[0]
        self.note(detail, "output", found)
        for name, output in outputs.artifacts.items():
            for one in output.artifact_selectors:
                made = self._details[f"{scope.path}{one.producer_subtask}"].outputs
                if one.output_artifact_key in made:
                    detail.outputs[name].artifacts.extend(made[one.output_artifact_key].artifacts)

    def made(self, scope: Scope, task: str) -> dict[str, Any]:
        """The output parameters of a task that has ended."""
        metadata = data_of(self._details[f"{scope.path}{task}"].execution.metadata)
        return {key.removeprefix("output:"): value for key, value in metadata.items() if key.startswith("output:")}

    def artifacts_of(self, scope: Scope, task: str, key: str) -> list[Any]:
        """An output artifact of a task that has ended."""
        return list(self._details[f"{scope.path}{task}"].outputs[key].artifacts)

    def note(self, detail: Any, side: str, values: dict[str, Any]) -> None:
        """Write parameters down where Vertex AI shows them: `input:x` and `output:x` of the execution's metadata."""
        with self.changed:
            for name, value in values.items():
                detail.execution.metadata[f"{side}:{name}"] = value

    def _task_detail(self, scope: Scope, name: str, task: Any) -> Any:
        kind = "system.DagExecution" if self.spec.component(task).HasField("dag") else "system.ContainerExecution"
        return self.detail(f"{scope.path}{name}", name, scope.parent_id, kind)

    def detail(self, unique: str, name: str, parent: int, schema: str) -> Any:
        """The detail of a task, made when it is asked for the first time; the caller holds the lock."""
        if unique in self._details:
            return self._details[unique]
        made = self.live.job_detail.task_details.add(
            task_id=int.from_bytes(hashlib.sha256(f"{self.job.name}/{unique}".encode()).digest()[:7]),
            task_name=name,
            task_unique_name=unique,
            state=PENDING,
            create_time=now(),
        )
        if parent:
            made.parent_task_id = parent
        made.execution.CopyFrom(
            vertex().Execution(
                name=f"{self.location}/metadataStores/default/executions/{made.task_id}",
                display_name=name,
                schema_title=schema,
                schema_version="0.0.1",
                create_time=now(),
            )
        )
        made.pipeline_task_status.add(update_time=now(), state=PENDING)
        self._details[unique] = made
        return made

    @property
    def location(self) -> str:
        """The resource that the job lies in: `projects/N/locations/L`."""
        return str(self.job.name.rpartition("/pipelineJobs/")[0])


def _file(text: str) -> str:
    """A file's name for a text that may hold anything."""
    plain = "".join(one if one.isalnum() or one in "-_." else "_" for one in text)
    return (
        plain if plain == text and len(text) < 100 else f"{plain[:80]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    )
