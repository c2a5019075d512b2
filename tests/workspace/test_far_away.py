"""Targets that are far, slow, dead, gone or wrong, and what that costs whom."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from penstock.contract.hooks import hookimpl
from penstock.errors import (
    BackendBroken,
    ConfigInvalid,
    Conflict,
    WaitTimeout,
)
from penstock.registry import Owed
from penstock.workspace import Workspace


def touch(workspace: Workspace) -> None:
    """A verb that writes something that concerns no target of ours."""
    workspace.endpoints.update("hello", description=f"touched at {time.monotonic()}")


def test_a_dead_target_is_left_alone_and_no_other_work_minds(far, place, project, reopened):
    far.pipelines.publish(project / "greet.yaml", target="other", endpoint="well")
    place.MOODS["far"] = "away"
    far.submit("hello")
    far._services.registry.outbox.leave_alone("far", 300, "the far place is away")
    place.WHERE.clear()
    for _ in range(19):
        assert "the far place is away; it is tried again from" in far.submit("hello").warnings[0]
    later = reopened()
    assert later.submit("well").record.external is not None
    later.endpoints.disable("hello")
    page = later.runs.list()
    assert set(place.WHERE) == {"other"}
    assert [run.stale for run in page.items].count("the far place is away") == 20
    assert later.admin.status().pending_hand_overs == 20


def test_a_target_that_stays_away_gets_a_longer_pause_each_time(far, place):
    place.MOODS["far"] = "away"
    run = far.submit("hello")
    outbox = far._services.registry.outbox
    failures = outbox.failures("far")
    assert failures > 1
    for _ in range(6):
        begin = datetime.now(UTC)
        far._services.outbox.try_now(Owed(kind="submit", subject=run.id, target="far"))
    assert outbox.failures("far") == failures + 6
    pause = (outbox.breaker("far").until - begin).total_seconds()
    assert 0.05 * 2**7 * 0.75 <= pause < 300 * 1.25 + 5
    place.MOODS["far"] = "well"
    far._services.outbox.try_now(Owed(kind="submit", subject=run.id, target="far"))
    assert (outbox.failures("far"), outbox.breaker("far")) == (0, None)


def test_a_target_that_does_not_answer_holds_nobody_up(far, place, in_time):
    place.MOODS["far"] = "slow"
    begin = time.monotonic()
    run = far.submit("hello")
    far.endpoints.disable("hello")
    assert time.monotonic() - begin < 20, "it would answer after a minute"
    assert "the target has not answered within 0.2 s" in run.warnings[0]
    place.MOODS["far"] = "well"
    place.GO_ON.set()
    # Nobody hangs up on it: what it answers at last counts.
    in_time(lambda: far._services.registry.runs.get(run.id).external is not None)
    assert list(place.JOBS) == [run.id]


def test_a_target_that_does_not_answer_delays_no_look_at_another(far, place, project):
    far.pipelines.publish(project / "greet.yaml", target="other", endpoint="well")
    runs = [far.submit("hello").record, far.submit("well").record]
    place.MOODS["far"] = "slow"
    late, fresh = far._services.follower.look(runs, budget=1.0)
    assert (late.run.stale, late.hopeless) == ("target `far` has not answered within 1 s", False)
    assert (fresh.run.state, fresh.run.stale, fresh.trouble) == ("running", None, None)


def test_many_unfinished_runs_are_looked_at_in_one_call(far, place):
    runs = [far.submit("hello") for _ in range(24)]
    place.CALLS.clear()
    assert {run.state for run in far.runs.list().items} == {"running"}
    assert place.CALLS == ["list 24"]
    place.OVERLOOKED.add(runs[3].id)
    place.JOBS[runs[3].id] = "failed"
    place.CALLS.clear()
    states = {run.id: run.state for run in far.runs.list().items}
    assert ["list 24", f"get {runs[3].id}"] == place.CALLS
    assert [name for name, state in states.items() if state != "running"] == [runs[3].id]


def test_looking_at_what_did_not_change_writes_nothing(far):
    run = far.submit("hello").refresh()
    with closing(sqlite3.connect(far.config.registry.value)) as watcher:
        before = watcher.execute("PRAGMA data_version").fetchone()
        with pytest.raises(WaitTimeout):
            far.runs.wait(run.id, timeout=0.5)
        far.runs.list()
        far.endpoints.list()
        assert watcher.execute("PRAGMA data_version").fetchone() == before
        far.endpoints.disable("hello")
        assert watcher.execute("PRAGMA data_version").fetchone() != before


COUNTED = """\
apiVersion: penstock/v1
kind: Pipeline
name: counted
steps:
  write: {command: ["true", "${{ outputs.text }}", "${{ outputs.count }}"], outputs: {text: string, count: integer}}
outputs: {text: "${{ steps.write.outputs.text }}", count: "${{ steps.write.outputs.count }}"}
"""


def test_a_report_that_contradicts_the_pipeline_harms_nothing_but_its_run(far, place, project):
    (project / "counted.yaml").write_text(COUNTED)
    far.pipelines.publish(project / "counted.yaml", endpoint="counted")
    far.pipelines.publish(project / "greet.yaml", target="other", endpoint="well")
    run, other = far.submit("counted"), far.submit("well")
    place.MOODS["far"] = "odd"
    shown = {one.id: one for one in far.runs.list().items}
    assert (shown[other.id].state, shown[other.id].stale) == ("running", None)
    odd = shown[run.id]
    assert (odd.state, [step.name for step in odd.steps]) == ("running", ["write"])
    for said in ("`stranger`", "`more`", "`count`"):
        assert said in odd.stale
    assert odd.steps[0].outputs == {"text": "far"}
    place.JOBS[run.id] = "succeeded"
    ended = far.runs.wait(run.id, timeout=20)
    assert (ended.state, ended.outputs) == ("succeeded", {"text": "far"})
    assert ended.error.code == "report_invalid"
    for said in ("`stranger`", "`more`", "`count`", "`none`"):
        assert said in ended.error.message
    assert far.runs.outputs(run.id) == {"text": "far"}
    assert far.admin.check().ok


LOGS = """

@penstock.hookimpl
def penstock_read_logs(target, run, step, offset):
    from penstock.contract.run import LogChunk

    _meet(target, f"logs {run.id}")
    return LogChunk(data=b"" if offset else b"a line\\n", next_offset=7, complete=False)
"""
"""What the far place needs to keep logs."""


@pytest.mark.parametrize(
    ("how", "error", "code"),
    [
        ("gone", ConfigInvalid, "target_unknown"),
        ("another place", Conflict, "target_changed"),
        ("broken", BackendBroken, "backend_broken"),
    ],
)
def test_who_waits_for_what_can_never_be_seen_is_told(place, project, distribution, reopened, how, error, code):
    source = (project.parent / "site" / "far_backend.py").read_text() + LOGS
    distribution("penstock-logging", {"penstock.backends": {"logging": "far_logging"}}, far_logging=source)
    config = (project / "penstock.yaml").read_text().replace("backend: far", "backend: logging")
    (project / "penstock.yaml").write_text(config)
    with Workspace.open(project, actor="ada") as workspace:
        workspace.pipelines.publish(project / "greet.yaml", endpoint="hello")
        run = workspace.submit("hello").refresh()
    import far_logging

    if how == "broken":
        far_logging.MOODS["far"] = "bug"
    else:
        other = config.replace("  far:", "  far2:").replace("target: far", "target: far2")
        (project / "penstock.yaml").write_text(config.replace("acme", "else") if how == "another place" else other)
    later = reopened()
    with pytest.raises(error, match=f"run {run.id} is running and cannot be followed: ") as refused:
        later.runs.wait(run.id, timeout=60)
    assert refused.value.code == code
    with pytest.raises(error) as followed:
        list(later.runs.logs(run.id, follow=True))
    assert followed.value.code == code
    shown = later.runs.get(run.id)
    assert (shown.state, shown.finished) == ("running", False)
    assert str(refused.value).endswith(shown.stale)
    assert later.runs.list().items[0].stale == shown.stale
    assert shown.stale and "\n" not in shown.stale


def test_after_acceptance_a_busy_registry_is_no_error_and_loses_nothing(far, place, monkeypatch, in_time):
    monkeypatch.setattr("penstock.registry.file.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("penstock.registry.database.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(far.config.registry.value, isolation_level=None)) as other:

        class Locker:
            @hookimpl
            def penstock_run_changed(self, event):
                other.execute("BEGIN IMMEDIATE")

        with Workspace(far.config, actor="ada", plugins=[("locker", Locker())]) as workspace:
            run = workspace.submit("hello", idempotency_key="k")
            assert run.record.state == "queued"
            (said,) = run.warnings
            assert f"run {run.id} is accepted" in said
            assert "busy" in said
            assert "nothing was changed" not in said
        other.execute("ROLLBACK")
    assert far.submit("hello", idempotency_key="k").id == run.id
    in_time(lambda: far.run(run.id).state == "running")
    assert list(place.JOBS) == [run.id]


def test_a_registry_that_cannot_be_written_can_be_read_whatever_is_owed(far, place, reopened):
    place.MOODS["far"] = "away"
    waiting = far.submit("hello")
    far.endpoints.disable("hello")
    place.MOODS["far"] = "well"
    time.sleep(1)
    later = reopened()
    later._services.registry._database.read_only = True
    assert later.endpoints.get("hello").enabled is False
    assert later.admin.status().pending_hand_overs == 1
    (shown,) = later.runs.list().items
    assert (shown.id, shown.state) == (waiting.id, "queued")
    assert "read-only" in shown.stale
    assert "read-only" in later.runs.get(waiting.id).stale
    assert list(place.JOBS) == []


@pytest.mark.parametrize("what", ["published pipeline", "trial"])
def test_a_target_is_owed_to_forget_until_it_did(far, place, project, in_time, what):
    (project / "once.yaml").write_text((project / "greet.yaml").read_text().replace("hello", "farewell"))
    if what == "trial":
        run = far.submit("once.yaml")
        place.JOBS[run.id] = "succeeded"
        place.MOODS["far"] = "well"
        run.wait()
    else:
        published = far.pipelines.publish(project / "once.yaml").published
        place.MOODS["far"] = "away"
        assert far.pipelines.delete(published.id) == published
    assert far.admin.status().pending_retires == 1
    place.MOODS["far"] = "well"
    with far._services.retiring_held_off():
        time.sleep(0.2)
        touch(far)
        assert place.RETIRED == [], "somebody is putting something on a target"
        assert far._services.registry.outbox.breaker("far") is None or what == "published pipeline"
    in_time(lambda: place.RETIRED, lambda: touch(far))
    (forgotten,) = place.RETIRED
    assert forgotten.startswith("far-")
    assert far.admin.status().pending_retires == 0
    hello = far.endpoints.get("hello").versions[0]
    assert not hello.digest.endswith(forgotten.removeprefix("far-"))


def test_what_is_published_again_before_its_target_forgot_it_stays(far, place, project):
    (project / "once.yaml").write_text((project / "greet.yaml").read_text().replace("hello", "farewell"))
    published = far.pipelines.publish(project / "once.yaml").published
    far._services.registry.outbox.leave_alone("far", 300, "away")
    far.pipelines.delete(published.id)
    assert far.admin.status().pending_retires == 1
    far.pipelines.publish(project / "once.yaml", endpoint="bye")
    assert far.admin.status().pending_retires == 0
    far._services.registry.outbox.reached("far")
    touch(far)
    assert place.RETIRED == []
    assert far.submit("bye").record.external is not None


def test_a_look_that_is_answered_ends_a_series_of_failures(far, place, in_time):
    run = far.submit("hello")
    outbox = far._services.registry.outbox
    place.MOODS["far"] = "away"
    for failures in (1, 2):
        in_time(lambda: outbox.breaker("far") is None)
        assert run.refresh().record.stale == "the far place is away"
        assert outbox.failures("far") == failures
    place.MOODS["far"] = "well"
    in_time(lambda: outbox.breaker("far") is None)
    assert run.refresh().record.stale is None
    assert outbox.failures("far") == 0
