"""A target that takes a call and never answers costs one wait and one thread, and is left alone as if it were away."""

from __future__ import annotations

import re
import threading
import time

import pytest

from penstock.dispatch.follow import LOOK_BUDGET
from penstock.workspace import Workspace

EARLIER: list[threading.Thread] = []


@pytest.fixture
def hang(far, monkeypatch):
    """Let calls of a target begin and not end; `hang.set()` ends them. Every wait is cut short."""
    monkeypatch.setattr("penstock.dispatch.backoff.HANGS", 0.2)
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.3)
    answer, reach = threading.Event(), far.reach
    EARLIER[:] = threading.enumerate()  # what other tests have left

    def reaching(target, what):
        reach(target, what)
        if target.name in far.hanging and what in far.hanging[target.name]:
            answer.wait(60)

    far.hanging = {}
    monkeypatch.setattr(far, "reach", reaching)
    yield answer
    answer.set()


def waiting() -> list[threading.Thread]:
    """The threads that wait for the target."""
    return [one for one in threading.enumerate() if one.name == "penstock-away" and one not in EARLIER]


def end(hang) -> None:
    """Let the target answer at last, and wait for what that brings."""
    hang.set()
    for thread in waiting():
        thread.join(10)


def forget_the_pause(ws) -> None:
    """As if it were over; how often the target failed stays known."""
    with ws._services.registry.write() as tx:
        tx.run("UPDATE breakers SET until = 1")


@pytest.mark.parametrize("what", ["get", "list"])
def test_looks_leave_one_thread_and_a_pause_that_grows(ws, far, hang, what):
    runs = [ws.submit("away").record for _ in range(1 if what == "get" else 3)]
    far.hanging["away"] = what
    follower, outbox = ws._services.follower, ws._services.registry.outbox
    (first, *_) = follower.look(runs, budget=0.3)
    assert first.run.stale == "target `away` has not answered within 0.3 s"
    assert (outbox.failures("away"), outbox.breaker("away").message) == (1, first.run.stale)
    for failures in (2, 3, 4):
        follower.look(runs, budget=0.3)
        assert outbox.failures("away") == failures - 1, "it is left alone already"
        forget_the_pause(ws)
        begin = time.monotonic()
        found = follower.look(runs, budget=5.0)
        assert all(one.run.stale.startswith("still waiting for target `away` since ") for one in found)
        assert not any(one.hopeless for one in found)
        assert time.monotonic() - begin < 2.5, "nobody waits for what hangs"
        assert (outbox.failures("away"), len(waiting())) == (failures, 1)
    far.hanging.clear()
    end(hang)
    forget_the_pause(ws)
    assert [one.run.stale for one in follower.look(runs, budget=5.0)] == [None] * len(runs)
    assert (outbox.failures("away"), len(waiting())) == (0, 0)


def test_callers_that_come_later_leave_nothing_more(ws, far, hang):
    run = ws.submit("away").record
    far.hanging["away"] = "get"

    def all_at_once():
        threads = [threading.Thread(target=ws._services.follower.look, args=([run], 0.3)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return set(waiting())

    first = all_at_once()
    assert 1 <= len(first) <= 6
    for _ in range(3):
        forget_the_pause(ws)
        assert all_at_once() == first


def test_another_process_leaves_it_alone_too(ws, far, hang, folder):
    run = ws.submit("away").record
    far.hanging["away"] = "get"
    ws._services.follower.look([run], budget=0.3)
    with ws._services.registry.write() as tx:
        tx.run("UPDATE breakers SET until = until + 60000000")
    far.calls.clear()
    with Workspace.open(folder, actor="bo") as other:
        stale = other.runs.get(run.id).stale
        assert re.fullmatch(
            r"the target is left alone until [\d:]{8} UTC, after: target `away` has not .+ 0.3 s", stale
        )
        assert "it is tried again from" in other.runs.submit("away").warnings[0]
    assert ("away", "get") not in far.calls
    assert ("away", "submit") not in far.calls


def test_hand_overs_leave_one_thread_and_lose_no_run(ws, far, hang, monkeypatch):
    far.hanging["away"] = "submit"
    runs = [ws.runs.submit("away")]
    assert "target `away` has not answered within 0.3 s" in runs[0].warnings[0]
    for _ in range(3):
        forget_the_pause(ws)
        runs.append(ws.runs.submit("away"))
        assert "still waiting for target `away` since" in runs[-1].warnings[0]
    assert (len(waiting()), far.calls.count(("away", "submit"))) == (1, 1)
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 10.0)  # a busy machine may take longer than 0.3 s
    assert ws.runs.submit("near").run.external is not None
    far.hanging.clear()
    end(hang)
    registry = ws._services.registry
    deadline = time.monotonic() + 10
    while any(registry.runs.get(one.run.id).external is None for one in runs):
        assert time.monotonic() < deadline
        registry.outbox.reached("away")
        with registry.write() as tx:
            tx.run("UPDATE outbox SET due = 1 WHERE started IS NULL")
        ws._services.outbox.give_time()
    assert all(len(far.jobs[one.run.id]) == 1 for one in runs)


@pytest.mark.parametrize("what", ["sync", "retire", "cancel"])
def test_what_is_owed_to_it_leaves_one_thread_and_goes_on_elsewhere(ws, far, hang, what):
    run = ws.submit("away").record
    far.hanging["away"] = what
    far.calls.clear()
    if what == "retire":
        far.reports["*"] = far.RunReport(state="succeeded")
        ws.runs.get(run.id)
        ws.endpoints.delete("away")
        (published,) = [one for one in ws.pipelines.list().items if one.target == "away"]
        ws.pipelines.delete(published.id)
    elif what == "cancel":
        ws.runs.cancel(run.id)
    for number in range(4):
        ws.endpoints.update("away", description=f"{number}") if what != "retire" else None
        ws.endpoints.update("near", description=f"{number}")
        ws._services.outbox.give_time(0.3)
        assert len(waiting()) <= 1
        forget_the_pause(ws)
    assert ("near", "sync") in far.calls
    assert far.calls.count(("away", what)) == 1


def test_who_is_impatient_makes_no_target_look_dead(ws, far):
    run = ws.submit("away").record
    far.seconds["away"] = 0.5
    follower = ws._services.follower
    (hasty,) = follower.look([run], budget=0.05)
    assert hasty.run.stale == "target `away` has not answered within 0.05 s"
    assert ws._services.registry.outbox.breaker("away") is None
    assert follower.look([run])[0].run.stale is None  # waits for the other one first


def test_many_runs_that_are_asked_for_one_by_one_are_no_hang(ws, far, monkeypatch):
    monkeypatch.setattr("penstock.dispatch.backoff.HANGS", 0.4)
    monkeypatch.delattr(far, "penstock_list_runs")
    with Workspace.open(actor="bo") as other:
        runs = [other.submit("away").record for _ in range(12)]
        far.seconds["away"] = 0.1
        far.calls.clear()
        found = other._services.follower.look(runs, budget=0.6)
        known = [one for one in found if one.run.stale is None]
        assert 0 < len(known) < 12
        assert other._services.registry.outbox.failures("away") == 0
        time.sleep(0.5)
        asked = far.calls.count(("away", "get"))
        time.sleep(0.3)
        assert far.calls.count(("away", "get")) == asked < 12, "it goes on asking for nobody"


def test_a_look_waits_longer_than_what_counts_as_a_hang():
    from penstock.dispatch.backoff import HANGS

    assert HANGS < LOOK_BUDGET
