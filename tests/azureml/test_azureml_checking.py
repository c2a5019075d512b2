"""`penstock target check`: whatever of it fails, it answers in lines of words."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.errors import TargetUnavailable
from penstock.workspace import Workspace
from penstock_azureml import checking

CALLS = ("workspaces.get", "discovery", "computes.get", "datastores.get", "datastores.listSecrets", "blobs.put")
ASKED = (*CALLS, "blobs.get", "permissions.list", "components.names")
TIMES = itertools.count(1)
ROLE = "Microsoft.MachineLearningServices/workspaces"
SCIENTIST = {
    "actions": [f"{ROLE}/*/read", f"{ROLE}/*/action", f"{ROLE}/*/delete", f"{ROLE}/*/write"],
    "notActions": [f"{ROLE}/delete", f"{ROLE}/write", f"{ROLE}/computes/*/write", f"{ROLE}/listKeys/action"],
}


@pytest.fixture
def check(tmp_path: Path, target: dict[str, Any]) -> Callable[[], Any]:
    """Checks the emulator as a process that knows nothing of it yet: what is known is known of the target's options."""

    def checked() -> Any:
        options = {**target, "poll_timeout": 30 + next(TIMES) / 1000}
        (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": options}}))
        with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
            return workspace.services.targets.open("prod").check()

    return checked


def test_what_is_well_is_said_and_really_asked(check, faults) -> None:
    health = check()
    assert health.ok, health.lines
    assert [line.partition(":")[0] for line in health.lines] == [
        "credentials", "workspace", "compute", "datastore", "permissions", "published",
    ]  # fmt: skip
    assert "datastore: workspaceblobstore can be read and written" in health.lines
    assert not set(ASKED) - faults()["calls"].keys(), "each is asked"


@pytest.mark.parametrize("call", ASKED)
@pytest.mark.parametrize("fault", [{"error": "AuthorizationFailed"}, {"error": "ResourceNotFound"},
                                   {"error": "InternalServerError"}, {"lose_answer": True}])  # fmt: skip
def test_a_fault_at_any_call_is_an_answer(check, faults, call, fault) -> None:
    faults(call, times=0, **fault)
    health = check()
    nobody_may_ask = call == "permissions.list" and fault.get("error") in ("AuthorizationFailed", "ResourceNotFound")
    assert health.ok == nobody_may_ask, health.lines
    assert not any("\n" in line or "Traceback" in line for line in health.lines)
    assert faults()["calls"][call] >= 1


def test_each_pipeline_is_counted_once_and_no_step(tmp_path, check) -> None:
    def published() -> int:
        return int(check().lines[-1].removeprefix("published: ").split()[0])

    before = published()
    name = f"counted-{uuid.uuid4().hex[:8]}"
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        for text in ("one", "two"):
            steps = {step: {"command": ["true", text]} for step in ("a", "b", "c")}
            spec = {"apiVersion": "penstock/v1", "kind": "Pipeline", "name": name, "steps": steps}
            (tmp_path / "it.yaml").write_text(json.dumps(spec))
            workspace.publish(tmp_path / "it.yaml")
    assert published() == before + 1


@pytest.mark.parametrize(
    ("held", "lacks"),
    [
        ([{"actions": ["*"]}], []),
        ([SCIENTIST], []),
        ([], []),
        ([{"actions": ["*/read"]}, {"actions": [f"{ROLE.upper()}/*"]}], []),
        ([{**SCIENTIST, "notActions": [f"{ROLE}/jobs/write"]}], ["jobs/write"]),
        ([{"actions": ["*"], "notActions": [f"{ROLE}/datastores/*"]}], ["datastores/listSecrets/action"]),
        (
            [{"actions": ["*"], "notActions": [f"{ROLE}/batchEndpoints/*/write", f"{ROLE}/batchEndpoints/delete"]}],
            ["batchEndpoints/delete", "batchEndpoints/deployments/write"],
        ),
    ],
)
def test_what_no_role_gives_is_said(held, lacks) -> None:
    said = list(checking._permissions(SimpleNamespace(pages=lambda *_, **more: iter(held))))
    if not lacks:
        assert said == []
        return
    named = said[0].removeprefix("permissions: the credentials lack ").partition(";")[0].split(", ")
    assert named == [f"{ROLE}/{one}" for one in lacks]


def test_who_may_not_ask_for_permissions_is_no_fault() -> None:
    def refused(*_: Any, **more: Any) -> Any:
        raise TargetUnavailable("no", code="permission_denied")

    assert list(checking._permissions(SimpleNamespace(pages=refused))) == []
