"""Handing over and following runs, against a place that can be away, refuse, forget and lose its answers."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime

import pytest

from penstock.errors import (
    Conflict,
    TargetUnsupported,
    WaitTimeout,
)
from penstock.workspace import Workspace


def owed(workspace: Workspace) -> None:
    """Give what is due some time, as every verb that writes does."""
    workspace._services.outbox.give_time()


def touch(workspace: Workspace) -> None:
    """A verb that writes something that concerns no target of ours."""
    workspace.endpoints.update("hello", description=f"touched at {time.monotonic()}")


def test_a_run_is_handed_over_and_followed(far, place):
    run = far.submit("hello")
    assert (run.record.state, run.record.external) == ("queued", f"job-{run.id}")
    assert (run.record.waiting, run.record.stale) == (None, None)
    assert run.record.details == {"console": f"https://far/{run.id}"}
    assert run.state == "running"
    place.JOBS[run.id] = "succeeded"
    assert run.wait().outputs == {"text": "far"}
    assert place.CALLS[0] == f"submit {run.id} 1"


def test_a_target_that_is_away_leaves_the_run_queued_with_a_warning_and_later_commands_hand_it_over(
    far, place, reopened, in_time
):
    place.MOODS["far"] = "away"
    run = far.submit("hello")
    assert run.record.state == "queued"
    assert "waits to be handed to target `far`: the far place is away" in run.warnings[0]
    assert run.record.waiting.tries > 1, "it was tried again while the submit had patience"
    assert run.record.waiting.message == "the far place is away"
    assert far.admin.status().pending_hand_overs == 1
    assert run.refresh().record.stale == "the far place is away"
    place.MOODS["far"] = "well"
    later = reopened()
    in_time(lambda: later.run(run.id).state == "running")
    assert list(place.JOBS) == [run.id]
    assert later.run(run.id).record.waiting is None


@pytest.mark.parametrize("how", ["a verb that writes", "run list", "run show", "run wait"])
def test_what_hands_a_waiting_run_over_later(far, place, reopened, in_time, how):
    place.MOODS["far"] = "away"
    run = far.submit("hello")
    place.MOODS["far"] = "well"
    later = reopened()

    def wait():
        with contextlib.suppress(WaitTimeout):
            later.runs.wait(run.id, timeout=0.05)

    work = {
        "a verb that writes": lambda: touch(later),
        "run list": lambda: later.runs.list(),
        "run show": lambda: later.runs.get(run.id),
        "run wait": wait,
    }[how]
    in_time(lambda: run.id in place.JOBS, work)


def test_opening_and_reading_call_no_target(far, place, reopened, in_time):
    place.MOODS["far"] = "away"
    run = far.submit("hello")
    far.endpoints.disable("hello", reason="x")
    place.MOODS["far"] = "well"
    time.sleep(1)  # whatever was put off is due by now
    place.CALLS.clear()
    later = reopened()
    later.admin.status()
    later.admin.history(runs=True)
    later.admin.check()
    later.endpoints.list()
    later.endpoints.get("hello")
    later.endpoints.history("hello")
    later.endpoints.at("hello", datetime.now(UTC))
    later.pipelines.list()
    later.pipelines.get("greet:1")
    later.targets.list()
    later.targets.plugins()
    assert place.CALLS == []
    counts = later.admin.status()
    assert (counts.pending_hand_overs, counts.pending_syncs, counts.runs["queued"]) == (1, 1, 1)
    in_time(lambda: later.runs.get(run.id).state == "running")
    assert place.CALLS != []


def test_a_lost_answer_does_not_start_a_second_job(far, place):
    place.MOODS["far"] = "lost"
    run = far.submit("hello")
    assert run.record.external == f"job-{run.id}"
    assert [f"submit {run.id} 1", f"submit {run.id} 2"] == place.CALLS
    assert list(place.JOBS) == [run.id]


def test_a_refusal_ends_the_run_with_dispatch_failed(far, place):
    place.MOODS["far"] = "no"
    run = far.submit("hello")
    assert (run.state, run.record.error.code) == ("failed", "dispatch_failed")
    assert "quota of acme" in run.record.error.message
    assert run.warnings == ()


def test_a_bug_in_a_backend_keeps_the_run_and_shows_one_line(far, place):
    place.MOODS["far"] = "bug"
    run = far.submit("hello")
    assert run.record.state == "queued"
    assert "internal trouble" in run.warnings[0]
    assert "second line" not in run.warnings[0]
    assert "internal trouble" in run.record.waiting.message
    calls = len(place.CALLS)
    owed(far)
    assert len(place.CALLS) == calls, "what is broken is not tried again at once"


def test_a_job_that_vanished_is_lost(far, place):
    run = far.submit("hello")
    place.JOBS.clear()
    assert run.refresh().state == "failed"
    assert run.record.error.code == "run_lost"


def test_cancel_of_a_handed_over_run_asks_the_target_and_its_answer_decides(far, place, reopened, in_time):
    run = far.submit("hello")
    place.MOODS["far"] = "away"
    assert run.cancel(reason="wrong data").record.cancel_requested
    assert (run.record.cancel_reason, run.state) == ("wrong data", "queued")
    assert far.admin.status().pending_cancels == 1
    place.MOODS["far"] = "well"
    later = reopened()
    in_time(lambda: later.run(run.id).state == "canceled", lambda: touch(later))
    assert later.run(run.id).record.cancel_reason == "wrong data"
    assert later.admin.status().pending_cancels == 0


def test_who_waits_for_a_run_passes_on_the_cancel_that_its_target_has_not_heard(far, place, reopened):
    run = far.submit("hello")
    place.MOODS["far"] = "away"
    run.cancel()
    place.MOODS["far"] = "well"
    assert reopened().runs.wait(run.id, timeout=10).state == "canceled"


def test_cancel_while_the_hand_over_is_unsure_submits_then_cancels(far, place, in_time):
    place.MOODS["far"] = "away"
    run = far.submit("hello")
    assert run.cancel().state == "queued", "the target may have it: only it can say"
    assert far.admin.status().pending_cancels == 0, "the target cannot be told yet"
    place.MOODS["far"] = "well"
    in_time(lambda: run.refresh().record.finished, lambda: touch(far))
    assert run.state == "canceled"
    assert [call.split()[0] for call in place.CALLS if run.id in call and "get" not in call][-2:] == [
        "submit",
        "cancel",
    ]


def test_cancel_of_a_finished_run_answers_with_its_state(far, place):
    run = far.submit("hello")
    place.JOBS[run.id] = "succeeded"
    run.wait()
    place.CALLS.clear()
    assert run.cancel().state == "succeeded"
    assert place.CALLS == []
    assert not run.record.cancel_requested


def test_a_backward_report_is_ignored(far, place):
    run = far.submit("hello")
    run.refresh()
    place.JOBS[run.id] = "queued"
    assert run.refresh().state == "running"
    place.JOBS[run.id] = "succeeded"
    run.refresh()
    place.JOBS[run.id] = "running"
    assert run.refresh().state == "succeeded"


def test_logs_that_a_target_does_not_keep_are_an_error_by_capability(far):
    run = far.submit("hello")
    run.refresh()
    with pytest.raises(TargetUnsupported, match="log"):
        list(run.logs())


def test_an_endpoint_state_is_synced_later_when_the_target_was_away(far, place, reopened, in_time):
    assert place.ENDPOINTS["hello"] == ("0", True, 1)
    place.MOODS["far"] = "away"
    far.endpoints.disable("hello", reason="x")
    assert place.ENDPOINTS["hello"] == ("0", True, 1)
    assert far.admin.status().pending_syncs == 1
    place.MOODS["far"] = "well"
    later = reopened()
    later.admin.status()
    assert place.ENDPOINTS["hello"] == ("0", True, 1), "a read calls no target"
    in_time(lambda: place.ENDPOINTS["hello"] == ("0", False, 1), lambda: touch(later))
    assert later.admin.status().pending_syncs == 0


def test_a_target_name_that_now_means_another_place_is_refused(far, project, reopened):
    (project / "penstock.yaml").write_text("target: far\ntargets: {far: {backend: far, project: other}}\n")
    with pytest.raises(Conflict, match="acme") as refused:
        reopened().submit("hello")
    assert refused.value.code == "target_changed"
    with pytest.raises(Conflict) as again:
        reopened().publish(project / "greet.yaml")
    assert again.value.code == "target_changed"


def test_options_that_do_not_identify_take_effect_at_once_unless_they_are_frozen(far, place, project, reopened):
    first = far.submit("hello")
    (project / "penstock.yaml").write_text(
        "target: far\ntargets: {far: {backend: far, project: acme, machine: large, slots: 7}}\n"
    )
    later = reopened()
    second = later.submit("hello")
    (project / "greet.yaml").write_text((project / "greet.yaml").read_text().replace("hello", "good day"))
    later.pipelines.publish(project / "greet.yaml", endpoint="hello", default=True)
    third, pinned = later.submit("hello"), later.submit("hello@0")
    assert [place.OPTIONS[run.id] for run in (first, second, third, pinned)] == [
        ("small", 1),
        ("small", 7),
        ("large", 7),
        ("small", 7),
    ]
    shown = {option: status.takes_effect for option, status in later.targets.list()[0].options.items()}
    assert shown == {
        "project": "as another place",
        "machine": "for what is published from now on",
        "slots": "at once",
    }
