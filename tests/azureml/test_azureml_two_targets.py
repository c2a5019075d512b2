"""Two targets that are one workspace of Azure ML, with different options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from penstock.workspace import Workspace
from penstock_azureml.client import connect
from penstock_azureml.endpoints import endpoint_name

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: shared
steps: {only: {command: [sh, -c, "exit 0"]}}
"""


def test_each_target_has_its_versions_of_an_endpoint_to_itself(tmp_path: Path, target: dict[str, Any]) -> None:
    targets = {"prod": target, "other": {key: value for key, value in target.items() if key != "compute"}}
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": targets}))
    (tmp_path / "shared.yaml").write_text(SPEC)
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        for name in targets:
            workspace.publish(tmp_path / "shared.yaml", endpoint="shared", target=name)
        record = workspace.endpoints.get("shared")
        azure = connect(workspace.services.targets.open("prod").target.options)
        found = {}
        for name in targets:
            path = f"batchEndpoints/{endpoint_name(record.id, name)}"
            default = azure.arm("GET", path, "none").json()["properties"]["defaults"]["deploymentName"]
            below = azure.arm("GET", f"{path}/deployments", "none").json()["value"]
            computes = {
                one["name"]: one["properties"]["deploymentConfiguration"]["settings"]["default_compute"]
                for one in below
            }
            found[name] = (default, computes)
    compute = target["compute"]
    assert found == {"prod": ("version-0", {"version-0": compute}), "other": (None, {"version-1": "serverless"})}
