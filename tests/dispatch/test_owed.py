"""What targets are owed is done, whoever dies or is away in between; and an accepted run is never an error."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from penstock.contract.run import RunReport
from penstock.dispatch.backoff import LONGEST_PAUSE, pause_after, within
from penstock.dispatch.retire import retire
from penstock.errors import RegistryError, TargetUnavailable
from penstock.registry import Owed
from penstock.workspace import Workspace


def wait_until(what, seconds=5.0):
    """Whether something comes true within a time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("failing", ["start_handover", "finish_handover"])
@pytest.mark.parametrize("error", [
    RegistryError("the registry is busy; nothing was changed, try again", code="registry_busy"),
    RegistryError("the disk is full; nothing was changed", code="registry_disk_full"),
    OSError(28, "No space left on device"),
])  # fmt: skip
def test_after_acceptance_nothing_raises(ws, far, folder, monkeypatch, failing, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(ws._services.registry.runs, failing, fail, raising=False)
    submitted = ws.runs.submit("near", idempotency_key="k")
    assert submitted.run.state == "queued"
    assert submitted.warnings[0].startswith(f"run {submitted.run.id} is accepted and waits")
    monkeypatch.undo()
    with sqlite3.connect(folder / ".penstock" / "registry.db") as connection:
        connection.execute("UPDATE outbox SET due = 0")
    ws._services.outbox.give_time()
    assert len(far.jobs) == 1
    assert ws.runs.submit("near", idempotency_key="k").run.id == submitted.run.id


def test_a_verb_that_is_committed_is_done_whatever_its_targets_say(ws, far):
    far.broken.add("near")
    assert ws.endpoints.disable("near", reason="flood").changed
    assert ws.admin.status().pending_syncs == 1
    assert ws.endpoints.list(all=True).items  # and what is owed stands in nobody's way


def test_a_registry_that_cannot_be_written_can_be_read_whatever_is_owed(ws, far, folder, bound_by_permissions):
    far.away.add("away")
    far.RETRY = 60.0
    ws.endpoints.disable("away")
    ws.runs.submit("near")
    ws.close()
    database = folder / ".penstock" / "registry.db"
    database.chmod(0o400)
    opened = Workspace.open(folder, actor="ada")
    opened._services.registry._database.read_only = True
    with opened:
        assert len(opened.endpoints.list(all=True).items) == 2
        assert opened.admin.status().pending_syncs == 1
        assert len(opened.runs.list().items) == 1


def test_retiring_is_owed_until_it_is_done(ws, far, sql):
    published = ws.publish("flood.yaml", name="other", target="away")
    ws.endpoints.delete("away")
    for one in ws.pipelines.list().items:
        if one.target == "away":
            far.away.add("away")
            far.RETRY = 0.01
            ws.pipelines.delete(one.id)
    assert far.retired == []
    assert ws.admin.status().pending_retires == 1  # of one publication under two names
    far.away.clear()
    assert wait_until(lambda: ws._services.outbox.give_time() or far.retired)
    assert far.retired == [("away", published.record.external)]
    assert ws.admin.status().pending_retires == 0
    ws.publish("flood.yaml", name="again", target="away")  # and it can be published anew
    assert sql("SELECT count(*) FROM publications WHERE retired")[0] == (0,)


def test_publishing_again_takes_a_retirement_back(ws, far):
    far.RETRY = 60.0
    ws.endpoints.delete("away")
    one = next(one for one in ws.pipelines.list().items if one.target == "away")
    far.away.add("away")
    ws.pipelines.delete(one.id)
    assert ws.admin.status().pending_retires == 1
    far.away.clear()
    ws.publish("flood.yaml", name="anew", target="away")
    assert ws.admin.status().pending_retires == 0
    assert far.retired == []


def test_the_publication_of_a_trial_goes_with_its_last_run(ws, far, folder):
    (folder / "flood.yaml").write_text((folder / "flood.yaml").read_text().replace("maximum: 99", "maximum: 98"))
    first, second = ws.submit("flood.yaml"), ws.submit("flood.yaml")
    far.reports[first.id] = RunReport(state="succeeded")
    first.refresh()
    ws._services.outbox.give_time()
    assert far.retired == []
    far.reports[second.id] = RunReport(state="failed")
    second.refresh()
    ws._services.outbox.give_time()
    assert len(far.retired) == 1
    again = second.rerun()  # puts it there again
    far.reports[again.id] = RunReport(state="succeeded")
    assert again.state == "succeeded"


def test_nothing_is_retired_while_somebody_publishes(ws, far, sql):
    ws.endpoints.delete("away")
    one = next(one for one in ws.pipelines.list().items if one.target == "away")
    inside, go_on = threading.Event(), threading.Event()

    def publish():
        with ws._services.retiring_held_off():
            inside.set()
            go_on.wait(10)

    thread = threading.Thread(target=publish)
    thread.start()
    inside.wait(10)
    begin = time.monotonic()
    ws.pipelines.delete(one.id)  # does not wait for whoever publishes
    assert time.monotonic() - begin < 5
    assert far.retired == []
    owed = Owed(kind="retire", subject=str(sql("SELECT subject FROM outbox")[0][0]), target="away")
    with pytest.raises(TargetUnavailable) as caught:
        retire(ws._services.registry, ws._services.targets, ws._services.home, owed)
    assert caught.value.code == "publishing_elsewhere"
    assert ws._services.registry.outbox.breaker("away") is None  # which is not the target's trouble
    go_on.set()
    thread.join()
    assert wait_until(lambda: ws._services.outbox.give_time() or far.retired)


def test_a_cancel_is_owed_and_its_reason_is_shown(ws, far):
    run = ws.runs.submit("away").run
    far.away.add("away")
    far.RETRY = 0.05
    outcome = ws.runs.cancel(run.id, reason="too deep")
    assert (outcome.requested, outcome.run.cancel_reason) == (True, "too deep")
    assert ws.admin.status().pending_cancels == 1
    far.away.clear()
    assert wait_until(lambda: ws._services.outbox.give_time() or ws.admin.status().pending_cancels == 0)
    ended = ws.runs.wait(run.id, timeout=10)
    assert (ended.state, ended.cancel_reason) == ("canceled", "too deep")


def test_what_a_backend_says_of_a_submission_is_shown(ws):
    run = ws.runs.submit("near").run
    assert run.details == {"console": f"https://far/{run.id[:6]}"}


def test_pauses_double_with_jitter_up_to_a_limit_and_never_below_what_is_asked():
    for failures in range(1, 60):
        pauses = {pause_after(failures, 1.0) for _ in range(20)}
        assert len(pauses) > 1 or failures == 1
        assert all(1.0 <= pause <= LONGEST_PAUSE * 1.25 for pause in pauses)
    assert min(pause_after(9, 1.0) for _ in range(20)) > max(pause_after(7, 1.0) for _ in range(20))
    assert pause_after(3, 1000.0) >= 1000.0


def test_work_within_a_time_raises_what_it_raises_and_is_left_when_it_is_late():
    assert within(5.0, lambda: None)
    assert not within(0.01, lambda: time.sleep(0.5))
    with pytest.raises(TargetUnavailable):
        within(5.0, lambda: (_ for _ in ()).throw(TargetUnavailable("away")))
