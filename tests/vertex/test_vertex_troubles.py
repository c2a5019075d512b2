"""What Google's answers become: one line, one stable code, nothing half done; and a lost answer makes no second job."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import PenstockError, TargetUnavailable
from penstock.workspace import Workspace
from penstock_vertex.credentials import forget

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
    ("UNAVAILABLE", "target_unavailable", "Google answers"),
    ("INTERNAL", "target_unavailable", "Google answers"),
    ("DEADLINE_EXCEEDED", "target_unavailable", "Google answers"),
    ("PERMISSION_DENIED", "permission_denied", "permission denied in project"),
    ("RESOURCE_EXHAUSTED", "quota_exhausted", "a quota is used up"),
    ("INVALID_ARGUMENT", "dispatch_failed", "a fault that was asked for"),
    ("FAILED_PRECONDITION", "dispatch_failed", "a fault that was asked for"),
    ("NOT_FOUND", "target_not_there", "a fault that was asked for|the bucket `[a-z-]+` is not there"),
]


@pytest.fixture
def workspace(tmp_path: Path, target: dict[str, Any]) -> Iterator[Workspace]:
    """A workspace whose default target is the emulator, with nothing published."""
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    # Of its own, because the emulator keeps what other tests published.
    (tmp_path / "quick.yaml").write_text(SPEC.replace("{one of a kind}", uuid.uuid4().hex))
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        yield opened


def publish(workspace: Workspace) -> None:
    workspace.publish(workspace.config.base / "quick.yaml", endpoint="quick")


@pytest.mark.parametrize(("answer", "code", "says"), ANSWERS)
def test_an_answer_of_googles_is_one_line_with_a_code(workspace, faults, answer, code, says) -> None:
    faults("storage.objects.insert", error=answer, times=3 if answer == "UNAVAILABLE" else 1)  # which is repeated
    with pytest.raises(PenstockError, match=says) as caught:
        publish(workspace)
    assert caught.value.code == code
    assert "\n" not in str(caught.value) and "google.api_core" not in str(caught.value)
    assert workspace.pipelines.list().items == (), "nothing is half published"
    publish(workspace)  # what was uploaded does no harm
    assert workspace.submit("quick").wait().outputs == {"text": "done"}


@pytest.mark.parametrize(("answer", "code"), [(answer, code) for answer, code, _ in ANSWERS])
def test_a_hand_over_is_tried_again_or_ends_the_run(workspace, faults, answer, code) -> None:
    publish(workspace)
    faults("PipelineService.CreatePipelineJob", error=answer)
    run = workspace.submit("quick")
    calls = faults()["calls"]["PipelineService.CreatePipelineJob"]
    record = workspace.runs.get(run.id)
    if code in ("dispatch_failed", "target_not_there"):
        assert (record.state, record.error.code, calls) == ("failed", code, 1)
    elif code in ("quota_exhausted", "permission_denied"):  # which may go well later, and nobody waits so long
        assert (record.state, calls) == ("queued", 1)
        said = {"quota_exhausted": "a quota is used up", "permission_denied": "permission denied in project"}[code]
        assert record.waiting is not None and said in record.waiting.message
        workspace.runs.cancel(run.id, force=True)
    else:
        assert calls == 2
        assert run.wait().outputs == {"text": "done"}


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("storage.objects.insert", 1),
        ("storage.objects.get", 1),
        ("PipelineService.CreatePipelineJob", 1),
        *(("PipelineService.GetPipelineJob", call) for call in (1, 2, 3)),
        *(("storage.objects.list", call) for call in (1, 2)),
    ],
)
def test_a_lost_answer_makes_no_second_job(workspace, faults, method, call, times) -> None:
    """The work was done and nobody heard of it, at each call of a history in turn; and of its repeats neither."""
    faults(method, call=call, times=times, lose_answer=True)
    for _ in range(3):
        try:
            publish(workspace)
            break
        except TargetUnavailable:
            continue
    run = workspace.submit("quick", idempotency_key="once")
    assert workspace.submit("quick", idempotency_key="once").id == run.id
    ended = workspace.runs.wait(run.id)
    assert ended.outputs == {"text": "done"}
    assert faults()["calls"][method] >= call + times, "it was met, and something was asked after it"
    # As Google's own client lists them, and not as we do.
    from google.cloud.aiplatform_v1 import ListPipelineJobsRequest

    from penstock_vertex.client import connect

    vertex = connect(workspace.services.targets.open("prod").target.options)
    ours = ListPipelineJobsRequest(parent=vertex.parent, filter=f'labels.penstock-run="{run.id}"')
    assert len(list(vertex._jobs.list_pipeline_jobs(ours, timeout=30))) == 1
    attempts = [path.rpartition("/")[2] for path in vertex.files(f"runs/penstock-{run.id}/reports/")]
    assert attempts == ["1"]


def test_what_broke_is_sent_once_more_and_what_nobody_took_is_not(workspace, faults) -> None:
    publish(workspace)
    target = workspace.services.targets.open("prod")
    for fault in ({"lose_answer": True}, {"error": "UNAVAILABLE"}):
        faults("PipelineService.GetPipelineJob", **fault)
        before = faults()["calls"].get("PipelineService.GetPipelineJob", 0)
        assert target.check().ok
        assert faults()["calls"]["PipelineService.GetPipelineJob"] == before + 3  # and a `no` is asked for once more
    faults("PipelineService.GetPipelineJob", error="RESOURCE_EXHAUSTED")
    before = faults()["calls"]["PipelineService.GetPipelineJob"]
    assert not target.check().ok
    assert faults()["calls"]["PipelineService.GetPipelineJob"] == before + 1


def test_values_that_are_too_many_are_said_by_their_step(workspace, faults) -> None:
    names = [f"v{number}" for number in range(20)]
    declared = ", ".join(f"{name}: {{type: string, default: ''}}" for name in names)
    words = ", ".join(f'"${{{{ parameters.{name} }}}}"' for name in names)
    spec = (workspace.config.base / "quick.yaml").read_text()
    many = spec.replace("steps:", f"parameters: {{{declared}}}\nsteps:", 1).replace("name: quick", "name: many")
    (workspace.config.base / "many.yaml").write_text(many.replace('outputs.text }}"]', f'outputs.text }}}}", {words}]'))
    workspace.publish(workspace.config.base / "many.yaml", endpoint="many")
    faults()
    run = workspace.submit("many", parameters=dict.fromkeys(names, "x" * 8_000))
    record = workspace.runs.get(run.id)
    assert (record.state, record.error.code) == ("failed", "size_refused")
    assert "step `only`" in record.error.message and "100,000" in record.error.message
    assert "PipelineService.CreatePipelineJob" not in faults()["calls"]
    assert workspace.submit("many", parameters=dict.fromkeys(names, "x" * 9_000)).wait().outputs == {"text": "done"}


def test_who_has_no_credentials_is_told_how_to_get_them(tmp_path, target, monkeypatch) -> None:
    forget()
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # no metadata server is looked for
    (tmp_path / "penstock.yaml").write_text(
        json.dumps({"target": "prod", "targets": {"prod": {**target, "credentials": "default"}}})
    )
    (tmp_path / "quick.yaml").write_text(SPEC.replace("{one of a kind}", "quick"))
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        with pytest.raises(TargetUnavailable, match="an emulator takes `credentials: anonymous`") as caught:
            publish(workspace)
        assert caught.value.code == "credentials_missing"
        health = workspace.services.targets.open("prod").check()
        assert (health.ok, len(health.lines)) == (False, 1)
    google = {key: target[key] for key in ("backend", "project", "staging")}
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": google}}))
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        (line,) = workspace.services.targets.open("prod").check().lines
        assert "gcloud auth application-default login" in line


def test_credentials_that_are_not_taken_any_more_say_so(workspace, faults) -> None:
    faults("storage.objects.insert", error="UNAUTHENTICATED")
    with pytest.raises(TargetUnavailable, match="sign in again") as caught:
        publish(workspace)
    assert caught.value.code == "credentials_expired"
    publish(workspace)
    faults("PipelineService.CreatePipelineJob", error="UNAUTHENTICATED", times=0)
    run = workspace.submit("quick")
    record = workspace.runs.get(run.id)
    assert record.state == "queued" and record.waiting is not None
    assert "sign in again" in record.waiting.message
    workspace.runs.cancel(run.id, force=True)
