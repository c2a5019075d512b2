"""A pipeline job of one step whose log is read, and written to as Google's agent would."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from penstock.contract.run import RunRef
from penstock.contract.target import Publication
from penstock_vertex import cloud_logging, logs
from penstock_vertex.client import connect
from penstock_vertex.options import VertexOptions


class Job:
    """A pipeline job of one task `t`, and its log as this backend reads it."""

    def __init__(self, target: dict[str, Any], script: str, **more: Any) -> None:
        self.given = {key: value for key, value in target.items() if key != "backend"}
        self.run = uuid.uuid4().hex
        self.ref = RunRef(id=self.run, publication=Publication(external="gs://nowhere/x"))
        self.vertex = connect(VertexOptions(**self.given))
        self.vertex.create_job(f"penstock-{self.run}", {"display_name": "j", **self._job(script, **more)})

    def _job(self, script: str, **more: Any) -> dict[str, Any]:
        container = {"image": "img", "command": ["sh", "-c", script], "args": [f"go-{self.run}"]}
        tasks = {
            name: {"taskInfo": {"name": name}, "componentRef": {"name": "c"}, "dependentTasks": after, **extra}
            for name, after, extra in (("t", [], more), ("u", ["t"], {}))
        }
        spec = {
            "schemaVersion": "2.1.0",
            "pipelineInfo": {"name": "logs"},
            "root": {"dag": {"tasks": tasks}},
            "components": {"c": {"executorLabel": "e"}},
            "deploymentSpec": {"executors": {"e": {"container": container}}},
        }
        return {"pipeline_spec": spec, "runtime_config": {"gcs_output_directory": self.vertex.uri("runs")}}

    def read(self, offset: int = 0, step: str = "t", **options: Any) -> Any:
        target = SimpleNamespace(options=VertexOptions(**{**self.given, **options}), name="prod")
        return logs.read(target, self.ref, step, offset)

    def whole(self, **options: Any) -> bytes:
        """All of it, asked for until it is complete."""
        data, deadline = b"", time.monotonic() + 200
        while True:
            chunk = self.read(len(data), **options)
            assert chunk.next_offset == len(data) + len(chunk.data)
            data += chunk.data
            if chunk.complete:
                return data
            assert time.monotonic() < deadline, data[-200:]
            time.sleep(0.01)

    def detail(self) -> dict[str, Any]:
        details = self.vertex.find_job(f"penstock-{self.run}")["jobDetail"].get("taskDetails", [])
        return next((one for one in details if one.get("taskName") == "t"), {})

    def custom_job(self) -> str:
        """The id of the custom job that runs now; waits until there is one."""
        deadline = time.monotonic() + 30
        while True:
            named = self.detail().get("executorDetail", {}).get("containerDetail", {}).get("mainJob", "")
            if named:
                return str(named.rpartition("/")[2])
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def go(self) -> None:
        """Let the step end, and wait until it has."""
        self.vertex._bucket.blob(f"go-{self.run}").upload_from_string(b"")
        self.ended()

    def ended(self) -> Job:
        while not self.detail().get("endTime"):
            time.sleep(0.01)
        return self

    def write(self, payload: Any, ago: float, **more: Any) -> None:
        """An entry of the step's, through Google's own library: written now, with a time so many seconds ago."""
        client = cloud_logging._client(self.given["project"], self.given["logging_endpoint"], "anonymous")
        entry = {
            "logName": f"projects/{self.given['project']}/logs/workerpool0-0",
            "timestamp": (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(),
            "resource": {"type": "ml_job", "labels": {"job_id": self.custom_job()}},
            "textPayload" if isinstance(payload, str) else "jsonPayload": payload,
        }
        client.logging_api.write_entries([{**entry, **more}], partial_success=False)
