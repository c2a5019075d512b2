"""A real `penstock emulate vertex` process, Google's own clients to it, and pipelines small enough to write by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

PENSTOCK = Path(sys.executable).with_name("penstock")
ENDED = (4, 5, 7)
STRING = {"parameterType": "STRING"}
ARTIFACT = {"artifactType": {"schemaTitle": "system.Artifact", "schemaVersion": "0.0.1"}}


class Emulated:
    """One emulator process over a state that stays when the process ends."""

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.options = options
        self.start()

    def start(self) -> None:
        command = [str(PENSTOCK), "emulate", "vertex", "--json", "--state", str(self.state), *self.options]
        environment = {**os.environ, "SECRET_OF_THE_USER": "x"}
        self.errors = self.state.parent / f"{self.state.name}.stderr"
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.info = json.loads(line)
        self.url = self.info["url"]
        self.parent = "projects/{project}/locations/{location}".format_map(self.info["target"])
        self.staging = self.info["target"]["staging"]
        self.pipelines = rest_client(self.url)
        self.storage = storage_client(self.url)
        self.bucket = self.storage.bucket(self.staging.removeprefix("gs://"))

    def kill(self) -> None:
        """End it as nobody should."""
        self.process.kill()
        self._gone()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as one should; its exit code."""
        self.process.send_signal(number)
        return self._gone()

    def _gone(self) -> int:
        self.pipelines.transport.close()
        self.storage.close()
        self.process.stdout.close()
        return self.process.wait(60)

    def submit(self, spec: dict[str, Any], job: str | None = None, **given: Any) -> Any:
        """Create a job; `parameters` and `policy` are of its runtime, the rest its own."""
        runtime = {"gcs_output_directory": f"{self.staging}/runs", "parameter_values": given.pop("parameters", {})}
        if "policy" in given:
            runtime["failure_policy"] = given.pop("policy")
        message = {"display_name": "a job", "pipeline_spec": spec, "runtime_config": runtime, **given}
        return self.pipelines.create_pipeline_job(
            parent=self.parent, pipeline_job=message, pipeline_job_id=job or f"j{time.time_ns()}", timeout=30
        )

    def run(self, spec: dict[str, Any], **given: Any) -> Any:
        """Create a job and wait for its end."""
        return self.wait(self.submit(spec, **given).name)

    def wait(self, name: str, done: Any = lambda job: job.state in ENDED) -> Any:
        """Wait until a job has ended, or until something else is true of it."""
        deadline = time.monotonic() + 60
        while not done(job := self.pipelines.get_pipeline_job(name=name, timeout=30)):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def log(self, job: str, task: str) -> bytes:
        """What the attempts of a task wrote, one after the other."""
        detail = details(self.pipelines.get_pipeline_job(name=job, timeout=30))[task].executor_detail.container_detail
        text = ""
        for name in dict.fromkeys([*detail.failed_main_jobs, detail.main_job]):
            for entry in self.entries(f'resource.labels.job_id="{name.rpartition("/")[2]}"'):
                split = entry.get("split")
                ends = split is None or split["index"] + 1 == split["totalSplits"]
                text += entry["jsonPayload"]["message"] + ("\n" if ends else "")
        return text.encode()

    def entries(self, filter_: str, **more: Any) -> list[dict[str, Any]]:
        """All log entries that a filter finds, as JSON has them, from as many pages as there are."""
        found, more = [], {"pageSize": 1000, "resourceNames": [f"projects/{self.info['target']['project']}"], **more}
        while True:
            page = self.list_entries(filter=filter_, **more)
            found += page.get("entries", [])
            if "nextPageToken" not in page:
                return found
            more["pageToken"] = page["nextPageToken"]

    def list_entries(self, **asked: Any) -> dict[str, Any]:
        """The answer to one call of `entries:list`."""
        request = urllib.request.Request(f"{self.url}/v2/entries:list", json.dumps(asked).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def fault(self, **what: Any) -> None:
        """Ask for a fault; without anything, for none."""
        verb, body = ("POST", json.dumps(what).encode()) if what else ("DELETE", None)
        request = urllib.request.Request(f"{self.url}/emulator/v1/faults", body, method=verb)
        urllib.request.urlopen(request).close()


def rest_client(url: str) -> Any:
    """Google's client of PipelineService over REST."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient

    options = {"api_endpoint": url}
    return PipelineServiceClient(transport="rest", client_options=options, credentials=AnonymousCredentials())


def storage_client(url: str) -> Any:
    """Google's client of Cloud Storage."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    return storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


def details(job: Any) -> dict[str, Any]:
    """The tasks of a job by their unique name; the pipeline's own is under the empty one."""
    return {one.task_unique_name: one for one in job.job_detail.task_details}


def outputs(detail: Any) -> dict[str, Any]:
    """The output parameters of a task."""
    return {key.removeprefix("output:"): v for key, v in dict(detail.execution.metadata).items() if "output:" in key}


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def step(script: str, *args: str, **more: Any) -> dict[str, Any]:
    """A task as `pipeline` reads it: a shell script whose words are `args`, and keys of component, task or container.

    `inputs` and `outputs` are definitions, `sources` where the inputs come from.
    """
    return {"container": {"image": "img", "command": ["sh", "-c", script], "args": list(args)}, **more}


def pipeline(tasks: dict[str, dict[str, Any]], parameters: dict[str, Any] | None = None, **root: Any) -> dict[str, Any]:
    """A PipelineSpec of container tasks; `root` are further keys of the root component."""
    components, executors, nodes = {}, {}, {}
    for name, told in tasks.items():
        component = {"executorLabel": f"exec-{name}"}
        if "inputs" in told:
            component["inputDefinitions"] = told["inputs"]
        if "outputs" in told:
            component["outputDefinitions"] = told["outputs"]
        components[f"comp-{name}"] = component
        executors[f"exec-{name}"] = {"container": {**told["container"], "env": told.get("env", [])}}
        nodes[name] = {
            "taskInfo": {"name": name},
            "componentRef": {"name": f"comp-{name}"},
            "inputs": told.get("sources", {}),
            "dependentTasks": told.get("after", []),
            **told.get("task", {}),
        }
    dag = {"tasks": nodes}
    if "dag_outputs" in root:
        dag["outputs"] = root.pop("dag_outputs")
    return {
        "schemaVersion": "2.1.0",
        "sdkVersion": "by-hand",
        "pipelineInfo": {"name": "by-hand"},
        "root": {"inputDefinitions": {"parameters": parameters or {}}, "dag": dag, **root},
        "components": components,
        "deploymentSpec": {"executors": executors},
    }


def parameter(name: str) -> str:
    return "{{$.inputs.parameters['" + name + "']}}"


def output_file(name: str) -> str:
    return "{{$.outputs.parameters['" + name + "'].output_file}}"


def from_pipeline(*names: str) -> dict[str, Any]:
    """Inputs and sources of a task that takes parameters of the pipeline under their own names, all text."""
    return {
        "inputs": {"parameters": dict.fromkeys(names, STRING)},
        "sources": {"parameters": {name: {"componentInputParameter": name} for name in names}},
    }


def from_task(task: str, key: str) -> dict[str, Any]:
    return {"taskOutputParameter": {"producerTask": task, "outputParameterKey": key}}
