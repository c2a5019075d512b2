"""One job on its way: the interpreter of the IR. A thread for the job, one for each task that runs."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_emulator.processes import GRACE, Processes, Step
from penstock_emulator.store import Store
from penstock_vertex_emulator.agent import Agents
from penstock_vertex_emulator.details import CANCELLED, FAILED, NOT_TRIGGERED, SKIPPED, SUCCEEDED, Details, Scope
from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import data_of, now, status_of
from penstock_vertex_emulator.spec import Spec, bind, producers
from penstock_vertex_emulator.storage import Storage

_ENDED = frozenset({SUCCEEDED, CANCELLED, FAILED, SKIPPED, NOT_TRIGGERED})
_GOOD = frozenset({SUCCEEDED, SKIPPED})
_JOB_RUNNING, _JOB_SUCCEEDED, _JOB_FAILED, _JOB_CANCELLING, _JOB_CANCELLED = 3, 4, 5, 6, 7
_FAIL_FAST = 2


@dataclass(frozen=True)
class Places:
    """Where jobs find what they share."""

    storage: Storage
    processes: Processes
    agents: Agents
    work: Path
    store: Store


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
        self.details = Details(job.name, live, self.changed)
        self.steps: set[Step] = set()
        self._tasks = 0
        self.canceling = live.state == _JOB_CANCELLING
        self.stopping = False
        self._save = save
        self._thread = threading.Thread(target=self._run, name=self.id, daemon=True)

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
            root = self.details.add("", self.id, 0, "system.Run")
            self.details.begin(root)
            self.save()
        parameters = bind(self.spec.root, self.job.runtime_config.parameter_values)
        self.details.note(root, "input", parameters)
        scope = Scope("", root.task_id, self.spec.root, parameters, {})
        try:
            state = self.run_dag(scope)
        except Stopped:
            with self.changed:
                while self._tasks:  # what ended in time is written down
                    self.changed.wait()
            return
        except Exception as error:  # a fault of the emulator ends the job and not the thread alone
            traceback.print_exc()
            state = FAILED
            root.error.CopyFrom(status_of(ApiError("INTERNAL", f"the emulator failed: {error!r}")))
        with self.changed:
            try:
                if state == SUCCEEDED:
                    self.details.hand_on(scope, root)
            except ApiError as error:
                state = FAILED
                root.error.CopyFrom(status_of(error))
            self.details.end(root, state)
            self.live.end_time.CopyFrom(now())
            self.live.state = {SUCCEEDED: _JOB_SUCCEEDED, CANCELLED: _JOB_CANCELLED}.get(state, _JOB_FAILED)
            if state != SUCCEEDED:
                self._explain(state)
            self.save(ended=True)

    def _explain(self, state: int) -> None:
        if state == CANCELLED:
            self.live.error.CopyFrom(status_of(ApiError("CANCELLED", "The pipeline job was cancelled by its user.")))
            return
        failed = sorted(one.task_name for one in self.details.failed())
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
        failed = any(self.details.failed())
        if not (whatever or upstream <= _GOOD) or (stopped and failed):
            self.end(detail, NOT_TRIGGERED)
            return
        started.add(name)
        self.details.begin(detail)
        self.save()
        self._tasks += 1
        threading.Thread(target=self._run_task, args=(scope, name, detail), daemon=True).start()

    def _run_task(self, scope: Scope, name: str, detail: Any) -> None:
        from penstock_vertex_emulator.tasks import run_task

        state, error = None, None
        try:
            state = run_task(self, scope, name, detail)
        except Stopped:
            pass
        except ApiError as refusal:
            error = refusal
        except Exception as fault:  # a fault of the emulator ends the task and not the thread alone
            traceback.print_exc()
            error = ApiError("INTERNAL", f"the emulator failed: {fault!r}")
        with self.changed:
            self._tasks -= 1
            if error is not None:
                state = FAILED
                detail.error.CopyFrom(status_of(error))
            if state is None:
                self.changed.notify_all()
            else:
                self.end(detail, state)

    def end(self, detail: Any, state: int) -> None:
        """Write down a task's end; the caller holds the lock."""
        self.details.end(detail, state)
        self.save()

    def _task_detail(self, scope: Scope, name: str, task: Any) -> Any:
        kind = "system.DagExecution" if self.spec.component(task).HasField("dag") else "system.ContainerExecution"
        return self.details.add(f"{scope.path}{name}", name, scope.parent_id, kind)
