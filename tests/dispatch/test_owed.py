"""What targets are owed is done, whoever dies or is away in between; and an accepted run is never an error."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from penstock.contract.hooks import hookimpl
from penstock.contract.run import RunReport
from penstock.dispatch.backoff import LONGEST_PAUSE, Patience, pause_after
from penstock.dispatch.retire import retire
from penstock.errors import RegistryError, TargetUnavailable
from penstock.registry import Owed
from penstock.workspace import Workspace


@pytest.mark.parametrize("failing", ["start_handover", "finish_handover"])
@pytest.mark.parametrize("error", [
    RegistryError("the registry is busy; nothing was changed, try again", code="registry_busy"),
    RegistryError("the disk is full; nothing was changed", code="registry_disk_full"),
    OSError(28, "No space left on device"),
])  # fmt: skip
def test_after_acceptance_nothing_raises(ws, far, all_due, monkeypatch, failing, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(ws._services.registry.runs, failing, fail, raising=False)
    submitted = ws.runs.submit("near", idempotency_key="k")
    assert submitted.run.state == "queued"
    assert submitted.warnings[0].startswith(f"run {submitted.run.id} is accepted and waits")
    monkeypatch.undo()
    all_due()
    ws._services.outbox.give_time()
    assert len(far.jobs) == 1
    assert ws.runs.submit("near", idempotency_key="k").run.id == submitted.run.id


def test_after_acceptance_a_busy_registry_is_no_error_and_loses_nothing(ws, far, monkeypatch, in_time):
    monkeypatch.setattr("penstock.registry.copying.BUSY_SECONDS", 0.05)
    monkeypatch.setattr("penstock.registry.decisions.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(ws.config.registry.value, isolation_level=None)) as other:

        class Locker:
            @hookimpl
            def penstock_run_changed(self, event):
                other.execute("BEGIN IMMEDIATE")

        with Workspace(ws.config, actor="ada", plugins=[("locker", Locker())]) as locked:
            run = locked.submit("near", idempotency_key="k")
            assert run.record.state == "queued"
            (said,) = run.warnings
            assert f"run {run.id} is accepted" in said
            assert "busy" in said
            assert "nothing was changed" not in said
        other.execute("ROLLBACK")
    assert ws.submit("near", idempotency_key="k").id == run.id
    in_time(lambda: ws.run(run.id).state == "running")
    assert list(far.jobs) == [run.id]


def test_a_verb_that_is_committed_is_done_whatever_its_targets_say(ws, far):
    far.broken.add("near")
    assert ws.endpoints.disable("near", reason="flood").changed
    assert ws.admin.status().pending_syncs == 1
    assert ws.endpoints.list(all=True).items  # and what is owed stands in nobody's way


def test_a_registry_that_cannot_be_written_can_be_read_whatever_is_owed(ws, far, folder, all_due):
    far.away.add("away")
    waiting = ws.submit("away")
    ws.submit("near")
    ws.endpoints.disable("away")
    far.away.clear()
    all_due()
    ws.close()
    (folder / ".penstock" / "registry.db").chmod(0o400)
    with Workspace.open(folder, actor="bo") as opened:
        opened._services.registry._database.read_only = True  # permissions do not hold for root
        assert len(opened.endpoints.list(all=True).items) == 2
        assert opened.endpoints.get("away").enabled is False
        counts = opened.admin.status()
        assert (counts.pending_hand_overs, counts.pending_syncs) == (1, 1)
        shown = {run.id: run for run in opened.runs.list().items}
        assert (len(shown), shown[waiting.id].state) == (2, "queued")
        assert "read-only" in shown[waiting.id].stale
        assert "read-only" in opened.runs.get(waiting.id).stale
    assert waiting.id not in far.jobs


def test_retiring_is_owed_until_it_is_done(ws, far, other_spec, touch, sql, all_due):
    first, second = (ws.publish(other_spec, name=name, target="away") for name in ("one", "two"))
    far.away.add("away")
    for one in (first, second):
        assert ws.pipelines.delete(one.id) == one.record
    assert far.retired == []
    assert ws.admin.status().pending_retires == 1  # of one publication under two names
    far.away.clear()
    all_due()
    touch(ws)
    assert far.retired == [("away", first.record.external)]
    assert ws.admin.status().pending_retires == 0
    assert sql("SELECT count(*) FROM publications WHERE retired")[0] == (1,)
    ws.publish(other_spec, name="again", target="away")
    assert sql("SELECT count(*) FROM publications WHERE retired")[0] == (0,)


def test_a_retirement_that_cannot_be_done_is_tried_less_and_less_often(ws, far, other_spec, sql):
    far.RETRY = 1.0
    published = ws.publish(other_spec, target="away")
    far.away.add("away")
    ws.pipelines.delete(published.id)
    owed = Owed(kind="retire", subject=str(sql("SELECT subject FROM outbox")[0][0]), target="away")
    for tries in range(1, 8):
        begin = time.time()
        ws._services.outbox.try_now(owed)
        ((due,),) = sql("SELECT due FROM outbox")
        assert 2**tries * 0.75 <= due / 1e6 - begin < LONGEST_PAUSE * 1.25 + 5
    assert ws._services.registry.outbox.breaker("away") is None  # which is the other work's


def test_publishing_again_takes_a_retirement_back(ws, far, other_spec, touch, all_due):
    published = ws.publish(other_spec, target="away")
    far.away.add("away")
    ws.pipelines.delete(published.id)
    assert ws.admin.status().pending_retires == 1
    far.away.clear()
    ws.publish(other_spec, endpoint="again", target="away")
    assert ws.admin.status().pending_retires == 0
    all_due()
    touch(ws)
    assert far.retired == []
    assert ws.submit("again").record.external is not None


def test_the_publication_of_a_trial_goes_with_its_last_run(ws, far, other_spec, touch, all_due):
    first, second = ws.submit(other_spec), ws.submit(other_spec)
    far.reports[first.id] = RunReport(state="succeeded")
    first.refresh()
    touch(ws)
    assert far.retired == []
    far.reports[second.id] = RunReport(state="failed")
    second.refresh()
    far.away.add("near")
    touch(ws)
    assert ws.admin.status().pending_retires == 1
    far.away.clear()
    all_due()
    touch(ws)
    ((target, forgotten),) = far.retired
    assert target == "near"
    assert forgotten != ws.pipelines.get("flood:1@near").external
    again = second.rerun()  # puts it there again
    far.reports[again.id] = RunReport(state="succeeded")
    assert again.state == "succeeded"


def test_nothing_is_retired_while_somebody_publishes(ws, far, other_spec, touch, sql, all_due):
    published = ws.publish(other_spec, target="away")
    with ws._services.retiring_held_off(ws._services.targets.open("away").placement):
        ws.pipelines.delete(published.id)  # does not wait for whoever publishes: that would be for ever
        assert far.retired == []
        owed = Owed(kind="retire", subject=str(sql("SELECT subject FROM outbox")[0][0]), target="away")
        with pytest.raises(TargetUnavailable) as caught:
            retire(ws._services.registry, ws._services.targets, ws._services.home, owed)
        assert caught.value.code == "publishing_elsewhere"
        assert ws._services.registry.outbox.breaker("away") is None  # which is not the target's trouble
    all_due()
    touch(ws)
    assert len(far.retired) == 1


def test_a_copy_tells_no_target_anything(ws, far, folder, other_spec, all_due):
    ws.submit("away")
    published = ws.publish(other_spec, target="away")
    far.away.add("away")
    ws.pipelines.delete(published.id)
    ws.endpoints.disable("away")
    all_due()
    (folder / "elsewhere").mkdir()
    copy = ws.admin.backup(folder / "elsewhere" / "copy.db")
    far.away.clear()
    (copy.parent / ".penstock").mkdir()  # as a plugin makes it that writes there
    far.calls.clear()
    with Workspace.open(folder, flags={"registry": str(copy)}, actor="bo") as copied:
        with pytest.raises(RegistryError, match="copied here"):
            copied.endpoints.enable("away")
        copied.runs.list()
    assert far.calls == []


def test_pauses_double_with_jitter_up_to_a_limit_and_never_below_what_is_asked():
    for failures in range(1, 60):
        pauses = {pause_after(failures, 1.0) for _ in range(20)}
        assert len(pauses) > 1 or failures == 1
        assert all(1.0 <= pause <= LONGEST_PAUSE * 1.25 for pause in pauses)
    assert min(pause_after(9, 1.0) for _ in range(20)) > max(pause_after(7, 1.0) for _ in range(20))
    assert pause_after(3, 1000.0) >= 1000.0


def test_work_within_a_time_raises_what_it_raises_and_is_left_when_it_is_late(ws):
    patience = Patience(ws._services.registry)
    assert patience.work(5.0, {"near": lambda: None}) == {}
    assert set(patience.work(0.01, {"near": lambda: time.sleep(0.5)})) == {"near"}
    with pytest.raises(TargetUnavailable):
        patience.work(5.0, {"away": lambda: (_ for _ in ()).throw(TargetUnavailable("away"))})
