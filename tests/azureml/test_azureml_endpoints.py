"""What native callers see of an endpoint: deployments of open versions, the default, nothing behind a closed gate."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from penstock.codec import load_pipeline
from penstock.contract.target import EndpointState, EndpointVersion, NativeTrigger
from penstock.errors import TargetRefused, TargetUnavailable
from penstock.snapshot import take
from penstock.workspace import Workspace
from penstock_azureml.client import Azure, connect
from penstock_azureml.components import is_archived, path_of
from penstock_azureml.endpoints import endpoint_name

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: native
description: {one of a kind}
parameters: {"1": {type: string, default: nobody}}
steps:
  only:
    command: [sh, -c, 'printf "%s" "$1" > "$2"', sh, "${{ parameters.1 }}", "${{ outputs.text }}"]
    outputs: {text: string}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""
INVOKE = """
import sys
import time
from azure.ai.ml import Input, MLClient
from azure.identity import ManagedIdentityCredential
client = MLClient(ManagedIdentityCredential(), *sys.argv[1:4])
pin = {"deployment_name": sys.argv[5]} if len(sys.argv) > 5 else {}
given = {"x_1": Input(type="string", default="by the SDK")}
print(client.batch_endpoints.invoke(endpoint_name=sys.argv[4], inputs=given, **pin).name)
"""


named = partial(endpoint_name, target="prod")


@pytest.fixture
def workspace(tmp_path: Path, target: dict[str, Any]) -> Iterator[Workspace]:
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        for _ in range(2):
            (tmp_path / "native.yaml").write_text(SPEC.replace("{one of a kind}", uuid.uuid4().hex))
            opened.publish(tmp_path / "native.yaml", endpoint="native")
        yield opened


@pytest.fixture
def seen(workspace: Workspace) -> Callable[[], Any]:
    """The default and the deployments that Azure has, or None."""
    azure = connect(workspace.services.targets.open("prod").target.options)

    def look() -> Any:
        path = f"batchEndpoints/{endpoint_name(workspace.endpoints.get('native').id, 'prod')}"
        found = azure.arm("GET", path, "no endpoint", allow=(404,))
        if found.status == 404:
            return None
        below = azure.arm("GET", f"{path}/deployments", "no deployments").json()["value"]
        return found.json()["properties"]["defaults"]["deploymentName"], sorted(one["name"] for one in below)

    return look


def test_versions_and_the_default_are_mirrored(workspace: Workspace, seen: Any) -> None:
    both = ["version-0", "version-1"]
    assert seen() == ("version-0", both)
    endpoint = workspace.endpoint("native")
    endpoint.set_default("1")
    assert seen() == ("version-1", both)
    workspace.endpoint("native").rollback()
    assert seen() == ("version-0", both)


def test_a_closed_gate_takes_away_what_it_closes(workspace: Workspace, seen: Any) -> None:
    endpoint = workspace.endpoint("native")
    workspace.endpoints.disable("native@0", reason="wrong")
    assert seen() == (None, ["version-1"])
    workspace.endpoints.enable("native@0")
    assert seen() == ("version-0", ["version-0", "version-1"])
    endpoint.disable(reason="dirty")
    assert seen() == (None, [])
    endpoint.enable()
    assert seen() == ("version-0", ["version-0", "version-1"])


def test_where_native_callers_trigger_it_is_shown_with_what_our_gates_do_not_cover(workspace: Workspace) -> None:
    azure = connect(workspace.services.targets.open("prod").target.options)
    record = workspace.endpoints.get("native")
    there = azure.arm("GET", f"batchEndpoints/{endpoint_name(record.id, 'prod')}", "no endpoint").json()
    assert record.native == NativeTrigger(url=there["properties"]["scoringUri"], gated=False)
    command = [sys.executable, "-m", "penstock", "endpoint", "show", "native"]
    shown = subprocess.run([*command, "--json"], cwd=workspace.config.base, capture_output=True, text=True, check=True)
    assert json.loads(shown.stdout)["urls"]["native"] == {"url": record.native.url, "gated": False}
    shown = subprocess.run(command, cwd=workspace.config.base, capture_output=True, text=True, check=True)
    assert f"{record.native.url} (not covered by our gates)" in shown.stdout


def test_the_component_of_a_closed_pipeline_is_hidden_and_shown_again(workspace: Workspace) -> None:
    azure = connect(workspace.services.targets.open("prod").target.options)
    first, second = (version.published for version in workspace.endpoints.get("native").versions)
    workspace.pipelines.disable(first, reason="wrong")
    assert _archived(azure, workspace, first) and not _archived(azure, workspace, second)
    workspace.pipelines.enable(first)
    assert not _archived(azure, workspace, first)


def test_a_component_is_open_while_one_of_its_pipelines_is(workspace: Workspace) -> None:
    """Two labels of the same content are one component."""
    azure = connect(workspace.services.targets.open("prod").target.options)
    workspace.publish(workspace.config.base / "native.yaml", label="same", endpoint="native")
    _, second, same = (version.published for version in workspace.endpoints.get("native").versions)
    workspace.pipelines.disable(second)
    assert not _archived(azure, workspace, second)
    workspace.pipelines.disable(same)
    assert _archived(azure, workspace, second)
    workspace.pipelines.enable(second)
    assert not _archived(azure, workspace, second)


def test_what_nothing_uses_is_hidden_and_restored_by_the_next_publish(workspace: Workspace) -> None:
    azure = connect(workspace.services.targets.open("prod").target.options)
    published = workspace.endpoints.get("native").versions[1].published
    external = workspace.pipelines.get(published).external
    workspace.endpoints.delete("native")
    workspace.pipelines.delete(published)
    assert is_archived(azure.arm("GET", path_of(external), "it is kept").json())
    again = workspace.pipelines.publish(workspace.config.base / "native.yaml").published
    assert again.external == external and not _archived(azure, workspace, again.id)
    assert again.details["reused"] == "the component was archived, and is restored"
    run = workspace.runs.submit(again.id).run
    assert workspace.runs.wait(run.id, timeout=60).state == "succeeded"


def _archived(azure: Azure, workspace: Workspace, published: str) -> bool:
    path = path_of(workspace.pipelines.get(published).external)
    return is_archived(azure.arm("GET", path, "no component").json())


def test_old_news_changes_nothing(workspace: Workspace, seen: Any) -> None:
    before = seen()
    record = workspace.endpoints.get("native")
    old = EndpointState(
        id=record.id, name="native", description="", enabled=False, default=None, versions=(), revision=0
    )
    assert workspace.services.targets.open("prod").sync_endpoint(old) == record.native
    assert seen() == before


@pytest.mark.parametrize("method", ["batchEndpoints.put", "deployments.put"])
def test_an_operation_that_fails_late_is_told_and_done_again(workspace, target, faults, method) -> None:
    """It was accepted, and failed while it was waited for; what it left behind does not block the next attempt."""
    opened = workspace.services.targets.open("prod")
    folder = workspace.config.base
    taken = take(load_pipeline(folder / "native.yaml"), folder, folder / "store")
    external = opened.publish(taken, opened.compile(taken)).external
    azure = connect(opened.target.options)
    state = EndpointState(
        id=str(uuid.uuid4()),
        name="late",
        description="",
        enabled=True,
        default="0",
        versions=(
            EndpointVersion(
                version="0", external=external, digest=taken.digest, label="1", enabled=True, published_enabled=True
            ),
        ),
        revision=1,
    )
    faults(method, late=True, message="no capacity in the region")
    with pytest.raises(TargetRefused, match="Azure began it, and it failed: no capacity in the region"):
        opened.sync_endpoint(state)
    assert isinstance(opened.sync_endpoint(state), NativeTrigger)
    path = f"batchEndpoints/{endpoint_name(state.id, 'prod')}"
    assert azure.arm("GET", path, "none").json()["properties"]["defaults"] == {"deploymentName": "version-0"}
    assert (
        azure.arm("GET", f"{path}/deployments/version-0", "none").json()["properties"]["provisioningState"]
        == "Succeeded"
    )
    assert opened.sync_endpoint(evolve(state, deleted=True, revision=2)) is True
    assert azure.arm("GET", path, "none", allow=(404,)).status == 404


def test_a_native_caller_pins_and_then_takes_the_default(workspace: Workspace) -> None:
    name = named(workspace.endpoints.get("native").id)
    azure = connect(workspace.services.targets.open("prod").target.options)
    uri = azure.arm("GET", f"batchEndpoints/{name}", "no endpoint").json()["properties"]["scoringUri"]
    ran = []
    for pin in ("version-1", None):
        body = {"properties": {"InputData": {"x_1": {"JobInputType": "Literal", "Value": f"by {pin}; `id`"}}}}
        headers = {"azureml-model-deployment": pin} if pin else {}
        answer = azure.call("POST", uri, "not invoked", body, headers=headers)
        ran.append(answer.headers["azureml-model-deployment"])
    assert ran == ["version-1", "version-0"]


def test_microsoft_s_own_client_pins_and_then_takes_the_default(
    workspace: Workspace, emulator: Any, tmp_path: Path
) -> None:
    """Each in a process of its own: in one, its pin would hold for the call after it, too (see the page's warning)."""
    name = named(workspace.endpoints.get("native").id)
    options = workspace.services.targets.open("prod").target.options
    azure, place = connect(options), [options.subscription, options.resource_group, options.workspace]
    deployed = {
        version: azure.arm("GET", f"batchEndpoints/{name}/deployments/version-{version}", "none").json()["properties"]
        for version in "01"
    }
    environment = {**os.environ, **emulator["env"], "HOME": str(tmp_path)}
    for pin, version in ((["version-1"], "1"), ([], "0")):
        command = [sys.executable, "-W", "ignore", "-c", INVOKE, *place, name, *pin]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr
        job = azure.arm("GET", f"jobs/{done.stdout.split()[-1]}", "no job").json()["properties"]
        expected = deployed[version]["deploymentConfiguration"]["componentId"]["assetId"]
        assert str(job["componentId"]).removeprefix("azureml:") == expected


@pytest.mark.parametrize("method", ["batchEndpoints.put", "deployments.put"])
def test_an_operation_that_takes_long_holds_up_no_run(workspace, seen, faults, method) -> None:
    """Azure works at an endpoint for minutes: that is no trouble of the target's, and it is looked at again."""
    endpoint = workspace.endpoint("native")
    endpoint.disable(reason="dirty")
    faults(method, takes=8)
    endpoint.enable()
    run = workspace.runs.submit("native").run
    assert run.waiting is None, "it was handed over at once"
    assert workspace.admin.status().pending_syncs == 1
    assert workspace.runs.wait(run.id, timeout=60).state == "succeeded"
    _sync_all(workspace)
    assert seen() == ("version-0", ["version-0", "version-1"])


def test_an_operation_that_is_not_done_is_told_as_that(workspace, faults) -> None:
    opened, record = workspace.services.targets.open("prod"), workspace.endpoints.get("native")
    state = workspace.services.registry.outbox.endpoint_state(record.id, "prod")
    faults("batchEndpoints.put", takes=3600 - 1)
    for _ in range(2):  # while it is waited for, and before something is done again
        with pytest.raises(
            TargetUnavailable, match=r"^Azure still works at the endpoint; it is looked at again$"
        ) as told:
            opened.sync_endpoint(evolve(state, revision=state.revision + 1))
        assert told.value.code == "sync_unfinished"


@pytest.mark.parametrize("method", ["batchEndpoints.put", "deployments.delete"])
def test_what_azure_works_at_already_is_looked_at_again(workspace, faults, method) -> None:
    faults(method, error="Conflict")
    opened, record = workspace.services.targets.open("prod"), workspace.endpoints.get("native")
    state = workspace.services.registry.outbox.endpoint_state(record.id, "prod")
    state = evolve(state, revision=state.revision + 1, versions=state.versions[:1])
    with pytest.raises(TargetUnavailable) as told:
        opened.sync_endpoint(state)
    assert told.value.code == "sync_unfinished"
    assert isinstance(opened.sync_endpoint(state), NativeTrigger)


@pytest.mark.parametrize("fault", [{"late": True}, {"error": "TooManyRequests"}, {"error": "InternalServerError"}])
def test_a_gate_closes_whatever_becomes_of_the_rest(workspace, seen, faults, fault) -> None:
    """What a closed gate takes away goes before anything is made."""
    endpoint = workspace.endpoint("native")
    workspace.endpoints.disable("native@1")
    assert seen() == ("version-0", ["version-0"])
    faults("deployments.put", times=0, **fault)
    state = workspace.services.registry.outbox.endpoint_state(endpoint.id, "prod")
    closed, opened = (evolve(one, enabled=number == 1) for number, one in enumerate(state.versions))
    told = evolve(state, revision=state.revision + 1, versions=(closed, opened), default="1")
    with pytest.raises((TargetRefused, TargetUnavailable)):
        workspace.services.targets.open("prod").sync_endpoint(told)
    default, left = seen()
    assert default is None and "version-0" not in left


def test_a_gate_closes_at_an_endpoint_that_failed(workspace, seen, faults) -> None:
    faults("batchEndpoints.put", late=True)
    endpoint = workspace.endpoint("native")
    workspace.endpoints.update("native", description="It fails.")
    endpoint.disable()
    assert seen() == (None, [])
    endpoint.enable()
    assert seen() == ("version-0", ["version-0", "version-1"])


def test_the_same_state_again_finishes_what_is_missing(workspace, seen) -> None:
    """A sync that was killed after its last word but one is done again, with the same revision."""
    opened, record = workspace.services.targets.open("prod"), workspace.endpoints.get("native")
    azure = connect(opened.target.options)
    azure.arm("DELETE", f"batchEndpoints/{named(record.id)}/deployments/version-1", "none")
    opened.sync_endpoint(workspace.services.registry.outbox.endpoint_state(record.id, "prod"))
    assert seen() == ("version-0", ["version-0", "version-1"])


def test_what_somebody_changed_there_is_put_right_by_the_next_change(workspace, seen) -> None:
    azure = connect(workspace.services.targets.open("prod").target.options)
    endpoint = workspace.endpoint("native")
    path = f"batchEndpoints/{endpoint_name(endpoint.id, 'prod')}"
    about = azure.arm("GET", f"{path}/deployments/version-0", "none").json()["properties"]
    other = azure.arm("GET", f"{path}/deployments/version-1", "none").json()
    properties = {"deploymentConfiguration": about["deploymentConfiguration"]}
    azure.arm("PUT", f"{path}/deployments/version-1", "none", {"location": other["location"], "properties": properties})
    azure.arm("PUT", f"{path}/deployments/by-hand", "none", {"location": other["location"], "properties": properties})
    workspace.endpoints.update("native", description="Look again.")
    again = azure.arm("GET", f"{path}/deployments/version-1", "none").json()
    assert again["properties"]["deploymentConfiguration"] == other["properties"]["deploymentConfiguration"]
    assert seen() == ("version-0", ["version-0", "version-1"])


def _sync_all(workspace: Workspace) -> None:
    """Let commands give their time to what is due, until the target is owed nothing."""
    until = time.monotonic() + 60
    while workspace.admin.status().pending_syncs:
        assert time.monotonic() < until, "it is never done"
        time.sleep(0.3)
        workspace.services.outbox.give_time()
