"""Run history: what became of jobs and of their nodes, where their logs and outputs lie.

Sources: the run history client within azure-ai-ml, and what its `jobs.stream`, `jobs.download` and `jobs.list` read.
"""

from __future__ import annotations

from typing import Any

from penstock_azureml_emulator.arm import (
    GROUP,
    LOCATION,
    SUBSCRIPTION,
    WORKSPACE,
    WORKSPACE_ID,
    Call,
    Route,
    answer,
    page,
)
from penstock_azureml_emulator.errors import ArmError, invalid, missing
from penstock_azureml_emulator.jobs import Jobs
from penstock_azureml_emulator.storage import Storage
from penstock_emulator.http import Answer

_ASSET = f"azureml://locations/{LOCATION}/workspaces/{WORKSPACE_ID}/data/"


class History:
    """What is asked of runs."""

    def __init__(self, jobs: Jobs, storage: Storage) -> None:
        self._jobs = jobs
        self._storage = storage

    def routes(self) -> list[Route]:
        """What is answered."""
        base = "/history/v1.0WORKSPACE"
        named = f"{base}/experiments/{{experiment}}/runs/{{run}}"
        found = [
            Route("GET", f"{base}/runs/{{run}}", "history.get", self._get, arm=False),
            Route("PATCH", f"{base}/runs/{{run}}", "history.patch", self._patch, arm=False),
            Route("GET", f"{base}/runs/{{run}}/details", "history.details", self._details, arm=False),
            Route("GET", f"{base}/runs/{{run}}/children", "history.children", self._children, arm=False),
            Route("POST", f"{base}/rundata", "history.rundata", self._data, arm=False),
            Route("GET", named, "history.get", self._get, arm=False),
            Route("PATCH", named, "history.patch", self._patch, arm=False),
        ]
        for service, kind in (
            ("data/v1.0WORKSPACE/dataversion", "uri"),
            ("modelregistry/v1.0WORKSPACE/models", "path"),
        ):
            resolve = lambda call, kind=kind: self._resolve(call, kind)  # noqa: E731  # a handler for each
            path = f"/{service}/batchGetResolvedUris"
            found.append(Route("POST", path, "history.resolve", resolve, arm=False))
        return found

    def _found(self, run: str) -> tuple[str, dict[str, Any], dict[str, Any], dict[str, Any] | None]:
        """A run's job, that job, what changes of it, and the node's run if it is one. Raises ArmError."""
        name = run if self._jobs.find(run) else self._jobs.job_of(run)
        found = self._jobs.find(name) if name else None
        if name is None or found is None:
            raise missing("runs", run)
        job, live = found
        children = [one for one in live["children"].values() if one["run"] == run]
        return name, job, live, children[0] if children else None

    def _run(self, call: Call, run: str) -> dict[str, Any]:
        name, job, live, child = self._found(run)
        about = child or live
        told = job["properties"]
        said: dict[str, Any] = {
            "runId": run,
            "runUuid": run,
            "rootRunId": name,
            "parentRunId": child["parent"] if child else None,
            "experimentId": job["experiment"],
            "status": about["status"],
            "createdUtc": child["created"] if child else job["created"],
            "startTimeUtc": about.get("startTime"),
            "endTimeUtc": about.get("endTime"),
            "displayName": child["name"] if child else told.get("displayName", name),
            "description": None if child else told.get("description"),
            "hidden": bool(told.get("isArchived")),
            "runType": "azureml.StepRun" if child else "azureml.PipelineRun",
            "properties": _properties(name, child) if child else told["properties"],
            "tags": {} if child else told["tags"],
            "outputs": {key: _asset(run, key, one) for key, one in (about.get("outputs") or {}).items()},
            "inputs": {},
        }
        if about.get("error"):
            error = {"code": "UserError", "message": about["error"], "details": []}
            said["error"] = {"error": error, "time": about.get("endTime"), "location": LOCATION}
        return said

    def _get(self, call: Call) -> Answer:
        return answer(self._run(call, call.names["run"]))

    def _details(self, call: Call) -> Answer:
        run = call.names["run"]
        child = self._found(run)[3]
        logs = {}
        if child is not None and child["type"] == "command":
            # One that was not run shows what it is made of.
            path, run = "user_logs/std_log.txt", child.get("reused") or run
            if self._storage.blobs.get("azureml", f"ExperimentRun/dcid.{run}/{path}") is not None:
                at = self._storage.url(call.url, "azureml", f"ExperimentRun/dcid.{run}/{path}")
                logs[path] = f"{at}?{self._storage.sas('r', container=False)}"
        return answer({**self._run(call, call.names["run"]), "target": None, "logFiles": logs, "warnings": []})

    def _children(self, call: Call) -> Answer:
        run = call.names["run"]
        live = self._found(run)[2]
        found = [self._run(call, one["run"]) for one in live["children"].values() if one["parent"] == run]
        return page(call, sorted(found, key=lambda one: str(one["createdUtc"]), reverse=True))

    def _data(self, call: Call) -> Answer:
        run = call.body().get("runId")
        if not isinstance(run, str):
            raise invalid("runId: text is needed")
        return answer({"runMetadata": self._run(call, run), "runDefinition": None, "jobSpecification": None})

    def _patch(self, call: Call) -> Answer:
        """Change a job's name, tags and whether it is hidden, as the SDK archives jobs."""
        body, name = call.body(), call.names["run"]
        if self._jobs.find(name) is None:
            raise missing("runs", name)
        changes = {key: body.get(key) for key in ("displayName", "description", "tags", "properties")}
        for key in ("tags", "properties"):
            if not all(isinstance(one, str) for one in (changes[key] or {}).values()):
                raise invalid(f"{key}: text is needed")
        if isinstance(body.get("hidden"), bool):
            changes["isArchived"] = body["hidden"]
        self._jobs.amend(name, changes)
        return answer(self._run(call, name))

    def _resolve(self, call: Call, kind: str) -> Answer:
        """Where the data is that asset ids mean; those that mean nothing are left out."""
        wanted = call.body().get("values")
        if not isinstance(wanted, list):
            raise invalid("values: a list is needed")
        found = {}
        for identifier in map(str, wanted):
            run, _, key = (
                identifier.removeprefix(f"{_ASSET}azureml_").removesuffix("/versions/1").partition("_output_data_")
            )
            try:
                _, _, live, child = self._found(run)
            except ArmError:  # an id that names nothing
                continue
            output = ((child or live).get("outputs") or {}).get(key)
            if output is not None:
                found[identifier] = {kind: _long(output["uri"]), "type": output["type"]}
        return answer({"values": found})


def _properties(job: str, child: dict[str, Any]) -> dict[str, str]:
    return {
        "azureml.runsource": "azureml.StepRun",
        "azureml.pipelinerunid": job,
        "azureml.nodeid": child["run"][:8],
        "azureml.moduleName": child.get("component") or child["name"],
        "azureml.isreused": "true" if child.get("reused") else "false",
        **({"azureml.reusedrunid": child["reused"]} if child.get("reused") else {}),
    }


def _asset(run: str, key: str, output: dict[str, Any]) -> dict[str, str]:
    """The asset that an output is registered as, without anybody's asking."""
    return {"assetId": f"{_ASSET}azureml_{run}_output_data_{key}/versions/1", "type": output["type"]}


def _long(uri: str) -> str:
    """A URI of a datastore with its workspace, as Azure resolves it."""
    base = f"azureml://subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/workspaces/{WORKSPACE}/"
    return base + uri.removeprefix("azureml://") if uri.startswith("azureml://datastores/") else uri
