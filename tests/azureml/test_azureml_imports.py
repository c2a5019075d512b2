"""What a process imports that submits and looks: azure-core, and not the package that takes three seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SPEC = Path(__file__).parents[2] / "specs" / "digits"
SUBMIT = """
import json, resource, sys
from penstock.workspace import Workspace
with Workspace.open(sys.argv[1], env={}, actor="ada") as workspace:
    run = workspace.submit("quick")
    workspace.runs.get(run.id)
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"modules": sorted(sys.modules), "cpu": used.ru_utime + used.ru_stime, "run": run.id}))
"""
QUICK = """\
apiVersion: penstock/v1
kind: Pipeline
name: quick
steps:
  only: {command: ["true"]}
"""


@pytest.fixture
def project(tmp_path: Path, target: dict[str, Any]) -> Path:
    return made(tmp_path, target)


def made(folder: Path, target: dict[str, Any]) -> Path:
    """A project with the endpoint `quick` on a target."""
    from penstock.workspace import Workspace

    (folder / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    (folder / "quick.yaml").write_text(QUICK)
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "quick.yaml", endpoint="quick")
    return folder


def submitted(project: Path) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", SUBMIT, project], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_submit_and_status_do_without_the_large_package(project: Path) -> None:
    modules = set(submitted(project)["modules"])
    assert "azure.core" in modules and "penstock_azureml.jobs" in modules
    assert not {name for name in modules if name.startswith(("azure.ai", "azure.identity", "azure.storage", "msal"))}
