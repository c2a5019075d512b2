"""A registry that somebody keeps busy holds nobody up for longer than a target would, and blames no target."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing, contextmanager

import pytest

from penstock.contract.run import Failure, RunReport, StepReport
from penstock.errors import WaitTimeout

STEPS = (StepReport(name="measure", state="failed"),)
BUSY = r"registry\.db: .* keeps the registry busy"


@pytest.fixture
def kept_busy(folder, monkeypatch):
    """Let somebody else write to the registry for a while; who waits for a target is soon tired of it."""
    monkeypatch.setattr("penstock.dispatch.backoff.HANGS", 0.1)
    monkeypatch.setattr("penstock.dispatch.outbox.BUDGET", 0.3)
    monkeypatch.setattr("penstock.workspace.waiting.LOOK_BUDGET", 0.3)

    @contextmanager
    def hold():
        with closing(sqlite3.connect(folder / ".penstock" / "registry.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    return hold


def news(ws, far):
    """A run of which its target has to say more than the registry knows."""
    run = ws.submit("near").record
    far.reports[run.id] = RunReport(state="failed", error=Failure(code="broke", message="it broke"), steps=STEPS)
    return run


def test_who_looks_is_told_and_no_target_is_blamed(ws, far, kept_busy, in_time):
    run = news(ws, far)
    follower, outbox = ws._services.follower, ws._services.registry.outbox
    with kept_busy():
        for _ in range(2):  # the second finds the first at it
            (found,) = follower.look([run], budget=0.3)
            assert re.search(BUSY, found.run.stale)
            assert not found.hopeless
    assert outbox.failures("near") == 0
    in_time(lambda: follower.one(run).run.state == "failed")


def test_who_waits_does_so_no_longer_than_it_says(ws, far, kept_busy):
    run = news(ws, far)
    with kept_busy(), pytest.raises(WaitTimeout, match=BUSY):
        ws.runs.wait(run.id, timeout=1.0)


def test_who_follows_logs_is_told_once(ws, far, kept_busy):
    run = news(ws, far)
    told = []
    look = ws._services.follower.one
    ws._services.follower.one = lambda run, budget=0.3: look(run, 0.3)
    with kept_busy():
        parts = ws.runs.logs(run.id, follow=True)
        parts.on_stale = told.append
        assert [parts.look() for _ in range(3)] == [None] * 3
    assert len(told) == 1 and re.search(BUSY, told[0])
    assert b"".join(part.data for part in parts) == b"line"


def test_who_hands_over_is_told(ws, kept_busy, monkeypatch):
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.3)
    run = ws.submit("near")
    with kept_busy():
        assert re.search(BUSY, ws._services.outbox.hand_over(run.id, "near"))
    assert ws._services.registry.outbox.failures("near") == 0


def test_a_check_says_it_beside_how_the_target_is(ws, kept_busy, in_time):
    with kept_busy():
        found = ws.targets.check("near")
    assert found.ok
    assert re.search(rf"^what it is owed waits: .*{BUSY}$", found.lines[-1])
    in_time(lambda: not any("owed" in line for line in ws.targets.check("near").lines))
