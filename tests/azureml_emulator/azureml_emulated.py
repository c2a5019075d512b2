"""A real `penstock emulate azureml` process, Microsoft's client to it, and bodies small enough to write by hand."""

from __future__ import annotations

import itertools
import json
import os
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PENSTOCK = Path(sys.executable).with_name("penstock")
ENDED = ("Completed", "Failed", "Canceled")
VERSION = "2024-01-01-preview"
SCHEMAS = Path(__file__).parents[3] / "shared" / "schemas" / "azureml"
"""Microsoft's ARM schemas, where somebody has put them; every test holds what it sends to them then."""
_NUMBERS = itertools.count()


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}{os.getpid()}x{next(_NUMBERS)}"


class Answer:
    """What came back: `status`, `headers` and `body`, which is JSON where it can be."""

    def __init__(self, status: int, headers: Any, data: bytes) -> None:
        self.status, self.headers, self.data = status, headers, data
        try:
            self.body = json.loads(data)
        except ValueError:
            self.body = None

    @property
    def error(self) -> tuple[int, str]:
        """Status and code of a refusal."""
        return self.status, self.body["error"]["code"]

    @property
    def message(self) -> str:
        return self.body["error"]["message"]


class Emulated:
    """One emulator process over a state that stays when the process ends."""

    def __init__(self, state: Path, *options: str) -> None:
        self.state = state
        self.options = options
        self.start()

    def start(self) -> None:
        command = [str(PENSTOCK), "emulate", "azureml", "--json", "--state", str(self.state), *self.options]
        if SCHEMAS.is_dir():
            command += ["--schemas", str(SCHEMAS)]
        environment = {**os.environ, "SECRET_OF_THE_USER": "x"}
        self.errors = self.state.parent / f"{self.state.name}.stderr"
        with self.errors.open("a") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        self.info = json.loads(line)
        self.url = self.info["url"]
        self.target = self.info["target"]
        self.tls = ssl.create_default_context(cafile=self.target["ca"])
        self.workspace = (
            "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.MachineLearningServices"
            "/workspaces/{workspace}"
        ).format_map(self.target)

    def kill(self) -> None:
        """End it as nobody should."""
        self.process.kill()
        self._gone()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it as one should; its exit code."""
        self.process.send_signal(number)
        return self._gone()

    def _gone(self) -> int:
        self.process.stdout.close()
        return self.process.wait(60)

    def endpoint(self, **deployments: str) -> str:
        """Make a batch endpoint with deployments of pipeline components, the first of them the default; its name."""
        name = unique("e")
        body: dict[str, Any] = {"location": "westeurope", "properties": {"authMode": "AADToken"}}
        assert self.arm("PUT", f"batchEndpoints/{name}", body).status == 201
        for key, component in deployments.items():
            assert self.deploy(name, key, component).status == 201
        if deployments:
            body["properties"]["defaults"] = {"deploymentName": next(iter(deployments))}
            assert self.arm("PUT", f"batchEndpoints/{name}", body).status == 200
        return name

    def deploy(self, endpoint: str, name: str, component: str, **settings: str) -> Answer:
        """Make a deployment of a pipeline component."""
        configuration = {
            "deploymentConfigurationType": "PipelineComponent",
            "componentId": {"referenceType": "Id", "assetId": component},
            "settings": {"default_compute": "cpu", **settings},
        }
        body = {"location": "westeurope", "properties": {"deploymentConfiguration": configuration}}
        return self.arm("PUT", f"batchEndpoints/{endpoint}/deployments/{name}", body)

    def invoke(self, endpoint: str, data: Any = None, deployment: str = "", **more: Any) -> Answer:
        """Invoke an endpoint at its scoring address."""
        scoring = self.arm("GET", f"batchEndpoints/{endpoint}").body["properties"]["scoringUri"]
        body = {"properties": {"InputData": data or {}, **more}}
        return self.ask("POST", scoring, body, {"azureml-model-deployment": deployment})

    def client(self) -> Any:
        """Microsoft's MLClient; the variables of `env` must be set."""
        from azure.ai.ml import MLClient
        from azure.identity import ManagedIdentityCredential

        place = [self.target[key] for key in ("subscription", "resource_group", "workspace")]
        return MLClient(ManagedIdentityCredential(), *place)

    def ask(self, verb: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Answer:
        """One request, as it is, whatever comes back. A path is one of the emulator's."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = {"Authorization": "Bearer x", "Content-Type": "application/json", **(headers or {})}
        told = {key: value for key, value in told.items() if value}
        request = urllib.request.Request(url if "://" in url else self.url + url, data, told, method=verb)
        try:
            with urllib.request.urlopen(request, context=self.tls, timeout=60) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def arm(
        self, verb: str, path: str, body: Any = None, headers: dict[str, str] | None = None, **query: str
    ) -> Answer:
        """A call to ARM about something in the workspace, such as `jobs/x`."""
        asked = "&".join(f"{key}={value}" for key, value in {"api-version": VERSION, **query}.items())
        return self.ask(verb, f"{self.workspace}/{path}?{asked}".replace("/?", "?"), body, headers)

    def history(self, verb: str, path: str, body: Any = None) -> Answer:
        """A call to run history, such as `runs/x/details`."""
        return self.ask(verb, f"/history/v1.0{self.workspace}/{path}", body)

    def id(self, path: str) -> str:
        return f"{self.workspace}/{path}"

    def command(self, command: str, version: str = "1", **spec: Any) -> str:
        """Publish a command component; its id."""
        if self.arm("GET", "environments/sh/versions/1").status == 404:
            self.arm("PUT", "environments/sh/versions/1", {"properties": {"image": "busybox"}})
        environment = self.id("environments/sh/versions/1")
        made = {"type": "command", "command": command, "environment": f"azureml:{environment}", **spec}
        return self.publish(made, version)

    def publish(self, spec: dict[str, Any], version: str = "1") -> str:
        """Publish a component; its id."""
        name = unique("c")
        body = {"properties": {"componentSpec": {"name": name, "version": version, **spec}}}
        answer = self.arm("PUT", f"components/{name}/versions/{version}", body)
        assert answer.status == 201, answer.body
        return answer.body["id"]

    def pipeline(self, jobs: dict[str, Any], **spec: Any) -> str:
        """Publish a pipeline component of nodes; its id."""
        return self.publish({"type": "pipeline", "jobs": jobs, **spec})

    def submit(self, component: str, inputs: dict[str, Any] | None = None, **properties: Any) -> str:
        """Create a job of a pipeline component; its name. Inputs that are text are literals."""
        given = {key: literal(one) if isinstance(one, str) else one for key, one in (inputs or {}).items()}
        told = {"jobType": "Pipeline", "componentId": component, "inputs": given, **properties}
        told.setdefault("settings", {"default_compute": "cpu"})
        name = unique("j")
        answer = self.arm("PUT", f"jobs/{name}", {"properties": told})
        assert answer.status == 201, answer.body
        return name

    def wait(self, name: str, done: Any = lambda job: job["status"] in ENDED) -> dict[str, Any]:
        """Wait until a job has ended, or until something else is true of its properties."""
        deadline = time.monotonic() + 60
        while not done(job := self.arm("GET", f"jobs/{name}").body["properties"]):
            assert time.monotonic() < deadline, job
            time.sleep(0.02)
        return job

    def run(
        self, component: str, inputs: dict[str, Any] | None = None, **properties: Any
    ) -> tuple[str, dict[str, Any]]:
        """Create a job and wait for its end; its name and properties."""
        name = self.submit(component, inputs, **properties)
        return name, self.wait(name)

    def children(self, name: str) -> dict[str, Any]:
        """The runs of a job's nodes, by their names."""
        found = self.history("GET", f"runs/{name}/children").body["value"]
        return {one["displayName"]: one for one in found}

    def log(self, run: str) -> str:
        """What a node wrote."""
        logs = self.history("GET", f"runs/{run}/details").body["logFiles"]
        return self.ask("GET", logs["user_logs/std_log.txt"], headers={"Authorization": ""}).data.decode()

    def blob(self, path: str, container: str = "", verb: str = "GET", data: Any = None, **headers: str) -> Answer:
        """A blob of the default datastore."""
        store = self.arm("GET", "datastores/workspaceblobstore").body["properties"]["containerName"]
        return self.ask(verb, f"/penstockstore/{container or store}/{path}", data, headers)

    def output(self, run: str, key: str) -> bytes:
        """A file that a node made as its output."""
        return self.blob(f"azureml/{run}/{key}").data

    def fault(self, **what: Any) -> None:
        """Ask for a fault; without anything, for none."""
        answer = self.ask("POST" if what else "DELETE", "/emulator/v1/faults", what or None)
        assert answer.status == 200, answer.body


def literal(value: str) -> dict[str, str]:
    return {"jobInputType": "literal", "value": value}


def node(component: str, inputs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """A node of a pipeline; inputs are bound to text or expressions."""
    bound = {key: {"job_input_type": "literal", "value": value} for key, value in (inputs or {}).items()}
    return {"type": "command", "componentId": component, "inputs": bound, **more}


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
