"""One history over gRPC, Google's other transport: publish, submit, follow, cancel, and what it says of troubles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import TargetUnavailable
from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: over-grpc
parameters:
  seconds: {type: integer, default: 0, minimum: 0}
steps:
  only:
    command: [sh, -c, 'sleep "$1"; printf "slept %s" "$1" > "$2"', sh,
      "${{ parameters.seconds }}", "${{ outputs.text }}"]
    outputs: {text: string}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""


@pytest.fixture
def workspace(tmp_path: Path, emulator: dict[str, Any]):
    """A workspace whose default target asks for jobs over gRPC."""
    options = emulator["grpc"]
    assert options["transport"] == "grpc"
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": options}}))
    (tmp_path / "slow.yaml").write_text(SPEC)
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        yield opened


def test_a_run_comes_to_its_end_and_another_is_canceled(workspace) -> None:
    workspace.publish(workspace.config.base / "slow.yaml", endpoint="slow")
    assert workspace.submit("slow").wait().outputs == {"text": "slept 0"}
    run = workspace.submit("slow", parameters={"seconds": 600}, idempotency_key="once")
    assert workspace.submit("slow", parameters={"seconds": 600}, idempotency_key="once").id == run.id
    workspace.runs.cancel(run.id)
    assert workspace.runs.wait(run.id).state == "canceled"
    assert workspace.services.targets.open("prod").check().ok


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("CreatePipelineJob", 1),
        ("CreatePipelineJob", 2),
        ("GetPipelineJob", 1),
        ("GetPipelineJob", 2),
        ("GetPipelineJob", 3),
        ("CancelPipelineJob", 1),
    ],
)
def test_a_lost_answer_makes_no_second_job(workspace, faults, method, call, times) -> None:
    workspace.publish(workspace.config.base / "slow.yaml", endpoint="slow")
    faults(f"PipelineService.{method}", call=call, times=times, lose_answer=True)
    assert workspace.submit("slow").wait().outputs == {"text": "slept 0"}
    run = workspace.submit("slow", parameters={"seconds": 600})
    workspace.runs.cancel(run.id)
    assert workspace.runs.wait(run.id).state == "canceled"
    assert faults()["calls"][f"PipelineService.{method}"] >= call + times - 1, "it was met each time"
    from penstock_vertex.client import connect

    vertex = connect(workspace.services.targets.open("prod").target.options)
    attempts = [path.rpartition("/")[2] for path in vertex.files(f"runs/penstock-{run.id}/reports/")]
    assert attempts in ([], ["1"])  # canceled before its step began, or after


def test_a_quota_and_a_permission_say_the_same_as_over_rest(workspace, faults) -> None:
    workspace.publish(workspace.config.base / "slow.yaml", endpoint="slow")
    for answer, says in (("RESOURCE_EXHAUSTED", "a quota is used up"), ("PERMISSION_DENIED", "permission denied")):
        faults("PipelineService.GetPipelineJob", error=answer)
        assert any(says in line for line in workspace.services.targets.open("prod").check().lines)
    faults("PipelineService.GetPipelineJob", error="UNAVAILABLE", times=3)
    with pytest.raises(TargetUnavailable, match="Google answers"):
        workspace.services.targets.open("prod").get_run(_ref(workspace))


def _ref(workspace):
    from penstock.contract.run import RunRef
    from penstock.contract.target import Publication

    return RunRef(id="nobody", publication=Publication(external="gs://nowhere/x.json"))
