"""A gate closes at once, and its target hears of it, whatever waits there."""

from __future__ import annotations

import threading

import pytest

from penstock.errors import GateClosed
from penstock.workspace import Workspace


@pytest.fixture
def hang(far, monkeypatch):
    """Let hand-overs and looks begin and not end, until the test is over."""
    answer, reach = threading.Event(), far.reach

    def reaching(target, what):
        reach(target, what)
        if target.name == "away" and what in ("submit", "get", "list"):
            answer.wait(60)

    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.1)
    monkeypatch.setattr(far, "reach", reaching)
    yield answer
    answer.set()


def is_open(far) -> bool:
    """What the target was told last of the endpoint's gate."""
    return far.endpoints["away"][1]


def test_it_is_told_before_what_waits_to_be_handed_over(ws, far, hang, all_due):
    runs = [ws.submit("away") for _ in range(6)]
    all_due()
    outcome = ws.endpoints.disable("away")
    assert outcome.unsynced == ()
    assert not is_open(far)
    with pytest.raises(GateClosed):
        ws.submit("away")
    assert [ws._services.registry.runs.get(run.id).external for run in runs] == [None] * 6


def test_it_closes_and_cancels_without_a_look_at_its_runs(ws, far, hang, monkeypatch):
    runs = [ws.submit("away") for _ in range(6)]
    seen, looking = [], ws._services.follower.look

    def look(found, *rest):
        seen.append(ws._services.registry.endpoints.get("away").enabled)
        return looking(found, 0.1)

    monkeypatch.setattr(ws._services.follower, "look", look)
    outcome = ws.endpoints.disable("away", cancel_runs=True, reason="flood")
    assert seen == []
    assert outcome.changed
    assert {*outcome.cancel, *outcome.ended} == {run.id for run in runs}


def test_a_dispatcher_tells_it_while_a_hand_over_hangs(ws, far, hang, in_time, all_due):
    served, dispatcher = Workspace.for_server(ws.config)
    with served:
        dispatcher.start()
        try:
            run = served.runs.submit("away").run
            in_time(lambda: ("away", "submit") in far.calls)
            served.endpoints.disable("away")
            in_time(lambda: not is_open(far))
            assert served.services.registry.runs.get(run.id).external is None
        finally:
            hang.set()
            dispatcher.stop()
