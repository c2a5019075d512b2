"""One pipeline job on its way: a thread for the job, one for each node that runs."""

from __future__ import annotations

import threading
import traceback
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_azureml_emulator.documents import Documents, now
from penstock_azureml_emulator.errors import ArmError
from penstock_azureml_emulator.graph import output_binding, upstream
from penstock_azureml_emulator.reuse import Reuse
from penstock_azureml_emulator.storage import Storage
from penstock_emulator.processes import GRACE, Processes, Step

ENDED = frozenset({"Completed", "Failed", "Canceled"})
"""The states of a job, and of a node's, that are its end. Source: `JobStatus` of the job's resource."""


@dataclass(frozen=True)
class Places:
    """Where jobs find what they share."""

    documents: Documents
    storage: Storage
    reuse: Reuse
    processes: Processes
    folder: Path
    url: Callable[[], str]

    @property
    def work(self) -> Path:
        """Where the folders of steps that run lie."""
        return self.folder / "work"

    def log(self, run: str) -> Path:
        """The file of what a node wrote."""
        return self.folder / "logs" / run / "std_log.txt"


class Stopped(Exception):
    """The emulator ends: the node stays as it is, for the next one."""


@dataclass(frozen=True)
class Scope:
    """A pipeline within a job: the job's own, or one that is a node of another.

    `inputs` are values by name: text, or `{"uri": ..., "type": ...}` for data; `places` where outputs go that were
    given a place; `path` is what node names begin with.
    """

    path: str
    run: str
    spec: dict[str, Any]
    inputs: dict[str, Any]
    places: dict[str, str]


class Running:
    """A job that has not ended. `live` is what changes of it, `children` in it the runs of its nodes by their path."""

    def __init__(
        self, name: str, job: dict[str, Any], live: dict[str, Any], places: Places, save: Callable[[bool], None]
    ) -> None:
        self.name = name
        self.job = job
        self.live = live
        self.places = places
        self.changed = threading.Condition(threading.RLock())
        self.steps: set[Step] = set()
        self.canceling = live["status"] == "CancelRequested"
        self.giving_up = False
        self.stopping = False
        self._tasks = 0
        self._save = save
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The job's settings."""
        return self.job["properties"].get("settings") or {}

    def start(self) -> None:
        """Begin, or go on."""
        self._thread.start()

    def join(self) -> None:
        """Wait until its thread has ended."""
        self._thread.join()

    def cancel(self) -> None:
        """End the steps that run and start no other."""
        with self.changed:
            if self.live["status"] in ENDED:
                return
            self.canceling = True
            self.live["status"] = "CancelRequested"
            self.save()
            self.end_steps()

    def stop(self) -> None:
        """End the steps that run and leave the job to the next emulator."""
        with self.changed:
            self.stopping = True
            self.end_steps(1.0)

    def end_steps(self, grace: float = GRACE) -> None:
        """Ask all steps to end; the caller holds the lock."""
        for step in self.steps:
            step.end(grace)
        self.changed.notify_all()

    def save(self, ended: bool = False) -> None:
        """Write down how the job is now; the caller holds the lock."""
        self._save(ended)
        self.changed.notify_all()

    def _run(self) -> None:
        with self.changed:
            self.live.setdefault("startTime", now())
            if not self.canceling:
                self.live["status"] = "Running"
            self.save()
        plan = self.job["plan"]
        root = Scope("", self.name, plan["spec"], plan["inputs"], plan["places"])
        failure = ""
        try:
            state = self.run_graph(root)
        except Stopped:
            with self.changed:
                while self._tasks:  # what ended in time is written down
                    self.changed.wait()
            return
        except Exception as error:  # a fault of the emulator ends the job and not the thread alone
            traceback.print_exc()
            state, failure = "Failed", f"the emulator failed: {error!r}"
        with self.changed:
            self.live.update(status=state, endTime=now(), outputs=self.made(root))
            if state == "Failed":
                failed = sorted(one["path"] for one in self.live["children"].values() if one["status"] == "Failed")
                self.live["error"] = failure or (
                    f"Pipeline has failed child jobs. Failed nodes: {', '.join(f'/{path}' for path in failed)}. For"
                    " more details and logs, please go to the job detail page and check the child jobs."
                )
            self.save(ended=True)

    def run_graph(self, scope: Scope) -> str:
        """Run all nodes of a pipeline; Completed, Failed or Canceled. Raises Stopped."""
        nodes = scope.spec["jobs"]
        with self.changed:
            started: set[str] = set()
            while True:
                if self.stopping:
                    raise Stopped
                states = {name: self._state(scope, name) for name in nodes}
                ready = [
                    name
                    for name, node in nodes.items()
                    if name not in started
                    and states[name] not in ENDED
                    and all(states[one] == "Completed" for one in upstream(node))
                ]
                if self.canceling or self.giving_up:
                    ready = []
                for name in ready:
                    started.add(name)
                    self._begin(scope, name)
                if not ready and all(states[name] in ENDED for name in started):
                    break
                if not ready:
                    self.changed.wait()
            found = {self._state(scope, name) for name in nodes}
        if self.canceling and found - {"Completed"}:
            return "Canceled"
        return "Completed" if found == {"Completed"} else "Failed"

    def made(self, scope: Scope) -> dict[str, Any]:
        """The outputs of a pipeline, as far as its nodes have made them."""
        found = {}
        for name, node in scope.spec["jobs"].items():
            for key, source in (node.get("outputs") or {}).items():
                output, child = output_binding(source), self.live["children"].get(f"{scope.path}{name}")
                if output and child and key in child["outputs"]:
                    found[output] = child["outputs"][key]
        return found

    def _state(self, scope: Scope, name: str) -> str:
        child = self.live["children"].get(f"{scope.path}{name}")
        return child["status"] if child else "NotStarted"

    def _begin(self, scope: Scope, name: str) -> None:
        """Start a node; the caller holds the lock. A node that was interrupted keeps its run."""
        path, node = f"{scope.path}{name}", scope.spec["jobs"][name]
        run = str(uuid.uuid5(uuid.UUID(self.job["uuid"]), path))
        before = self.live["children"].get(path, {})
        self.live["children"][path] = {
            "run": run,
            "parent": scope.run,
            "path": path,
            "name": node.get("display_name") or name,
            "component": node["spec"].get("name") or name,
            "type": node["spec"]["type"],
            "created": before.get("created") or now(),
            "startTime": before.get("startTime") or now(),
            "status": "Preparing",
            "inputs": {},
            "outputs": {},
        }
        self.save()
        self._tasks += 1
        threading.Thread(target=self._run_node, args=(scope, name, path), daemon=True).start()

    def _run_node(self, scope: Scope, name: str, path: str) -> None:
        from penstock_azureml_emulator.nodes import run_node

        child = self.live["children"][path]
        state, error = "", ""
        try:
            state = run_node(self, scope, name, child)
        except Stopped:
            pass
        except ArmError as refusal:
            state, error = "Failed", refusal.message
        except Exception as fault:  # a fault of the emulator ends the node and not the thread alone
            traceback.print_exc()
            state, error = "Failed", f"the emulator failed: {fault!r}"
        with self.changed:
            self._tasks -= 1
            if not state or (self.stopping and state != "Completed"):
                self.changed.notify_all()
                return
            if (self.canceling or self.giving_up) and state == "Failed":
                state, error = "Canceled", ""
            child.update(status=state, endTime=now(), **({"error": error} if error else {}))
            # Text where a deployment says it.
            if state == "Failed" and str(self.settings.get("continue_on_step_failure")).lower() == "false":
                self.giving_up = True
                self.end_steps()
            self.save()
