"""Handing over and following runs, against a backend that can be away, refuse, forget and lose its answers."""

from __future__ import annotations

import time

import pytest

from penstock.errors import Conflict, TargetUnsupported
from penstock.workspace import Workspace

FAR = '''
"""A far place: its jobs live in this module; `mood` says how it behaves, `calls` what it was asked."""
from attrs import frozen, field
import penstock
from penstock.errors import TargetRefused, TargetUnavailable
from penstock.contract.run import Absent, RunOutputs, RunReport, StepReport, Submission
from penstock.contract.target import Compiled, Publication

JOBS, CALLS, ENDPOINTS, MOOD = {}, [], {}, {"say": "well"}


@frozen
class FarOptions:
    project: str = field(default="none", metadata={"identity": True})


@penstock.hookimpl
def penstock_target_options():
    return FarOptions


@penstock.hookimpl
def penstock_validate_pipeline(pipeline):
    return []


@penstock.hookimpl
def penstock_compile_pipeline(snapshot):
    return Compiled(media_type="application/json", data=snapshot.canonical.encode())


@penstock.hookimpl
def penstock_publish_pipeline(snapshot):
    return Publication(external="far-" + snapshot.digest[-12:])


@penstock.hookimpl
def penstock_submit_run(run):
    CALLS.append("submit " + run.id)
    if MOOD["say"] == "away":
        raise TargetUnavailable("the far place is away", retry_after=0.05)
    if MOOD["say"] == "no":
        raise TargetRefused("quota of acme is used up")
    if MOOD["say"] == "bug":
        raise RuntimeError("internal trouble\\nsecond line")
    JOBS.setdefault(run.id, "running")
    if MOOD["say"] == "lost":
        MOOD["say"] = "well"
        raise TargetUnavailable("the answer was lost", retry_after=0.01)
    return Submission(external="job-" + run.id)


@penstock.hookimpl
def penstock_get_run(run):
    state = JOBS.get(run.id)
    if state is None:
        return Absent()
    return RunReport(state=state, steps=(StepReport(name="write", state=state),))


@penstock.hookimpl
def penstock_get_outputs(run):
    return RunOutputs(outputs={"text": "far"})


@penstock.hookimpl
def penstock_cancel_run(run):
    CALLS.append("cancel " + run.id)
    if MOOD["say"] == "away":
        raise TargetUnavailable("the far place is away", retry_after=0.05)
    JOBS[run.id] = "canceled"
    return True


@penstock.hookimpl
def penstock_sync_endpoint(endpoint):
    if MOOD["say"] == "away":
        raise TargetUnavailable("the far place is away", retry_after=0.0)
    ENDPOINTS[endpoint.name] = (endpoint.default, endpoint.enabled, len(endpoint.versions))
    return True
'''


@pytest.fixture
def far(project, distribution, monkeypatch):
    """A workspace on the far place, its module, and patience cut short."""
    distribution("penstock-far", {"penstock.backends": {"far": "far_backend"}}, far_backend=FAR)
    (project / "penstock.yaml").write_text("target: away\ntargets: {away: {backend: far, project: acme}}\n")
    monkeypatch.setattr("penstock.dispatch.dispatcher.PATIENCE", 0.2)
    import far_backend

    with Workspace.open(project, actor="ada") as workspace:
        workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
        yield workspace, far_backend


def reopened(workspace: Workspace) -> Workspace:
    """The next command: another opening of the same workspace."""
    return Workspace.open(workspace.config.base, actor="bo")


def caught_up(workspace: Workspace, done) -> None:
    """Let a workspace do what is due until something is true."""
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.01)
        workspace._context.dispatcher.catch_up()


def test_a_run_is_handed_over_and_followed(far):
    workspace, place = far
    run = workspace.submit("hello")
    assert (run.state, run.record.external) == ("queued", f"job-{run.id}")
    assert run.refresh().state == "running"
    place.JOBS[run.id] = "succeeded"
    assert run.wait().outputs == {"text": "far"}


def test_a_target_that_is_away_leaves_the_run_queued_with_a_warning_and_later_commands_hand_it_over(far):
    workspace, place = far
    place.MOOD["say"] = "away"
    run = workspace.submit("hello")
    assert run.state == "queued"
    assert "waits to be handed to target `away`: the far place is away" in run.warnings[0]
    assert workspace.admin.status().pending_hand_overs == 1
    place.MOOD["say"] = "well"
    with reopened(workspace) as later:
        caught_up(later, lambda: later.run(run.id).state == "running")
        assert list(place.JOBS) == [run.id]


def test_a_lost_answer_does_not_start_a_second_job(far):
    workspace, place = far
    place.MOOD["say"] = "lost"
    run = workspace.submit("hello")
    assert run.record.external == f"job-{run.id}"
    assert [f"submit {run.id}"] * 2 == place.CALLS
    assert list(place.JOBS) == [run.id]


def test_a_refusal_ends_the_run_with_dispatch_failed(far):
    workspace, place = far
    place.MOOD["say"] = "no"
    run = workspace.submit("hello")
    assert (run.state, run.record.error.code) == ("failed", "dispatch_failed")
    assert "quota of acme" in run.record.error.message


def test_a_bug_in_a_backend_keeps_the_run_and_shows_one_line(far):
    workspace, place = far
    place.MOOD["say"] = "bug"
    run = workspace.submit("hello")
    assert run.state == "queued"
    assert "internal trouble" in run.warnings[0]
    assert "second line" not in run.warnings[0]


def test_a_job_that_vanished_is_lost(far):
    workspace, place = far
    run = workspace.submit("hello")
    place.JOBS.clear()
    assert run.refresh().state == "failed"
    assert run.record.error.code == "run_lost"


def test_cancel_of_a_handed_over_run_asks_the_target_and_its_answer_decides(far):
    workspace, place = far
    run = workspace.submit("hello")
    place.MOOD["say"] = "away"
    assert run.cancel(reason="wrong data").record.cancel_requested
    assert run.state != "canceled"
    place.MOOD["say"] = "well"
    with reopened(workspace) as later:
        assert later.run(run.id).state == "canceled"


def test_cancel_while_the_hand_over_is_unsure_submits_then_cancels(far):
    workspace, place = far
    place.MOOD["say"] = "away"
    run = workspace.submit("hello")
    assert run.cancel().state == "queued", "the target may have it: only it can say"
    place.MOOD["say"] = "well"
    caught_up(workspace, lambda: run.refresh().record.finished)
    assert run.state == "canceled"
    assert place.CALLS[-1] == f"cancel {run.id}"


def test_cancel_of_a_finished_run_answers_with_its_state(far):
    workspace, place = far
    run = workspace.submit("hello")
    place.JOBS[run.id] = "succeeded"
    run.wait()
    assert run.cancel().state == "succeeded"


def test_a_backward_report_is_ignored(far):
    workspace, place = far
    run = workspace.submit("hello")
    run.refresh()
    place.JOBS[run.id] = "queued"
    assert run.refresh().state == "running"
    place.JOBS[run.id] = "succeeded"
    run.refresh()
    place.JOBS[run.id] = "running"
    assert run.refresh().state == "succeeded"


def test_logs_that_a_target_does_not_keep_are_an_error_by_capability(far):
    workspace, _ = far
    run = workspace.submit("hello")
    run.refresh()
    with pytest.raises(TargetUnsupported, match="log"):
        list(run.logs())


def test_an_endpoint_state_is_synced_later_when_the_target_was_away(far):
    workspace, place = far
    assert place.ENDPOINTS["hello"] == ("0", True, 1)
    place.MOOD["say"] = "away"
    workspace.endpoints.disable("hello", reason="x")
    assert place.ENDPOINTS["hello"] == ("0", True, 1)
    assert workspace.admin.status().pending_syncs == 1
    place.MOOD["say"] = "well"
    with reopened(workspace) as later:
        later.admin.status()
        assert place.ENDPOINTS["hello"] == ("0", False, 1)


def test_a_target_name_that_now_means_another_place_is_refused(far, project):
    workspace, _ = far
    (project / "penstock.yaml").write_text("target: away\ntargets: {away: {backend: far, project: other}}\n")
    with reopened(workspace) as moved, pytest.raises(Conflict, match="acme") as refused:
        moved.submit("hello")
    assert refused.value.code == "target_changed"
    with reopened(workspace) as moved, pytest.raises(Conflict) as again:
        moved.publish(project / "greet.yaml")
    assert again.value.code == "target_changed"
