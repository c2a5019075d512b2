"""The jobs: taken, started, cancelled, found again after a restart. What a job does is in `running`."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

from penstock_emulator.processes import Processes
from penstock_emulator.store import Store
from penstock_vertex_emulator.agent import Agents
from penstock_vertex_emulator.errors import ApiError
from penstock_vertex_emulator.messages import vertex
from penstock_vertex_emulator.running import Places, Running
from penstock_vertex_emulator.storage import Storage

FINAL = frozenset({4, 5, 7})
"""The states of a job that are its end: SUCCEEDED, FAILED, CANCELLED."""


class Jobs:
    """All PipelineJobs of one state."""

    def __init__(self, store: Store, storage: Storage, processes: Processes, agents: Agents, folder: Path) -> None:
        self._store = store
        self._places = Places(storage, processes, agents, folder / "work", store)
        self._running: dict[str, Running] = {}
        self._lock = threading.Lock()
        self._starting = threading.Lock()

    def resume(self) -> int:
        """Go on with what was interrupted; how many jobs that are."""
        shutil.rmtree(self._places.work, ignore_errors=True)
        rows = self._store.rows("select name from jobs where unfinished order by seq")
        for (name,) in rows:
            self._start(str(name))
        return len(rows)

    def create(self, name: str, job: Any, live: Any) -> None:
        """Take a job and start it. Raises ApiError (ALREADY_EXISTS)."""
        with self._starting:
            self._create(name, job, live)

    def _create(self, name: str, job: Any, live: Any) -> None:
        taken = self._store.run(
            "insert or ignore into jobs select ?, ?, coalesce(max(seq), 0) + 1, ?, ?, 1 from jobs",
            name,
            name.rpartition("/pipelineJobs/")[0],
            job.SerializeToString(),
            live.SerializeToString(),
        )
        if not taken:
            raise ApiError("ALREADY_EXISTS", f"the PipelineJob {name} already exists")
        self._start(name)

    def get(self, name: str) -> Any:
        """A job as it is now. Raises ApiError (NOT_FOUND)."""
        row = self._store.row("select resource, live from jobs where name = ?", name)
        if not row:
            raise ApiError("NOT_FOUND", f"the PipelineJob {name} does not exist")
        return _merged(*row)

    def all(self, parent: str) -> list[Any]:
        """All jobs of a location, the newest first."""
        rows = self._store.rows("select resource, live from jobs where parent = ? order by seq desc", parent)
        return [_merged(*row) for row in rows]

    def cancel(self, name: str) -> None:
        """Ask a job to end; nothing happens to one that has ended. Raises ApiError (NOT_FOUND)."""
        with self._starting:  # a job that can be read is one that can be canceled
            self.get(name)
        with self._lock:
            running = self._running.get(name)
        if running is not None:
            running.cancel()

    def delete(self, name: str) -> None:
        """Forget a job that has ended, but not its logs. Raises ApiError (NOT_FOUND, FAILED_PRECONDITION)."""
        if self.get(name).state not in FINAL:
            raise ApiError("FAILED_PRECONDITION", f"the PipelineJob {name} has not ended: cancel it first")
        self._store.run("delete from jobs where name = ?", name)

    def close(self) -> None:
        """Stop where everything is; the next emulator of this state goes on from here."""
        with self._lock:
            running = list(self._running.values())
        for one in running:
            one.stop()
        for one in running:
            one.join()

    def _start(self, name: str) -> None:
        row = self._store.row("select resource, live from jobs where name = ?", name)
        message = vertex().PipelineJob
        running = Running(
            message.FromString(row[0]),
            message.FromString(row[1]),
            self._places,
            save=lambda live, ended: self._save(name, live, ended),
        )
        with self._lock:
            self._running[name] = running
        running.start()

    def _save(self, name: str, live: Any, ended: bool) -> None:
        statement = "update jobs set live = ?, unfinished = ? where name = ?"
        self._store.run(statement, live.SerializeToString(), int(not ended), name)
        if ended:
            with self._lock:
                self._running.pop(name, None)


def _merged(resource: Any, live: Any) -> Any:
    job = vertex().PipelineJob.FromString(resource)
    job.MergeFromString(live)
    return job
