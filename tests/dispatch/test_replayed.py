"""A key whose run its target does not have yet: repeating it hands the run over, or says that it waits."""

from __future__ import annotations

import pytest

from penstock.errors import RegistryError
from penstock.registry.troubles import explain
from penstock.workspace import Workspace


def away(far, *targets):
    far.away.update(targets)


def test_a_replay_delivers_what_was_never_handed_over(ws, far, later, all_due, impatient):
    away(far, "near")
    first = ws.runs.submit("near", idempotency_key="k")
    assert first.run.external is None
    far.away.clear()
    all_due()
    again = later().runs.submit("near", idempotency_key="k")
    assert (again.replayed, again.run.id, again.warnings) == (True, first.run.id, ())
    assert again.run.external is not None
    assert list(far.jobs) == [first.run.id]


@pytest.mark.parametrize("door", ["endpoint", "published", "file", "rerun"])
def test_a_replay_that_cannot_deliver_says_that_it_waits(ws, far, later, impatient, door):
    before = ws.submit("near")
    published = ws.pipelines.list().items[-1].id
    call = {
        "endpoint": lambda one: one.runs.submit("near", idempotency_key="k"),
        "published": lambda one: one.runs.submit(published, idempotency_key="k"),
        "file": lambda one: one.runs.submit("flood.yaml", idempotency_key="k"),
        "rerun": lambda one: one.runs.rerun(before.id, idempotency_key="k"),
    }[door]
    if door == "file":  # a trial is put on its target first, so that one goes away after that
        reach = far.reach
        far.reach = lambda target, what: (far.away.add("near") if what == "submit" else None, reach(target, what))[1]
        try:
            first = call(ws)
        finally:
            far.reach = reach
    else:
        away(far, ws.runs.get(before.id).target, "away")
        first = call(ws)
    assert first.run.external is None
    again = call(later())
    assert (again.replayed, again.run.id) == (True, first.run.id)
    (said,) = again.warnings
    assert said.startswith(f"run {first.run.id} was accepted before and waits to be handed to target `")
    assert "away" in said or "not answer" in said


def test_a_replay_asks_no_target_for_a_run_that_it_has(ws, far):
    first = ws.runs.submit("near", idempotency_key="k")
    far.calls.clear()
    assert ws.runs.submit("near", idempotency_key="k").run.id == first.run.id
    assert far.calls == []


def test_a_replay_where_a_dispatcher_hands_over_wakes_it(ws, far, monkeypatch):
    served, dispatcher = Workspace.for_server(ws.config)
    woken = []
    monkeypatch.setattr(dispatcher, "wake", lambda: woken.append(1))
    with served:
        first = served.runs.submit("near", idempotency_key="k")
        woken.clear()
        again = served.runs.submit("near", idempotency_key="k")
        assert (again.run.id, again.replayed, again.warnings, woken) == (first.run.id, True, (), [1])


@pytest.mark.parametrize("failing", ["start_handover", "finish_handover"])
def test_after_acceptance_a_full_disk_does_not_say_that_nothing_was_changed(ws, monkeypatch, failing):
    def full(*_args, **_options):
        error = type("Full", (Exception,), {"sqlite_errorcode": 13})("database or disk is full")
        raise explain(ws.config.registry.value, error)

    monkeypatch.setattr(ws._services.registry.runs, failing, full, raising=False)
    submitted = ws.runs.submit("near", idempotency_key="k")
    (said,) = submitted.warnings
    assert said.startswith(f"run {submitted.run.id} is accepted and waits")
    assert said.endswith("the disk is full")
    with Workspace.open(ws.config.home.parent) as other:
        assert other.runs.get(submitted.run.id).waiting.message.endswith("the disk is full")
    with pytest.raises(RegistryError, match="the disk is full; nothing was changed, make room"):
        full()
