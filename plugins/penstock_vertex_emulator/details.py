"""What a job shows of its tasks: `PipelineTaskDetail`s, with parameters and artifacts where Vertex AI has them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import data_of, now, vertex
from penstock_vertex_emulator.spec import selectors

PENDING, RUNNING, SUCCEEDED, CANCELLED, FAILED, SKIPPED, NOT_TRIGGERED = 1, 2, 3, 6, 7, 8, 9
"""The numbers of `PipelineTaskDetail.State`."""


@dataclass
class Scope:
    """What a dag gives to its tasks: its own inputs, and the beginning of their unique names."""

    path: str
    parent_id: int
    component: Any
    parameters: dict[str, Any]
    artifacts: dict[str, list[Any]]


class Details:
    """The details of one job's tasks, by their unique name. The pipeline's own has the empty one."""

    def __init__(self, name: str, live: Any, lock: threading.Condition) -> None:
        self._name = name
        self._live = live
        self._lock = lock
        self._known = {one.task_unique_name: one for one in live.job_detail.task_details}

    @property
    def location(self) -> str:
        """The resource that the job lies in: `projects/N/locations/L`."""
        return self._name.rpartition("/pipelineJobs/")[0]

    def of(self, unique: str) -> Any:
        """The detail of a task that has begun."""
        return self._known[unique]

    def failed(self) -> Iterator[Any]:
        """Those of tasks that failed."""
        return (one for unique, one in self._known.items() if unique and one.state == FAILED)

    def add(self, unique: str, name: str, parent: int, schema: str) -> Any:
        """The detail of a task, made when it is asked for the first time; the caller holds the lock."""
        if unique in self._known:
            return self._known[unique]
        made = self._live.job_detail.task_details.add(
            task_id=int.from_bytes(hashlib.sha256(f"{self._name}/{unique}".encode()).digest()[:7]),
            task_name=name,
            task_unique_name=unique,
            parent_task_id=parent,
            state=PENDING,
            create_time=now(),
        )
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
        self._known[unique] = made
        return made

    def begin(self, detail: Any) -> None:
        """Note that a task runs; the caller holds the lock."""
        detail.state = RUNNING
        if not detail.HasField("start_time"):  # else it goes on after a restart
            detail.start_time.CopyFrom(now())
        detail.pipeline_task_status.add(update_time=now(), state=RUNNING)

    def end(self, detail: Any, state: int) -> None:
        """Note a task's end; the caller holds the lock."""
        detail.state = state
        detail.end_time.CopyFrom(now())
        status = detail.pipeline_task_status.add(update_time=now(), state=state)
        if detail.HasField("error"):
            status.error.CopyFrom(detail.error)

    def note(self, detail: Any, side: str, values: dict[str, Any]) -> None:
        """Note parameters where Vertex AI shows them: `input:x` and `output:x` of the execution's metadata."""
        with self._lock:
            for name, value in values.items():
                detail.execution.metadata[f"{side}:{name}"] = value

    def made(self, scope: Scope, task: str) -> dict[str, Any]:
        """The output parameters of a task that has ended."""
        metadata = data_of(self._known[f"{scope.path}{task}"].execution.metadata)
        return {key.removeprefix("output:"): value for key, value in metadata.items() if key.startswith("output:")}

    def artifacts(self, scope: Scope, task: str, key: str) -> list[Any]:
        """An output artifact of a task that has ended; nothing where it was not made."""
        found = self._known[f"{scope.path}{task}"].outputs
        return list(found[key].artifacts) if key in found else []

    def hand_on(self, scope: Scope, detail: Any) -> None:
        """Make the outputs of a dag's tasks its own. Raises ApiError."""
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
        with self._lock:
            for name, output in outputs.artifacts.items():
                for one in output.artifact_selectors:
                    handed = self.artifacts(scope, one.producer_subtask, one.output_artifact_key)
                    detail.outputs[name].artifacts.extend(handed)
