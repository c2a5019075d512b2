"""A clock that jumps: the history keeps its order, and nothing waits for a future that was none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import RegistryError
from penstock.registry import HistoryQuery, Registry
from penstock.registry.database import AHEAD

YEARS = 5 * 365 * 86_400
WINDOW = 600


def now(clock) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=clock.now)


def said() -> str:
    return "x"


@pytest.fixture
def ahead(registry, kit, clock):
    """A registry in which something happened while the clock was years ahead."""
    kit.publish(registry, "a", endpoint="digits")
    clock.pass_seconds(YEARS)
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller, reason="flood")
    registry.set_gate("endpoint", "digits", open=True, caller=kit.caller)
    kit.publish(registry, "b", endpoint="digits", default=True)
    run = kit.submit(registry)
    clock.pass_seconds(60 - YEARS)
    return run


def test_times_do_not_run_ahead_for_years_and_the_order_stays(registry, kit, clock, ahead):
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    first, *_ = kit.history(registry, endpoint="digits").items
    assert (first.action, first.at) == ("gate_closed", now(clock))
    assert registry.endpoints.get("digits").gate.since == now(clock)
    assert registry.check().ok


def test_what_a_trigger_would_have_run_has_one_answer(registry, kit, clock, ahead):
    before = now(clock) - timedelta(seconds=60)
    assert registry.endpoints.at("digits", before).default == "0"
    assert registry.endpoints.at("digits", now(clock)).default == "1", "what happened in the future has happened by now"
    clock.pass_seconds(60)
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    closed = now(clock)
    clock.pass_seconds(60)
    assert registry.endpoints.at("digits", closed).refused == "endpoint_disabled"
    found = registry.endpoints.at("digits", closed - timedelta(seconds=1))
    assert (found.default, found.refused) == ("0", None)


def test_since_a_time_finds_what_bears_it_and_nothing_older(registry, kit, clock, ahead):
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    actions = [row.action for row in registry.history(HistoryQuery(since=now(clock))).items]
    assert actions[0] == "gate_closed"
    assert "gate_opened" in actions, "it bears a time that is later"
    clock.pass_seconds(1)
    late = [row.at for row in registry.history(HistoryQuery(since=now(clock))).items]
    assert late
    assert all(at > now(clock) for at in late)


@pytest.mark.parametrize("seconds", [20, 1_000, 86_400, YEARS])
def test_what_was_put_off_before_the_clock_was_set_back_is_due(registry, kit, clock, seconds):
    """Even where the old future is no further away than things are put off."""
    kit.publish(registry, "a", endpoint="digits")
    clock.pass_seconds(seconds)
    run = kit.submit(registry)
    (owed,) = [one for one in registry.outbox.due() if one.kind == "submit"]
    registry.outbox.defer(owed, 300, "away")
    registry.outbox.leave_alone("laptop", 300, "away")
    assert kit.due(registry) == []
    clock.pass_seconds(-seconds)
    assert registry.outbox.breaker("laptop") is None
    assert registry.outbox.is_due(owed)
    assert kit.due(registry) == [run.id]
    assert registry.outbox.take("laptop", ("submit",)) == owed
    assert kit.due(registry) == [], "and is left to who has it now"
    clock.pass_seconds(16)
    assert kit.due(registry) == [run.id]


def test_a_deduplication_window_of_the_old_future_hides_none_of_now(registry, kit, clock):
    kit.publish(registry, "a", endpoint="digits")
    registry.endpoints.set_deduplication("digits", WINDOW, kit.caller)
    clock.pass_seconds(YEARS)
    future = kit.submit(registry, body=said)
    clock.pass_seconds(1 - YEARS)
    first = kit.submit(registry, body=said)
    clock.pass_seconds(1)
    assert kit.submit(registry, body=said).id == first.id != future.id


def test_a_token_made_when_the_clock_was_ahead_does_not_live_for_years(registry, kit, clock):
    clock.pass_seconds(YEARS)
    day = now(clock) + timedelta(days=1)
    brief = registry.tokens.create("brief", "submit", None, day, kit.caller)
    lasting = registry.tokens.create("lasting", "submit", None, None, kit.caller)
    session = registry.tokens.exchange("lasting", lasting.token, 600)
    assert registry.tokens.verify(brief.token).state == "active"
    assert registry.tokens.verify(session.token) is not None
    clock.pass_seconds(-YEARS)
    assert registry.tokens.verify(brief.token) is None
    assert registry.tokens.verify(session.token) is None
    assert registry.tokens.verify(lasting.token).name == "lasting"
    assert {one.name: one.state for one in registry.tokens.list()} == {"brief": "expired", "lasting": "active"}


@pytest.mark.thorough
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(jumps=st.lists(st.sampled_from([0, 1, -1, 3600, -3600, 86_400, -86_400, YEARS, -YEARS]), max_size=8))
def test_whatever_the_clock_does_no_time_is_far_from_it_and_the_last_answer_is_that_of_now(
    tmp_path_factory, kit, clock, jumps
):
    clock = type(clock)()  # each example has its own: a time before 1970 is none
    with Registry.open(tmp_path_factory.mktemp("registry") / "r.db", clock=clock) as registry:
        kit.publish(registry, "a", endpoint="digits")
        for number, jump in enumerate(jumps):
            clock.pass_seconds(jump)
            registry.set_gate("endpoint", "digits", open=bool(number % 2), caller=kit.caller)
            first = kit.history(registry, endpoint="digits", limit=1).items[0]
            assert timedelta(0) <= first.at - now(clock) <= timedelta(microseconds=AHEAD + 1)
            is_open = registry.endpoints.get("digits").enabled
            assert (registry.endpoints.at("digits", now(clock)).refused is None) == is_open
        assert registry.check().ok


@pytest.mark.parametrize(("wrong", "words"), [(-1, "before 1970"), (253_402_300_800_000_000, "beyond the year 9999")])
def test_at_a_time_that_no_registry_keeps_nothing_is_decided_and_all_is_read(registry, kit, clock, wrong, words):
    kit.publish(registry, "a", endpoint="digits")
    right, clock.now = clock.now, wrong
    for decide in (
        lambda: kit.publish(registry, "b", endpoint="digits"),
        lambda: kit.submit(registry),
        lambda: registry.set_gate("endpoint", "digits", open=False, caller=kit.caller),
    ):
        with pytest.raises(RegistryError) as refused:
            decide()
        said = f"the clock of this machine is set {words}; nothing was changed, set it and try again"
        assert said in str(refused.value)
    assert len(registry.endpoints.get("digits").versions) == 1 and registry.check().ok
    clock.now = right
    kit.publish(registry, "b", endpoint="digits")
    assert len(registry.endpoints.get("digits").versions) == 2
