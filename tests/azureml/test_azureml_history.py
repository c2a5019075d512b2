"""What run history and storage answer of a run: late, wrong or not at all, it neither ends a run wrongly nor keeps it
from its end.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.codec import load_pipeline
from penstock.contract.run import ENDED, RunRef, RunRequest
from penstock.errors import TargetUnavailable
from penstock.snapshot import take
from penstock.spec.values import MAX_TEXT
from penstock.workspace import Workspace
from penstock_azureml import datastores, history, jobs, reading
from penstock_azureml.client import connect
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.reading import finished_of, run_outputs, run_report
from penstock_azureml.troubles import Answer

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: looked-at
description: {one of a kind}
steps:
  only:
    command: [sh, -c, 'echo said; printf done > "$1"; exit {status}', sh, "${{ outputs.text }}"]
    outputs: {text: string}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
STATUSES = ["NotStarted", "Queued", "Preparing", "Running", "Finalizing", "Completed", "Failed", "Canceled", "New", ""]
NODES = {
    "a": {"componentId": "x/components/c_a/versions/1", "inputs": {}},
    "b": {
        "componentId": "x/components/c_b/versions/1",
        "inputs": {"t": {"value": "${{parent.jobs.a.outputs.value_t}}"}},
    },
}
COMPONENT = {"componentSpec": {"jobs": NODES}, "properties": {"penstock_outputs": '{"t":"b.value_t"}'}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["garbage", "2026-11-20T12:00Z"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["error", "message", "a"]), inner),
    max_leaves=4,
)


def at(when: datetime) -> str:
    return when.isoformat().replace("+00:00", "Z")


def told(status: str, ended: datetime) -> dict[str, Any]:
    return {"status": status, "startTimeUtc": at(NOW - timedelta(hours=2)), "endTimeUtc": at(ended)}


@given(st.sampled_from(STATUSES), st.dictionaries(st.sampled_from("ab"), st.sampled_from(STATUSES)), st.integers(0, 90))
@example("Completed", {}, 0)
@example("Completed", {"a": "Completed", "b": "Finalizing"}, 0)
@example("Completed", {"a": "Completed", "b": "Failed"}, 60)
@example("Failed", {"a": "Running"}, 1)
def test_an_end_is_told_when_the_nodes_agree_or_were_waited_for(status, children, minutes):
    ended = NOW - timedelta(minutes=minutes)
    nodes = {node: told(one, ended) for node, one in children.items()}
    report = run_report(COMPONENT, told(status, ended), nodes, {}, NOW)
    states = [step.state for step in report.steps]
    if report.state in ENDED:
        assert set(states) <= ENDED
        assert report.state != "succeeded" or set(states) <= {"succeeded", "canceled"}
        assert (report.error is not None) == (report.state == "failed")
    if status in ("Completed", "Failed", "Canceled") and minutes > 10:
        assert report.state in ENDED, "a run comes to its end"
    if status == "Completed" and set(children.values()) == {"Completed"} and len(children) == 2:
        assert (report.state, states) == ("succeeded", ["succeeded"] * 2)


@given(st.dictionaries(st.sampled_from(["status", "startTimeUtc", "endTimeUtc", "lastModifiedUtc", "error"]), JSON),
       st.sampled_from(STATUSES))  # fmt: skip
@example({"endTimeUtc": "garbage", "startTimeUtc": 5, "error": {"error": "text"}}, "Failed")
def test_garbage_is_as_if_it_was_not_said(garbage, status):
    children = [{"runId": "1", "displayName": "a", **garbage}, {"runId": "2", "displayName": "b", "status": status}]
    nodes = reading.by_node(COMPONENT, children)
    report = run_report(COMPONENT, {"status": status, **garbage}, nodes, {}, NOW)
    assert [step.name for step in report.steps] == ["a", "b"]
    assert report.error is None or "\n" not in report.error.message


@given(st.binary(max_size=60) | st.sampled_from([b"9" * 5_000, b"9" * 30 + b"\nstep_failed\n3\nm", b"1\nstep_failed"]))
def test_a_report_that_somebody_wrote_over_is_read(data):
    found = finished_of(data, {})
    assert found.attempt is None or 0 < found.attempt < 10**6
    assert "\n" not in found.report.message


def test_a_report_has_the_attempt_and_all_lines_of_its_message() -> None:
    found = finished_of(b"2\noutput_invalid\n0\nthe first line\nand another\n", {})
    assert (found.attempt, found.report.code, found.report.exit_code) == (2, "output_invalid", 0)
    assert found.report.message == "the first line and another"


def test_a_circle_of_nodes_costs_their_order_alone() -> None:
    jobs_ = {
        node: {**about, "inputs": {"t": {"value": f"${{{{parent.jobs.{other}.outputs.x}}}}"}}}
        for (node, about), other in zip(NODES.items(), "ba", strict=True)
    }
    report = run_report({"componentSpec": {"jobs": jobs_}}, told("Running", NOW), {}, {}, NOW)
    assert [step.name for step in report.steps] == ["a", "b"]


@pytest.mark.parametrize("said", ["garbage", "[1]", '{"t": 5}', 7, "[" * 100_000])
def test_outputs_that_nobody_can_read_are_none(said) -> None:
    assert run_outputs({**COMPONENT, "properties": {"penstock_outputs": said}}, {}) == {}


def answered(status: int, body: Any) -> Answer:
    told = {} if status == 200 else {"x-ms-error-code": "ResourceNotFound"}
    return Answer(status, told, json.dumps(body).encode(), "the steps cannot be read", "acme.test")


def test_pages_that_lead_in_a_circle_end(monkeypatch: pytest.MonkeyPatch, target: dict[str, Any]) -> None:
    page = answered(200, {"value": [], "nextLink": "https://acme.test/1"})
    monkeypatch.setattr(history, "of_run", lambda *_: page)
    azure = connect(AzuremlOptions(**{key: value for key, value in target.items() if key != "backend"}))
    monkeypatch.setattr(type(azure), "call", lambda *_: page)
    with pytest.raises(TargetUnavailable, match="is not understood"):
        jobs._nodes(azure, COMPONENT, "run")


@pytest.mark.parametrize(("status", "body"), [(404, {"value": []}), (200, {}), (200, []), (200, {"value": None})])
def test_what_is_no_list_of_children_is_asked_for_again(monkeypatch, target, status, body) -> None:
    monkeypatch.setattr(history, "of_run", lambda *_: answered(status, body))
    azure = connect(AzuremlOptions(**{key: value for key, value in target.items() if key != "backend"}))
    with pytest.raises(TargetUnavailable, match="the steps cannot be read"):
        jobs._nodes(azure, COMPONENT, "run")


@pytest.fixture
def begin(tmp_path: Path, target: dict[str, Any]) -> Iterator[Callable[..., tuple[Any, RunRef]]]:
    """Runs a pipeline whose step ends with a status, and returns when Azure says that it ended, unlooked at by us."""
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:

        def run(status: int = 0) -> tuple[Any, RunRef]:
            text = SPEC.replace("{one of a kind}", uuid.uuid4().hex).replace("{status}", str(status))
            (tmp_path / "it.yaml").write_text(text)
            taken = take(load_pipeline(tmp_path / "it.yaml"), tmp_path, tmp_path / "store")
            opened = workspace.services.targets.open("prod")
            publication = opened.publish(taken, opened.compile(taken))
            ref = RunRef(id=uuid.uuid4().hex, publication=publication)
            opened.submit(RunRequest(id=ref.id, publication=publication, pipeline="looked-at"))
            azure = connect(opened.target.options)
            while history.of_run(azure, ref.id, "", "no run").json()["status"] not in ("Completed", "Failed"):
                time.sleep(0.02)
            return opened, ref

        yield run


def test_children_that_are_not_found_are_no_end(begin, faults) -> None:
    target, run = begin()
    for ask in (target.get_run, target.get_outputs, lambda ref: target.read_logs(ref, "only", 0)):
        faults("history.children", error="ResourceNotFound")
        with pytest.raises(TargetUnavailable, match="the steps cannot be read"):
            ask(run)
    report = target.get_run(run)
    assert (report.state, report.steps[0].outputs) == ("succeeded", {"text": "done"})


def test_a_failure_is_told_where_its_report_may_not_be_read(begin, faults) -> None:
    target, run = begin(3)
    faults("blobs.get", error="AuthorizationFailed", times=0)
    report = target.get_run(run)
    assert (report.state, report.steps[0].state, report.error.code) == ("failed", "failed", "step_failed")
    assert "Execution failed" in report.error.message


@pytest.mark.parametrize("error", ["AuthorizationFailed", "InternalServerError", "ResourceNotFound"])
def test_a_value_that_cannot_be_read_is_given_up_after_a_while(begin, faults, monkeypatch, error) -> None:
    target, run = begin()
    faults("blobs.get", error=error, times=0)
    with pytest.raises(TargetUnavailable, match="value_text"):
        target.get_run(run)
    monkeypatch.setattr(reading, "lately", lambda *_: False)
    report = target.get_run(run)
    assert (report.state, report.steps[0].state, report.steps[0].outputs) == ("succeeded", "succeeded", {})
    assert report.error == report.steps[0].error
    assert "step `only` succeeded, and what it made is not known: `azureml/" in report.error.message
    assert target.get_outputs(run).outputs == {}


def test_a_log_that_is_not_there_yet_is_waited_for(begin, faults, monkeypatch) -> None:
    target, run = begin()
    faults("blobs.get", error="ResourceNotFound")
    chunk = target.read_logs(run, "only", 0)
    assert (chunk.data, chunk.complete) == (b"", False)
    chunk = target.read_logs(run, "only", 0)
    assert (chunk.data, chunk.complete) == (b"said\n", True)
    faults("blobs.get", error="ResourceNotFound")
    monkeypatch.setattr(reading, "lately", lambda *_: False)
    assert target.read_logs(run, "only", 0).complete, "one that never comes ends, too"


def test_no_more_of_a_value_or_a_report_is_read_than_it_may_have(begin) -> None:
    """A step may write what it likes to where they lie."""
    target, run = begin()
    azure = connect(target.target.options)
    for child in history.of_run(azure, run.id, "/children", "no children").json()["value"]:
        for port in ("value_text", "penstock_report"):
            datastores.write(azure, f"azureml/{child['runId']}/{port}", b"1" * 200_000)
    step = target.get_run(run).steps[0]
    assert (step.outputs["text"], step.attempt) == ("1" * (MAX_TEXT + 1), 1)


@pytest.mark.parametrize("component", [{}, {"componentSpec": None}, {"componentSpec": {"jobs": {"a": None, "b": 7}}}])
def test_a_component_that_is_none_of_ours_breaks_nothing(component) -> None:
    children = [{"runId": "1", "displayName": "a"}]
    nodes = reading.by_node(component, children)
    assert run_report(component, told("Failed", NOW), nodes, {}, NOW).state == "failed"
