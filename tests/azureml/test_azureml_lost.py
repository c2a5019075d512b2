"""Any answer may be lost: each call of one history in turn is answered by nobody, and the history ends as ever."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.codec import load_pipeline
from penstock.contract.run import BoundParameters, RunRef, RunRequest
from penstock.contract.target import EndpointState, EndpointVersion
from penstock.snapshot import take
from penstock.workspace import Workspace
from penstock_azureml.client import connect
from penstock_azureml.endpoints import endpoint_name

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: lost-{one}
defaults: {code: ./src, image: "x:{one}"}
parameters: {long: {type: string, default: short}}
steps:
  only:
    command: [sh, -c, 'cat "$1"; [ "$2" != wait ] || sleep 600; printf %s "$2" | wc -c > "$3"', sh, own,
      "${{ parameters.long }}", "${{ outputs.text }}"]
    outputs: {text: integer}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""
PHASES = {
    "publish": ("codes.", "components.", "environments."),
    "places": ("blobs.", "datastores.", "workspaces.", "discovery"),
    "endpoint": ("batchEndpoints.", "deployments.", "operations."),
    "runs": ("jobs.", "history."),
}
OURS = ("jobs.get", "jobs.list")
"""What only this test asks, to wait for the end and to count jobs."""
TIMES = itertools.count(1)


def history(folder: Path, target: dict[str, Any]) -> dict[str, Any]:
    """Publish, mirror an endpoint, submit a run twice, look, read, cancel another one; what came of it."""
    one = uuid.uuid4().hex[:12]
    place = folder / one
    (place / "src").mkdir(parents=True)
    (place / "src" / "own").write_text(f"{one}\n")
    # Of its own, so that nothing of the target is known yet.
    options = {**target, "poll_timeout": 40 + next(TIMES) / 1000}
    (place / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": options}}))
    (place / "it.yaml").write_text(SPEC.replace("{one}", one))
    with Workspace.open(place, env={}, actor="ada") as workspace:
        opened: Any = workspace.services.targets.open("prod")
        taken = take(load_pipeline(place / "it.yaml"), place, place / "store")
        publication = opened.publish(taken, opened.compile(taken))
        version = EndpointVersion(version="0", external=publication.external, digest=taken.digest, label="1",
                                  enabled=True, published_enabled=True)  # fmt: skip
        endpoint = EndpointState(id=one, name=one, description="", enabled=True, default="0", versions=(version,),
                                 revision=1)  # fmt: skip
        opened.sync_endpoint(endpoint)
        ran, canceled = (RunRef(id=uuid.uuid4().hex, publication=publication) for _ in range(2))
        for ref, text in ((ran, "é" * 9_000), (ran, "é" * 9_000), (canceled, "wait")):
            parameters = BoundParameters(texts={"long": text})
            opened.submit(RunRequest(id=ref.id, publication=publication, pipeline=one, parameters=parameters))
        asked = opened.cancel(canceled)
        azure = connect(opened.target.options)
        for ref in (ran, canceled):
            ended(azure, ref.id)
        reports = [opened.get_run(ref) for ref in (ran, canceled)]
        log = opened.read_logs(ran, "only", 0)
        made = azure.arm("GET", f"batchEndpoints/{endpoint_name(one, 'prod')}", "none").json()["properties"]["defaults"]
        return {
            "states": [reports[0].state, reports[1].state, asked],
            "outputs": opened.get_outputs(ran).outputs,
            "steps": [(step.name, step.state, step.outputs, step.attempt) for step in reports[0].steps],
            "log": (log.data == f"{one}\n".encode(), log.complete),
            "default": made,
            "jobs": sum(one in str(job["properties"]["componentId"]) for job in jobs_of(azure)),
        }


def ended(azure: Any, run: str) -> None:
    """Wait by a call that no history has."""
    while azure.arm("GET", f"jobs/{run}", "none").json()["properties"]["status"] not in (
        "Completed",
        "Failed",
        "Canceled",
    ):
        time.sleep(0.02)


def jobs_of(azure: Any) -> list[Any]:
    return list(azure.arm("GET", "jobs", "none", query={"$top": "1000"}).json()["value"])


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, emulator: dict[str, Any]) -> dict[str, Any]:
    """What the history comes to when nothing is lost."""
    found = history(tmp_path_factory.mktemp("plain"), emulator["target"])
    assert (found["states"], found["outputs"]) == (["succeeded", "canceled", True], {"text": "18000"})
    assert found["jobs"] == 2
    return found


@pytest.mark.parametrize("phase", PHASES)
def test_any_answer_of_a_history_may_be_lost(
    tmp_path: Path, target: dict[str, Any], faults: Callable[..., Any], plain: dict[str, Any], phase: str
) -> None:
    """One job and the same result each time."""
    history(tmp_path, target)
    known = tuple(itertools.chain.from_iterable(PHASES.values()))
    calls = faults()["calls"]
    assert [name for name in calls if not name.startswith(known)] == [], "every call is in a phase"
    lost = 0
    for name, count in calls.items():
        if not name.startswith(PHASES[phase]) or name in OURS:
            continue
        for number in range(1, count + 1):
            before = faults()["calls"].get(name, 0)
            faults(name, call=number, lose_answer=True)
            assert history(tmp_path, target) == plain, f"the answer of {name} number {number} was lost"
            assert faults()["calls"][name] >= before + number, f"{name} was called less often, and nothing was lost"
            lost += 1
    assert lost >= 5
