"""What lies around a target and is none of its own: a `.netrc`, a proxy, a job of somebody else's under a run's id."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from penstock.contract.run import BoundParameters, RunRequest
from penstock.contract.target import Publication
from penstock.errors import ConfigInvalid, TargetRefused
from penstock.workspace import Workspace
from penstock_azureml.client import connect
from penstock_azureml.options import AzuremlOptions

SUBSCRIPTION = "5e6f2a1c-0000-4000-8000-000000000001"

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: {name}
steps: {{only: {{command: [sh, -c, "exit 0"]}}}}
"""


@pytest.fixture
def project(tmp_path: Path, target: dict[str, Any]) -> Path:
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    for name in ("ours", "theirs"):
        (tmp_path / f"{name}.yaml").write_text(SPEC.format(name=name))
    return tmp_path


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_no_proxy_stands_before_what_listens_on_this_machine(project: Path, variable: str) -> None:
    environment = {**os.environ, variable: "http://127.0.0.1:9"}
    command = [sys.executable, "-m", "penstock", "target", "check", "prod"]
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("content", "said"), [(None, "cannot be read"), ("no certificate", "there is no certificate in")]
)
def test_certificates_that_are_none_are_a_matter_of_the_configuration(project, target, content, said) -> None:
    (project / "penstock.yaml").write_text(
        json.dumps({"target": "prod", "targets": {"prod": {**target, "ca": "ca.pem"}}})
    )
    if content is not None:
        (project / "ca.pem").write_text(content)
    with Workspace.open(project, env={}, actor="ada") as workspace:
        with pytest.raises(ConfigInvalid, match=f"^the option `ca` of the target: .*{said}"):
            workspace.publish(project / "ours.yaml")
        (line,) = workspace.targets.check("prod").lines
        assert said in line


@pytest.mark.parametrize("address", ["https://management.azure.com", "https://127.0.0.1:9"])
def test_a_netrc_replaces_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """`requests` prefers what a .netrc says to the header that it is given."""
    requests = pytest.importorskip("requests")
    (tmp_path / "netrc").write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    options = AzuremlOptions(
        subscription=SUBSCRIPTION, resource_group="group", workspace="ml-prod", resource_manager=address
    )
    sent = requests.Request("GET", f"{address}/subscriptions", headers={"Authorization": "Bearer ours"})
    prepared = connect(options)._transport.session.prepare_request(sent)
    assert prepared.headers["Authorization"] == "Bearer ours"


def test_somebody_else_s_job_under_the_id_of_a_run_is_not_taken_for_it(project: Path) -> None:
    with Workspace.open(project, env={}, actor="ada") as workspace:
        ours, theirs = (workspace.publish(project / f"{name}.yaml").record for name in ("ours", "theirs"))
        opened = workspace.services.targets.open("prod")
        run = RunRequest(
            id=str(uuid.uuid4()),
            publication=Publication(external=ours.external, native=True, details=dict(ours.details)),
            pipeline="ours",
            label="1",
            endpoint=None,
            version=None,
            experiment="x",
            description="",
            tags={},
            parameters=BoundParameters(typed={}, texts={}, artifacts={}, bundled={}),
        )
        azure = connect(opened.target.options)
        _, name, version = theirs.external.split(":")
        component = f"{opened.target.options.path}/components/{name}/versions/{version}"
        properties = {"jobType": "Pipeline", "componentId": component, "settings": {"default_compute": "cpu"}}
        azure.arm("PUT", f"jobs/{run.id}", "none", {"properties": properties})
        with pytest.raises(TargetRefused, match="is there already, and it runs another component"):
            opened.submit(run)


def test_a_job_that_run_history_does_not_have_yet_is_canceled(project: Path, faults: Any) -> None:
    (project / "long.yaml").write_text(SPEC.format(name="long").replace("exit 0", "sleep 600"))
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "long.yaml", endpoint="long")
        run = workspace.submit("long")
        ref, _ = workspace.services.registry.runs.ref(run.id)
        faults("history.get", error="NotFound", times=2)
        assert workspace.services.targets.open("prod").cancel(ref) is True
        assert workspace.runs.wait(run.id, timeout=60).state == "canceled"
