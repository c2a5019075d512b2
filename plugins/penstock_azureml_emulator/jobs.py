"""The jobs: taken, started, cancelled, found again after a restart. What a job does is in `running`."""

from __future__ import annotations

import json
import re
import shutil
import threading
from typing import Any

from penstock_azureml_emulator.arm import PROVIDER, Call, Route, answer, below, page
from penstock_azureml_emulator.assets import seen
from penstock_azureml_emulator.documents import now
from penstock_azureml_emulator.errors import ArmError, invalid, missing
from penstock_azureml_emulator.operations import Operations
from penstock_azureml_emulator.running import ENDED, Places, Running
from penstock_azureml_emulator.submissions import EXPERIMENT, FREE, Submissions, frozen, new_uuid
from penstock_emulator.http import Answer
from penstock_emulator.store import Store

TABLES = """
create table if not exists jobs (
    name text primary key, seq integer not null, job text not null, live text not null, unfinished integer not null
);
create index if not exists jobs_unfinished on jobs (unfinished) where unfinished;
create table if not exists runs (id text primary key, job text not null);
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,254}")


class Jobs:
    """All jobs of one state."""

    def __init__(self, store: Store, submissions: Submissions, operations: Operations, places: Places) -> None:
        self._store = store
        self._submissions = submissions
        self._operations = operations
        self._places = places
        self._running: dict[str, Running] = {}
        self._lock = threading.RLock()

    def routes(self) -> list[Route]:
        """What is answered."""
        one = "WORKSPACE/jobs/{name}"
        return [
            Route("PUT", one, "jobs.put", self._put, schema="workspaces_jobs"),
            Route("GET", one, "jobs.get", self._get),
            Route("GET", "WORKSPACE/jobs", "jobs.list", self._list),
            Route("POST", f"{one}/cancel", "jobs.cancel", self._cancel),
            Route("DELETE", one, "jobs.delete", self._delete),
        ]

    def resume(self) -> None:
        """Go on with what was interrupted."""
        shutil.rmtree(self._places.work, ignore_errors=True)
        for (name,) in self._store.rows("select name from jobs where unfinished order by seq"):
            self._start(str(name))

    def close(self) -> None:
        """Stop where everything is; the next emulator of this state goes on from here."""
        with self._lock:
            running = list(self._running.values())
        for one in running:
            one.stop()
        for one in running:
            one.join()

    def find(self, name: str) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """A job and what changes of it, as they are now; nothing if it is not there."""
        with self._lock:
            running = self._running.get(name)
        if running is not None:
            with running.changed:
                return running.job, json.loads(json.dumps(running.live))
        row: Any = self._store.row("select job, live from jobs where name = ?", name)
        return (json.loads(row[0]), json.loads(row[1])) if row else None

    def job_of(self, run: str) -> str | None:
        """The job that a node's run belongs to."""
        row = self._store.row("select job from runs where id = ?", run)
        return str(row[0]) if row else None

    def submit(self, name: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Take a job and start it. The properties are such as `Submissions.read` gives. Raises ArmError."""
        if not _NAME.fullmatch(name):
            raise invalid(f"jobs/{name}: a name has letters, digits, `-` and `_`")
        plan = self._submissions.plan(properties)
        job = {
            "uuid": new_uuid(),
            "plan": plan,
            "properties": properties,
            "experiment": properties.get("experimentName") or EXPERIMENT,
            "created": now(),
        }
        live = {"status": "NotStarted", "children": {}}
        statement = "insert into jobs select ?, coalesce(max(seq), 0) + 1, ?, ?, 1 from jobs"
        self._store.run(statement, name, json.dumps(job), json.dumps(live))
        shown = self.shown(name)
        self._start(name)
        return shown

    def shown(self, name: str) -> dict[str, Any]:
        """A job as ARM has it; a node's run has no properties there. Raises ArmError."""
        found = self.find(name)
        base = {"id": below("jobs", name), "name": name, "type": f"{PROVIDER}/workspaces/jobs"}
        if found is None:
            if self.job_of(name) is None:
                raise missing("jobs", name)
            return {**base, "properties": None}
        job, live = found
        studio = f"https://ml.azure.com/runs/{name}"
        about = {
            "description": None,
            "computeId": None,
            "displayName": name,
            "isArchived": False,
            "experimentName": job["experiment"],
            **job["properties"],
            "properties": {"azureml.runsource": "azureml.PipelineRun", **job["properties"]["properties"]},
            "status": live["status"],
            "services": {
                "Studio": {"jobServiceType": "Studio", "endpoint": studio, "status": None, "properties": None},
            },
        }
        return {**base, "properties": about, "systemData": {"createdAt": job["created"], "createdBy": "emulator"}}

    def all(self) -> list[dict[str, Any]]:
        """All jobs as ARM has them, the newest first."""
        return [self.shown(str(name)) for (name,) in self._store.rows("select name from jobs order by seq desc")]

    def amend(self, name: str, changes: dict[str, Any]) -> None:
        """Change what can be of a job; tags and properties are added to what there is. Raises ArmError."""
        with self._lock:
            found = self.find(name)
            if found is None:
                raise missing("jobs", name)
            job = found[0]
            for key in FREE:
                if changes.get(key) is None:
                    continue
                old = job["properties"].get(key)
                # A tag that is left out stays: azure-sdk-for-python issue 30671.
                job["properties"][key] = (
                    {**(old or {}), **changes[key]} if key in ("tags", "properties") else changes[key]
                )
            self._store.run("update jobs set job = ? where name = ?", json.dumps(job), name)

    def _put(self, call: Call) -> Answer:
        name = call.names["name"]
        properties = self._submissions.read(call.body())
        with self._lock:
            found = self.find(name)
            if found is None:
                if self.job_of(name) is not None:
                    raise invalid(f"jobs/{name}: this is a run of a pipeline's node")
                return answer(self.submit(name, properties), 201)
            before, given = frozen(found[0]["properties"]), frozen(properties)
            different = sorted(key for key in {*before, *given} if before.get(key) != given.get(key))
            if different:
                names = ",  ".join(key[0].upper() + key[1:] for key in different)
                raise invalid(
                    "A job with this name already exists. If you are trying to create a new job, use a different name."
                    f" If you are trying to update an existing job, the existing job's {names} cannot be changed. Only"
                    " description, tags, displayName, properties, and isArchived can be updated."
                )
            self.amend(name, properties)
            return answer(self.shown(name))

    def _get(self, call: Call) -> Answer:
        return answer(self.shown(call.names["name"]))

    def _list(self, call: Call) -> Answer:
        kind, tag = call.request.one("jobType").lower(), call.request.one("tag")
        found = [
            one
            for one in self.all()
            if kind in ("", one["properties"]["jobType"].lower()) and (not tag or tag in one["properties"]["tags"])
        ]
        return page(call, seen(call, found))

    def _cancel(self, call: Call) -> Answer:
        name = call.names["name"]
        found = self.find(name)
        if found is None:
            raise (
                invalid(f"jobs/{name}: a node's run is cancelled with its job")
                if self.job_of(name)
                else missing("jobs", name)
            )
        with self._lock:
            running = self._running.get(name)
        if running is None or found[1]["status"] in ENDED:
            return Answer(200)
        running.cancel()
        begun = self._operations.begin(call)
        return Answer(202, {"Location": begun["Location"], "x-ms-retry-after-ms": begun["x_ms_retry_after_ms"]})

    def _delete(self, call: Call) -> Answer:
        name = call.names["name"]
        found = self.find(name)
        if found is None:
            return Answer(204)
        if found[1]["status"] not in ENDED:
            raise ArmError("Conflict", f"the job {name} has not ended: cancel it first")
        for child in found[1]["children"].values():
            self._store.run("delete from runs where id = ?", child["run"])
            self._places.reuse.forget(child["run"])
            shutil.rmtree(self._places.log(child["run"]).parent, ignore_errors=True)
        self._store.run("delete from jobs where name = ?", name)
        begun = self._operations.begin(call)
        return Answer(202, {"Location": begun["Location"], "x-ms-retry-after-ms": begun["x_ms_retry_after_ms"]})

    def _start(self, name: str) -> None:
        row: Any = self._store.row("select job, live from jobs where name = ?", name)
        live = json.loads(row[1])
        running = Running(
            name, json.loads(row[0]), live, self._places, save=lambda ended: self._save(name, live, ended)
        )
        with self._lock:
            self._running[name] = running
        running.start()

    def _save(self, name: str, live: dict[str, Any], ended: bool) -> None:
        for child in live["children"].values():
            self._store.run("insert or ignore into runs values (?, ?)", child["run"], name)
        statement = "update jobs set live = ?, unfinished = ? where name = ?"
        self._store.run(statement, json.dumps(live), int(not ended), name)
        if ended:  # without this class's lock: who has it may wait for that of the job, which is held here
            self._running.pop(name, None)
