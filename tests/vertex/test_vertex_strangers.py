"""What others write into the bucket, and what Google might answer: neither changes what runs, nor keeps a run from its
end.
"""

from __future__ import annotations

import hashlib
import json
import socket
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import TargetRefused, TargetUnavailable
from penstock.workspace import Workspace
from penstock_vertex import jobs, reading
from penstock_vertex.names import task_name
from penstock_vertex.staging import value_object

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: {name}
parameters: {{script: {{type: string, default: 'true'}}, long: {{type: string, default: ''}}}}
steps:
  only:
    command: [sh, -c, 'eval "$1"; printf %s "$2" | sha256sum > "$3"', sh, "${{{{ parameters.script }}}}",
      "${{{{ parameters.long }}}}", "${{{{ outputs.text }}}}"]
    outputs: {{text: string}}
outputs: {{text: "${{{{ steps.only.outputs.text }}}}"}}
"""
LONG = "$" * 20_000


@pytest.fixture
def open_workspace(tmp_path: Path, target: dict[str, Any]) -> Iterator[Callable[..., Workspace]]:
    """Opens a workspace whose default target is the emulator with other options; its endpoint is `it`."""
    opened: list[Workspace] = []

    def open_(**options: Any) -> Workspace:
        (tmp_path / "penstock.yaml").write_text(
            json.dumps({"target": "prod", "targets": {"prod": {**target, **options}}})
        )
        (tmp_path / "it.yaml").write_text(SPEC.format(name=f"it-{uuid.uuid4().hex[:8]}"))
        opened.append(Workspace.open(tmp_path, env={}, actor="ada"))
        opened[-1].publish(tmp_path / "it.yaml", endpoint="it")
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def workspace(open_workspace: Callable[..., Workspace]) -> Workspace:
    return open_workspace()


def bucket_of(workspace: Workspace) -> Any:
    """The bucket, by Google's own client."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    options = workspace.services.targets.open("prod").target.options
    where = {"api_endpoint": options.storage_endpoint}
    client = storage.Client(project="x", credentials=AnonymousCredentials(), client_options=where)
    return client.bucket(options.staging.removeprefix("gs://"))


@pytest.mark.parametrize("content", [b"garbage", b"{}", b""])
def test_a_compiled_pipeline_that_somebody_changed_does_not_run(workspace, content) -> None:
    mine = workspace.pipelines.list().items[0].name
    listed = bucket_of(workspace).list_blobs(prefix="compiled/")
    (name,) = [blob.name for blob in listed if (blob.metadata or {}).get("penstock-pipeline") == mine]
    bucket_of(workspace).blob(name).upload_from_string(content)
    jobs._specs.clear()  # what another process knows
    record = workspace.runs.get(workspace.submit("it").id)
    assert (record.state, record.error.code) == ("failed", "publication_damaged")
    with pytest.raises(TargetRefused, match="was changed by somebody") as caught:
        workspace.publish(workspace.config.base / "it.yaml", label="again")
    assert caught.value.code == "publication_damaged"
    bucket_of(workspace).blob(name).delete()
    workspace.publish(workspace.config.base / "it.yaml", endpoint="other", label="again")
    assert workspace.submit("other").wait().outputs["text"]


def test_a_long_value_is_the_caller_s_whoever_wrote_under_its_name(workspace) -> None:
    name = value_object(hashlib.sha256(LONG.encode()).hexdigest())
    blob = bucket_of(workspace).blob(name)
    blob.upload_from_string(b"something else")
    record = workspace.runs.get(workspace.submit("it", parameters={"long": LONG}).id)
    assert (record.state, record.error.code) == ("failed", "publication_damaged")
    blob.delete()
    run = workspace.submit("it", parameters={"long": LONG}).wait()
    assert run.outputs["text"].split()[0] == hashlib.sha256(LONG.encode()).hexdigest()
    again = workspace.submit("it", parameters={"long": LONG}).wait()
    assert again.outputs == run.outputs


@pytest.mark.parametrize(
    "left",
    [
        'touch "$d/\u00b2"',
        'touch "$d/99999999999999999999999"',
        'touch "$d/1000000" "$d/0" "$d/01"',
        'printf "run_lost\\n99999999999999999999999\\nx" > "$d/7"; exit 3',
        'printf "Secret Code\\n3\\n\\033[31m" > "$d/7"; exit 3',
        'head -c 3000000 /dev/zero > "$d/7"; exit 3',
        'rm -rf "$d"; exit 3',
    ],
)
def test_a_run_comes_to_its_end_whatever_a_step_leaves_in_its_reports(workspace, left) -> None:
    find = 'for d in "$PENSTOCK_GCS"/penstock-emulator/runs/*/reports/only; do '
    find += '[ "$(cat "$d/1" 2>/dev/null)" = running ] && break; done; '
    ended = workspace.runs.wait(workspace.submit("it", parameters={"script": find + left}).id, timeout=60)
    assert ended.state == ("failed" if "exit 3" in left else "succeeded")
    assert ended.steps[0].attempt in (1, 7)
    if ended.error is not None:
        assert ended.error.code in ("step_failed",) and ended.error.message.isprintable()


def test_one_answer_that_a_job_is_not_there_is_no_proof(workspace, faults) -> None:
    run = workspace.submit("it")
    faults("PipelineService.GetPipelineJob", error="NOT_FOUND")
    assert workspace.runs.wait(run.id).state == "succeeded"


def test_who_signs_in_again_need_not_start_again(workspace, monkeypatch) -> None:
    import google.auth
    from google.auth import exceptions
    from google.auth.credentials import AnonymousCredentials, Credentials

    from penstock_vertex.client import connect
    from penstock_vertex.credentials import forget

    class Old(Credentials):
        def refresh(self, request: Any) -> None:
            raise exceptions.RefreshError("invalid_grant")

    from attrs import evolve

    options = evolve(workspace.services.targets.open("prod").target.options, credentials="default")
    monkeypatch.setattr(google.auth, "default", lambda **_: (Old(), "x"))
    for ask in (lambda: connect(options).files("compiled/"), lambda: connect(options).find_job("penstock-none")):
        with pytest.raises(TargetUnavailable) as caught:
            ask()
        assert caught.value.code == "credentials_expired"
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), "x"))
    assert connect(options).files("compiled/")
    assert connect(options).find_job("penstock-none") is None
    forget()


def test_the_address_of_an_unfinished_upload_is_told_to_nobody(workspace, faults, tmp_path) -> None:
    from penstock_vertex.client import connect

    (tmp_path / "large").write_bytes(b"x" * 9_000_000)
    vertex = connect(workspace.services.targets.open("prod").target.options)
    faults("storage.objects.insert", call=2, error="PERMISSION_DENIED")
    with pytest.raises(TargetUnavailable) as caught:
        vertex.put(f"large-{uuid.uuid4().hex}", tmp_path / "large", {})
    said = str(caught.value)
    assert "upload_id" not in said and "HTTPStatus" not in said and "http" not in said


def test_what_other_programs_need_to_be_told_changes_no_target(workspace, monkeypatch) -> None:
    from penstock_vertex.client import STORAGE, _files

    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    assert _files("acme", None, "anonymous")._connection.API_BASE_URL == STORAGE


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Type: text/html\r\n\r\n<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\nContent-Type: text/html\r\n\r\n<html>",
        b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_what_is_not_google_s_answer_is_no_answer(workspace, answer) -> None:
    import threading

    from attrs import evolve

    from penstock_vertex.client import connect

    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(3):
                try:
                    taken, _ = server.accept()
                except OSError:
                    return
                with taken:
                    taken.recv(65536)
                    taken.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        options = evolve(
            workspace.services.targets.open("prod").target.options,
            api_endpoint=f"http://127.0.0.1:{server.getsockname()[1]}",
            poll_timeout=5,
        )
        with pytest.raises(TargetUnavailable) as caught:
            connect(options).find_job("penstock-any")
        assert "\n" not in str(caught.value)


def job(**more: Any) -> dict[str, Any]:
    """A job as the REST API writes one, of two steps."""
    tasks = {name: {"taskInfo": {"name": name}, "dependentTasks": []} for name in ("a", "b")}
    tasks["b"]["dependentTasks"] = ["a"]
    details = [{"taskName": task_name("a"), "state": "RUNNING", "startTime": "2026-01-01T00:00:00Z"}]
    spec = {"root": {"dag": {"tasks": tasks}}}
    return {"pipelineSpec": spec, "state": "PIPELINE_STATE_RUNNING", "jobDetail": {"taskDetails": details}, **more}


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("QUEUED", "queued"),
        ("PENDING", "queued"),
        ("RUNNING", "running"),
        ("CANCELLING", "running"),
        ("PAUSED", "running"),
        ("SUCCEEDED", "succeeded"),
        ("FAILED", "failed"),
        ("CANCELLED", "canceled"),
        ("SOMETHING_NEW", "queued"),
    ],
)
def test_each_state_of_a_job_is_one_of_ours(said, state) -> None:
    assert reading.state_of(job(state=f"PIPELINE_STATE_{said}")) == state


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("PENDING", "queued"),
        ("RUNNING", "running"),
        ("CANCEL_PENDING", "running"),
        ("CANCELLING", "running"),
        ("SUCCEEDED", "succeeded"),
        ("FAILED", "failed"),
        ("CANCELLED", "canceled"),
        ("SKIPPED", "skipped"),
        ("NOT_TRIGGERED", "skipped"),
        ("SOMETHING_NEW", "queued"),
    ],
)
def test_each_state_of_a_task_is_one_of_ours(said, state) -> None:
    found = job()
    found["jobDetail"]["taskDetails"][0]["state"] = said
    assert reading.run_report(found, {}, {}).steps[0].state == state


def test_an_attempt_that_failed_before_is_counted() -> None:
    found = job()
    detail = found["jobDetail"]["taskDetails"][0]
    detail["executorDetail"] = {"containerDetail": {"failedMainJobs": ["x", "y"]}}
    assert reading.run_report(found, {}, {}).steps[0].attempt == 3
    detail["state"] = "FAILED"
    assert reading.run_report(found, {}, {}).steps[0].attempt == 2


def test_a_job_that_nobody_expects_is_read_as_far_as_it_can_be() -> None:
    for change in (
        {"startTime": "soon"},
        {"pipelineSpec": {}},
        {"jobDetail": {}},
        {"state": "PIPELINE_STATE_FAILED", "error": {"message": "status of 99999999999999999999999"}},
    ):
        assert reading.run_report(job(**change), {}, {}).state in ("running", "failed")
    circle = job()
    circle["pipelineSpec"]["root"]["dag"]["tasks"]["a"]["dependentTasks"] = ["b"]
    assert [step.name for step in reading.run_report(circle, {}, {}).steps] == ["a", "b"]
    damaged = job()
    damaged["jobDetail"]["taskDetails"][0] |= {
        "state": "SUCCEEDED",
        "execution": {"metadata": {"output:x": "penstock-b64:!!"}},
    }
    assert reading.run_report(damaged, {}, {}).steps[0].outputs == {"x": "penstock-b64:!!"}


def test_a_job_says_all_that_the_target_and_the_run_say(open_workspace) -> None:
    from penstock_vertex.client import connect

    workspace = open_workspace(
        service_account="me@acme.iam.gserviceaccount.com",
        network="projects/123/global/networks/ml",
        reserved_ip_ranges=["range-a", "range-b"],
        encryption_key="projects/acme/locations/us-central1/keyRings/ring/cryptoKeys/key",
        labels={"team": "größe"},
        failure_policy="fast",
    )
    run = workspace.submit("it")
    made = connect(workspace.services.targets.open("prod").target.options).find_job(f"penstock-{run.id}")
    assert made is not None
    record = workspace.runs.get(run.id)
    assert made["labels"] == {
        "team": "größe",
        "penstock-run": run.id,
        "penstock-endpoint": "it",
        "penstock-version": "0",
        "penstock-pipeline": record.pipeline,
        "penstock-digest": record.digest.removeprefix("sha256:")[:63],
    }
    assert (made["serviceAccount"], made["network"]) == (
        "me@acme.iam.gserviceaccount.com",
        "projects/123/global/networks/ml",
    )
    assert made["reservedIpRanges"] == ["range-a", "range-b"]
    assert made["encryptionSpec"] == {"kmsKeyName": "projects/acme/locations/us-central1/keyRings/ring/cryptoKeys/key"}
    assert made["runtimeConfig"]["failurePolicy"] == "PIPELINE_FAILURE_POLICY_FAIL_FAST"
    workspace.runs.wait(run.id)


def test_nothing_that_lies_there_is_written_over(workspace) -> None:
    from penstock_vertex.client import connect

    vertex = connect(workspace.services.targets.open("prod").target.options)
    path = f"one/{uuid.uuid4().hex}"
    vertex.put(path, b"first", {})
    with pytest.raises(TargetRefused, match="was changed by somebody"):
        vertex.put(path, b"second", {})
    assert vertex.get(path) == b"first"
    assert vertex.get(path, most=3) == b"fir"


def test_every_call_has_a_time_limit(workspace, faults) -> None:
    from attrs import evolve

    from penstock_vertex.client import connect

    options = evolve(workspace.services.targets.open("prod").target.options, poll_timeout=0.3)
    for method, ask in (
        ("PipelineService.GetPipelineJob", lambda v: v.find_job("penstock-none")),
        ("PipelineService.CancelPipelineJob", lambda v: v.cancel_job("penstock-none")),
        ("storage.objects.insert", lambda v: v.put(f"one/{uuid.uuid4().hex}", b"x", {})),
        ("storage.objects.get", lambda v: v.get("compiled/none")),
        ("storage.objects.list", lambda v: v.files("compiled/")),
        ("storage.buckets.testIamPermissions", lambda v: v.permissions()),
    ):
        faults(method, delay=2.0)
        with pytest.raises(TargetUnavailable, match="Timeout"):
            ask(connect(options))
