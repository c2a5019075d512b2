"""Handing over and following runs, against a target that can be away, refuse, forget and lose its answers."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime

import pytest

from penstock.contract.run import RunReport
from penstock.errors import Conflict, PenstockError, TargetUnsupported, WaitTimeout
from penstock.workspace import Workspace

SUCCEEDED = RunReport(state="succeeded")


def attempts(far, run):
    """With which attempts a run came to the target."""
    return [attempt for attempt, *_ in far.jobs[run.id]]


def test_a_run_is_handed_over_and_followed(ws, far):
    run = ws.submit("away")
    assert (run.record.state, run.record.external) == ("queued", f"job-{run.id[:6]}")
    assert (run.record.waiting, run.record.stale) == (None, None)
    assert run.record.details == {"console": f"https://far/{run.id[:6]}"}
    assert run.state == "running"
    far.reports[run.id], far.outputs[run.id] = SUCCEEDED, {"level": "3.5"}
    assert run.wait().outputs == {"level": 3.5}
    assert far.calls[0] == ("away", "submit")
    assert attempts(far, run) == [1]


def test_a_target_that_is_away_leaves_the_run_queued_with_a_warning_and_later_commands_hand_it_over(
    ws, far, monkeypatch, later, all_due
):
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 2.0)
    far.away.add("away")
    far.RETRY = 0.4  # a second pause fits into that, a third does not
    run = ws.submit("away")
    assert run.record.state == "queued"
    assert "waits to be handed to target `away`: away does not answer" in run.warnings[0]
    assert run.record.waiting.tries > 1, "it was tried again while the submit had patience"
    assert run.record.waiting.message == "away does not answer"
    assert ws.admin.status().pending_hand_overs == 1
    assert run.refresh().record.stale == "away does not answer"
    far.away.clear()
    all_due()
    other = later()
    other.runs.get(run.id)
    assert other.run(run.id).state == "running"
    assert list(far.jobs) == [run.id]
    assert other.run(run.id).record.waiting is None


def test_a_run_that_waits_says_why_until_when_and_how_often_it_was_tried(ws, far):
    far.away.add("away")
    run = ws.runs.submit("away").run
    assert (run.waiting.message, run.waiting.tries) == ("away does not answer", 1)
    assert run.waiting.due > run.created
    assert ws.runs.list().items[0].waiting == run.waiting
    with pytest.raises(WaitTimeout, match=r"is still queued after 0 s \(waiting: away does not answer"):
        ws.runs.wait(run.id, timeout=0)


@pytest.mark.parametrize("how", ["a verb that writes", "run list", "run show", "run wait"])
def test_what_hands_a_waiting_run_over_later(ws, far, later, touch, all_due, how):
    far.away.add("away")
    run = ws.submit("away")
    far.away.clear()
    all_due()
    other = later()

    def wait():
        with contextlib.suppress(WaitTimeout):
            other.runs.wait(run.id, timeout=0.05)

    work = {
        "a verb that writes": lambda: touch(other),
        "run list": other.runs.list,
        "run show": lambda: other.runs.get(run.id),
        "run wait": wait,
    }[how]
    work()
    assert list(far.jobs) == [run.id]


def test_opening_and_reading_call_no_target(ws, far, later, all_due):
    far.away.add("away")
    run = ws.submit("away")
    ws.endpoints.disable("away", reason="x")
    far.away.clear()
    all_due()
    far.calls.clear()
    other = later()
    other.admin.status()
    other.admin.history(runs=True)
    other.admin.check()
    other.endpoints.list()
    other.endpoints.get("away")
    other.endpoints.history("away")
    other.endpoints.at("away", datetime.now(UTC))
    other.pipelines.list()
    other.pipelines.get("flood:1@away")
    other.targets.list()
    other.targets.plugins()
    assert far.calls == []
    counts = other.admin.status()
    assert (counts.pending_hand_overs, counts.pending_syncs, counts.runs["queued"]) == (1, 1, 1)
    other.runs.get(run.id)
    assert list(far.jobs) == [run.id]


def test_a_lost_answer_does_not_start_a_second_job(ws, far):
    far.losing.add("away")
    far.RETRY = 0.01
    run = ws.submit("away")
    assert run.record.external == f"job-{run.id[:6]}"
    assert far.calls == [("away", "submit")] * 2
    assert attempts(far, run) == [1, 2]


def test_a_refusal_ends_the_run_with_dispatch_failed(ws, far):
    far.refusing.add("away")
    run = ws.submit("away")
    assert (run.state, run.record.error.code) == ("failed", "dispatch_failed")
    assert "quota of away" in run.record.error.message
    assert run.warnings == ()


def test_a_bug_in_a_backend_keeps_the_run_and_shows_one_line(ws, far):
    far.broken.add("away")
    run = ws.submit("away")
    assert run.record.state == "queued"
    assert "out of its mind" in run.warnings[0]
    assert "second line" not in run.warnings[0]
    assert "out of its mind" in run.record.waiting.message
    calls = len(far.calls)
    ws._services.outbox.give_time()
    assert len(far.calls) == calls, "what is broken is not tried again at once"


def test_a_job_that_vanished_is_lost(ws, far):
    run = ws.submit("away")
    far.jobs.clear()
    assert run.refresh().state == "failed"
    assert run.record.error.code == "run_lost"


def test_cancel_of_a_handed_over_run_asks_the_target_and_its_answer_decides(ws, far, later, touch, all_due):
    run = ws.runs.submit("away").run
    far.away.add("away")
    outcome = ws.runs.cancel(run.id, reason="wrong data")
    assert (outcome.requested, outcome.run.cancel_requested) == (True, True)
    assert (outcome.run.cancel_reason, outcome.run.state) == ("wrong data", "queued")
    assert ws.admin.status().pending_cancels == 1
    far.away.clear()
    all_due()
    other = later()
    touch(other)
    ended = other.runs.get(run.id)
    assert (ended.state, ended.cancel_reason) == ("canceled", "wrong data")
    assert other.admin.status().pending_cancels == 0


def test_who_waits_for_a_run_passes_on_the_cancel_that_its_target_has_not_heard(ws, far, later, all_due):
    run = ws.submit("away")
    far.away.add("away")
    run.cancel()
    far.away.clear()
    all_due()
    assert later().runs.wait(run.id, timeout=10).state == "canceled"


def test_cancel_while_the_hand_over_is_unsure_submits_then_cancels(ws, far, touch, all_due):
    far.away.add("away")
    run = ws.submit("away")
    assert run.cancel().state == "queued", "the target may have it: only it can say"
    assert ws.admin.status().pending_cancels == 0, "the target cannot be told yet"
    far.away.clear()
    all_due()
    touch(ws)
    assert run.refresh().state == "canceled"
    asked = [what for target, what in far.calls if target == "away" and what not in ("get", "list")]
    assert asked[-2:] == ["submit", "cancel"]


def test_cancel_of_a_finished_run_answers_with_its_state(ws, far):
    run = ws.submit("away")
    far.reports[run.id], far.outputs[run.id] = SUCCEEDED, {"level": "1"}
    run.wait()
    far.calls.clear()
    assert run.cancel().state == "succeeded"
    assert far.calls == []
    assert not run.record.cancel_requested


def test_a_backward_report_is_ignored(ws, far):
    run = ws.submit("away")
    run.refresh()
    far.reports[run.id] = RunReport(state="queued")
    assert run.refresh().state == "running"
    far.reports[run.id] = SUCCEEDED
    run.refresh()
    far.reports[run.id] = RunReport(state="running")
    assert run.refresh().state == "succeeded"


def test_logs_that_a_target_does_not_keep_are_an_error_by_capability(folder, far, monkeypatch):
    monkeypatch.delattr(far, "penstock_read_logs")
    with Workspace.open(folder, actor="ada") as ws:
        ws.publish("flood.yaml", endpoint="near")
        run = ws.submit("near").refresh()
        with pytest.raises(TargetUnsupported, match="log"):
            list(run.logs())


def test_an_endpoint_state_is_synced_later_when_the_target_was_away(ws, far, later, touch, all_due):
    assert far.endpoints["away"] == ("0", True, 1)
    far.away.add("away")
    ws.endpoints.disable("away", reason="x")
    assert far.endpoints["away"] == ("0", True, 1)
    assert ws.admin.status().pending_syncs == 1
    far.away.clear()
    all_due()
    other = later()
    other.admin.status()
    assert far.endpoints["away"] == ("0", True, 1), "a read calls no target"
    touch(other)
    assert far.endpoints["away"] == ("0", False, 1)
    assert other.admin.status().pending_syncs == 0


def test_a_target_name_that_now_means_another_place_is_refused(ws, folder, later):
    (folder / "penstock.yaml").write_text("target: near\ntargets: {near: {backend: far, place: there}}\n")
    with pytest.raises(Conflict, match="here") as refused:
        later().submit("near")
    assert refused.value.code == "target_changed"
    with pytest.raises(Conflict) as again:
        later().publish("flood.yaml")
    assert again.value.code == "target_changed"


def test_options_that_do_not_identify_take_effect_at_once_unless_they_are_frozen(ws, far, folder, later, other_spec):
    first = ws.submit("near")
    (folder / "penstock.yaml").write_text("target: near\ntargets: {near: {backend: far, machine: large, slots: 7}}\n")
    other = later()
    second = other.submit("near")
    other.pipelines.publish(other_spec, endpoint="near", default=True)
    third, pinned = other.submit("near"), other.submit("near@0")
    assert [options for run in (first, second, third, pinned) for _, *options in far.jobs[run.id]] == [
        ["small", 1],
        ["small", 7],
        ["large", 7],
        ["small", 7],
    ]
    shown = {option: status.takes_effect for option, status in other.targets.list()[0].options.items()}
    assert shown == {
        "place": "as another place",
        "machine": "for what is published from now on",
        "slots": "at once",
    }


def test_two_threads_hand_over_without_getting_in_each_others_way(ws, far):
    far.seconds["near"] = 0.02
    errors = []

    def submit():
        try:
            for _ in range(5):
                ws.runs.submit("near")
        except PenstockError as error:
            errors.append(error)

    threads = [threading.Thread(target=submit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(far.jobs) == 20
    assert all(len(submits) == 1 for submits in far.jobs.values())
