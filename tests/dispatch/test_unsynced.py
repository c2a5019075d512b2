"""What a target does not know of an endpoint yet is said where a gate moves and where the endpoint is shown."""

from __future__ import annotations

from penstock.records import Unsynced


def test_a_gate_that_a_target_does_not_know_of_is_said(ws, far):
    far.away.add("away")
    outcome = ws.endpoints.disable("away", reason="flood")
    assert outcome.unsynced == (Unsynced(endpoint="away", target="away", message="away does not answer"),)
    assert ws.endpoints.get("away").unsynced == outcome.unsynced
    assert ws.endpoints.get("near").unsynced == ()
    assert ws.endpoints.list(all=True).items[0].unsynced == outcome.unsynced


def test_it_is_said_why_also_while_nobody_tries(ws, far):
    far.away.add("away")
    ws._services.registry.outbox.leave_alone("away", 300, "away does not answer")
    far.calls.clear()
    outcome = ws.endpoints.disable("away")
    assert far.calls == []
    assert [one.message for one in outcome.unsynced] == ["away does not answer"]
    assert ws.endpoints.get("away").unsynced == outcome.unsynced


def test_the_gate_of_a_published_pipeline_says_it_of_each_endpoint(ws, far):
    far.away.add("away")
    published = ws.endpoints.get("away").versions[0].published
    assert [one.endpoint for one in ws.pipelines.disable(published).unsynced] == ["away"]
    assert ws.pipelines.disable(ws.endpoints.get("near").versions[0].published).unsynced == ()


def test_nothing_is_said_once_it_is_known(ws, far, all_due):
    far.away.add("away")
    ws.endpoints.disable("away")
    far.away.clear()
    all_due()
    assert ws.endpoints.enable("away").unsynced == ()
    assert ws.endpoints.get("away").unsynced == ()


def test_a_target_that_is_well_again_by_a_check_is_left_alone_no_longer(ws, far):
    far.away.add("away")
    run = ws.submit("away")
    ws._services.registry.outbox.leave_alone("away", 300, "away does not answer")
    far.away.clear()
    assert run.refresh().record.external is None
    assert ws.targets.check("away").ok
    assert run.refresh().record.external is not None


def test_what_runs_is_not_said_to_wait_for_another(ws, far):
    run = ws.submit("away")
    ws._services.registry.outbox.leave_alone("away", 300, "the job cannot be created")
    stale = ws.runs.get(run.id).stale
    assert stale.startswith("the target is left alone until ") and stale.endswith("after: the job cannot be created")
