"""Law 10: every change leaves a record that nothing takes away, and the past has an answer."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from attrs import evolve

from penstock.errors import NotFound, RegistryError


def test_every_change_is_recorded_with_who_where_and_why(registry, kit):
    grace = evolve(kit.caller, actor="grace", door="cli", request_id="request-2", verified=True)
    published = kit.publish(registry, "a", endpoint="digits").published
    registry.set_gate("endpoint", "digits", open=False, caller=grace, reason="audit")
    registry.set_gate("endpoint", "digits", open=True, caller=grace, reason="done")
    kit.publish(registry, "b", endpoint="digits", default=True)
    registry.endpoints.rollback("digits", kit.caller)
    registry.endpoints.rename("digits", "numbers", kit.caller)
    registry.endpoints.delete("numbers", kit.caller)
    registry.pipelines.delete(published.id, kit.caller)
    rows = kit.history(registry).items[::-1]
    assert [(row.action, row.kind, row.subject, row.from_, row.to) for row in rows] == [
        ("pipeline_published", "pipeline", "digits:1@laptop", None, "a"),
        ("endpoint_created", "endpoint", "digits", None, None),
        ("version_added", "version", "digits@0", None, "digits:1@laptop"),
        ("default_moved", "endpoint", "digits", None, "0"),
        ("gate_closed", "endpoint", "digits", "open", "closed"),
        ("gate_opened", "endpoint", "digits", "closed", "open"),
        ("pipeline_published", "pipeline", "digits:2@laptop", None, "b"),
        ("version_added", "version", "digits@1", None, "digits:2@laptop"),
        ("default_moved", "endpoint", "digits", "0", "1"),
        ("default_rolled_back", "endpoint", "digits", "1", "0"),
        ("endpoint_renamed", "endpoint", "numbers", "digits", "numbers"),
        ("endpoint_deleted", "endpoint", "numbers", None, None),
        ("pipeline_deleted", "pipeline", "digits:1@laptop", None, None),
    ]
    closed = rows[4]
    assert (closed.by, closed.verified, closed.door, closed.request_id, closed.reason) == (
        "grace",
        True,
        "cli",
        "request-2",
        "audit",
    )
    assert [row.seq for row in kit.history(registry, by="grace").items] == [6, 5]


def test_what_changes_nothing_is_not_recorded(registry, kit):
    first = kit.publish(registry, "a", endpoint="digits").published
    before = kit.history(registry, runs=True)
    kit.publish(registry, "a", endpoint="digits", default=True)
    registry.endpoints.set_default("digits", "0", kit.caller)
    registry.set_gate("endpoint", "digits", open=True, caller=kit.caller)
    registry.endpoints.add_version("digits", first.id, kit.caller)
    registry.endpoints.rename("digits", "digits", kit.caller)
    assert kit.history(registry, runs=True) == before


def test_nothing_changes_or_takes_out_what_is_recorded(registry, kit):
    kit.publish(registry, "a")
    for statement in (
        "UPDATE history SET by = 'nobody'",
        "DELETE FROM history",
        "INSERT OR REPLACE INTO history SELECT * FROM history",
    ):
        with pytest.raises((RegistryError, sqlite3.Error)):
            kit.sql(registry, statement)
    assert kit.history(registry).items[0].by == "ada"


def test_runs_are_left_out_unless_they_are_asked_for(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    run = kit.submit(registry)
    registry.runs.request_cancel(run.id, kit.caller, reason="typo")
    assert {row.kind for row in kit.history(registry).items} == {"pipeline", "endpoint", "version"}
    ended, accepted = kit.history(registry, runs=True, limit=2).items
    assert (ended.action, ended.from_, ended.to, ended.reason) == ("run_ended", "queued", "canceled", "typo")
    assert (accepted.action, accepted.from_, accepted.to) == ("run_accepted", "default", "digits@0")
    assert kit.history(registry, subject=run.id).items == (ended, accepted)
    assert kit.history(registry, subject=run.id[:8]).items == (ended, accepted)


def test_pages_times_and_subjects(registry, kit, clock):
    kit.publish(registry, "a", endpoint="digits")
    clock.pass_seconds(3600)
    kit.publish(registry, "b", endpoint="digits")
    kit.publish(registry, "z", name="letters", endpoint="letters")
    late = datetime.fromtimestamp(clock.now / 1e6, UTC)
    assert len(kit.history(registry, since=late).items) == 6
    assert kit.history(registry, since=late + timedelta(days=1)).items == ()
    assert {row.subject.split("@")[0] for row in kit.history(registry, subject="digits").items} == {"digits"}
    assert [row.action for row in kit.history(registry, subject="digits:2").items] == ["pipeline_published"]
    pages, before = [], None
    while True:
        page = kit.history(registry, limit=3, before=before)
        pages.append([row.seq for row in page.items])
        if not page.more:
            break
        before = page.next
    assert pages == [[10, 9, 8], [7, 6, 5], [4, 3, 2], [1]]
    registry.endpoints.rename("digits", "numbers", kit.caller)
    assert (
        len(kit.history(registry, subject="digits").items) == len(kit.history(registry, subject="numbers").items) == 5
    )
    with pytest.raises(NotFound, match="knows no endpoint, published pipeline or run `nothing`") as caught:
        kit.history(registry, subject="nothing")
    assert caught.value.code == "not_found"


def test_times_never_go_back_when_the_clock_does(registry, kit, clock):
    for digest, jump in zip("abcdef", (0, -3600, 10, -1, 86400, -86400), strict=True):
        clock.pass_seconds(jump)
        kit.publish(registry, digest, endpoint="digits")
    times = [row.at for row in kit.history(registry, limit=100).items][::-1]
    assert times == sorted(times)
    assert len(set(times)) == 6
    versions = [version.created for version in registry.endpoints.get("digits").versions]
    assert versions == sorted(set(versions))


def test_the_past_has_an_answer(registry, kit, clock):
    def now():
        return datetime.fromtimestamp(clock.now / 1e6, UTC)

    kit.publish(registry, "x", name="other")
    start = now()
    steps = [
        lambda: kit.publish(registry, "a", endpoint="digits"),
        lambda: kit.publish(registry, "b", endpoint="digits", default=True),
        lambda: registry.set_gate("version", "digits", version="1", open=False, caller=kit.caller, reason="bad"),
        lambda: registry.endpoints.set_default("digits", "0", kit.caller),
        lambda: registry.set_gate("endpoint", "digits", open=False, caller=kit.caller, reason="moving"),
        lambda: registry.endpoints.rename("digits", "numbers", kit.caller),
        lambda: registry.set_gate("endpoint", "numbers", open=True, caller=kit.caller),
        lambda: registry.set_gate("pipeline", "digits:1", open=False, caller=kit.caller),
        lambda: registry.endpoints.delete("numbers", kit.caller),
        lambda: kit.publish(registry, "b", endpoint="digits"),
    ]
    times = [start]
    for step in steps:
        clock.pass_seconds(60)
        step()
        times.append(now())
    first = kit.history(registry, subject="numbers").items[0].subject_id

    def answers(ref):
        found = [registry.endpoints.at(ref, time + timedelta(seconds=1)) for time in times]
        return [(answer.default, answer.label, answer.refused) for answer in found]

    old = [
        (None, None, "endpoint_not_found"),
        ("0", "1", None),
        ("1", "2", None),
        ("1", "2", "version_disabled"),
        ("0", "1", None),
        ("0", "1", "endpoint_disabled"),
        ("0", "1", "endpoint_disabled"),
        ("0", "1", None),
        ("0", "1", "pipeline_disabled"),
        (None, None, "endpoint_not_found"),
        (None, None, "endpoint_not_found"),
    ]
    assert answers(first) == answers("numbers") == old
    assert answers("digits")[:6] == old[:6]
    assert answers("digits")[10] == ("0", "2", None)
    exact = registry.endpoints.at("digits", times[2])
    assert (exact.default, exact.digest, exact.target, exact.endpoint) == ("1", "b", "laptop", "digits")
    assert registry.endpoints.at("digits", times[2].replace(tzinfo=None)) == exact
    closed = registry.endpoints.at("digits", times[3])
    assert closed.message.startswith("version 1 of endpoint `digits` was disabled since 2027-01-15")
    assert closed.message.endswith("by ada: bad")
    with pytest.raises(NotFound):
        registry.endpoints.at("nothing", start)
