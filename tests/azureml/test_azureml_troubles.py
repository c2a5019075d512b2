"""What Azure's answers become: one line, one stable code, nothing half done; and a lost answer makes no second job."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.codec import load_pipeline
from penstock.errors import PenstockError
from penstock.snapshot import take
from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: quick
description: {one of a kind}
steps:
  only: {command: [sh, -c, 'printf done > "$1"', sh, "${{ outputs.text }}"], outputs: {text: string}}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""
ANSWERS = [
    ("ServiceUnavailable", "target_unavailable", "Azure answers 503"),
    ("InternalServerError", "target_unavailable", "Azure answers 500"),
    ("GatewayTimeout", "target_unavailable", "Azure answers 504"),
    ("AuthenticationFailed", "credentials_expired", "does not take the credentials"),
    ("AuthorizationFailed", "permission_denied", "permission denied in workspace"),
    ("TooManyRequests", "quota_exhausted", "too many calls"),
    ("UserError", "dispatch_failed", "a fault that was asked for"),
    ("ResourceNotFound", "target_not_there", "a fault that was asked for"),
]


@pytest.fixture
def workspace(tmp_path: Path, target: dict[str, Any]) -> Iterator[Workspace]:
    """A workspace whose default target is the emulator, with nothing published."""
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    # Of its own, because the emulator keeps what other tests published.
    (tmp_path / "quick.yaml").write_text(SPEC.replace("{one of a kind}", uuid.uuid4().hex))
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        yield opened


def publish(workspace: Workspace) -> Any:
    return workspace.publish(workspace.config.base / "quick.yaml", endpoint="quick")


@pytest.mark.parametrize(("answer", "code", "says"), ANSWERS)
def test_an_answer_of_azure_s_is_one_line_with_a_code(workspace, faults, answer, code, says) -> None:
    faults("components.put", error=answer, message="a fault that was asked for", times=3)
    with pytest.raises(PenstockError, match=says) as caught:
        publish(workspace)
    assert caught.value.code == code
    assert "\n" not in str(caught.value) and "azure.core" not in str(caught.value)
    assert workspace.pipelines.list().items == (), "nothing is half published"
    faults("nothing.at.all")


@pytest.mark.parametrize("method", ["codes.put", "environments.put", "components.put", "codes.startPendingUpload"])
def test_a_publish_that_broke_off_is_repaired_and_says_so(workspace, faults, method) -> None:
    folder = workspace.config.base
    (folder / "src").mkdir()
    (folder / "src" / "own").write_text(uuid.uuid4().hex)
    spec = SPEC.replace(
        "{one of a kind}", f"{uuid.uuid4().hex}\ndefaults: {{code: ./src, image: 'x:{uuid.uuid4().hex}'}}"
    )
    (folder / "quick.yaml").write_text(spec)
    taken = take(load_pipeline(folder / "quick.yaml"), folder, folder / "store")
    target = workspace.services.targets.open("prod")
    faults(method, error="InternalServerError")
    with pytest.raises(PenstockError, match="Azure answers 500"):
        target.publish(taken, target.compile(taken))
    assert target.has("penstock_submit_run")
    again = target.publish(taken, target.compile(taken))
    reused = {"codes.put": 0, "codes.startPendingUpload": 0, "environments.put": 1, "components.put": 2}[method]
    assert again.details.get("reused", "0").partition(" ")[0] == str(reused)
    assert "reused" not in target.publish(taken, target.compile(taken)).details, "then all of it is there"
    publish(workspace)
    assert workspace.submit("quick").wait().outputs == {"text": "done"}


@pytest.mark.parametrize(("answer", "code"), [(answer, code) for answer, code, _ in ANSWERS])
def test_a_hand_over_is_tried_again_or_ends_the_run(workspace, faults, answer, code) -> None:
    publish(workspace)
    times = 3 if answer == "ServiceUnavailable" else 1
    faults("jobs.put", error=answer, times=times, message="a fault that was asked for")
    run = workspace.submit("quick")
    record = workspace.runs.get(run.id)
    if code in ("dispatch_failed", "target_not_there"):
        assert (record.state, record.error.code) == ("failed", code)
    elif code == "quota_exhausted":
        assert record.waiting is not None and "too many calls" in record.waiting.message
        workspace.runs.cancel(run.id, force=True)
    else:
        assert run.wait().outputs == {"text": "done"}


def test_a_lost_answer_makes_no_second_job(workspace, faults, target) -> None:
    publish(workspace)
    faults("jobs.put", lose_answer=True, times=1)
    run = workspace.submit("quick").wait()
    assert run.outputs == {"text": "done"}
    assert jobs_of(workspace, run.id) == 1
    assert faults()["calls"]["jobs.put"] == 2


def jobs_of(workspace: Workspace, run: str) -> int:
    """How many jobs Azure has of a run."""
    from penstock_azureml.client import connect

    azure = connect(workspace.services.targets.open("prod").target.options)
    page = azure.arm("GET", "jobs", "no jobs", query={"tag": "penstock_run", "$top": "1000"}).json()
    return sum(job["properties"]["tags"]["penstock_run"] == run for job in page["value"])
