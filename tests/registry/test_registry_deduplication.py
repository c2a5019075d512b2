"""An endpoint's deduplication window: in it the same request without a key is one run, and just after it a new one."""

from __future__ import annotations

import threading
import uuid
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import Conflict, UsageError
from penstock.records import RunRecord
from penstock.registry import NewRun, Registry, TriggerRequest

WINDOW = 600


def said() -> str:
    return "x"


@pytest.fixture
def digits(registry, kit, clock):
    """The endpoint `digits` with a window of ten minutes."""
    kit.publish(registry, "a", endpoint="digits")
    made = registry.endpoints.set_deduplication("digits", WINDOW, kit.caller)
    clock.pass_seconds(1)  # the history's times, which never stand still, are ahead of a clock that does
    return made


def test_a_window_begins_with_the_first_acceptance_and_ends_sharply(registry, kit, clock, digits):
    first = kit.submit(registry, body=said)
    clock.pass_seconds(WINDOW - 0.000_001)
    assert kit.submit(registry, body=said).id == first.id, "up to its last moment"
    clock.pass_seconds(0.000_001)
    second = kit.submit(registry, body=said)
    assert second.id != first.id, "a repeat does not make the window longer"
    clock.pass_seconds(WINDOW - 1)
    assert kit.submit(registry, body=said).id == second.id, "which begins again with the new one"


def test_another_request_endpoint_or_key_is_another_run(registry, kit, digits):
    kit.publish(registry, "b", endpoint="others", name="others")
    registry.endpoints.set_deduplication("others", WINDOW, kit.caller)
    runs = [
        kit.submit(registry, body=said),
        kit.submit(registry, body=lambda: "y"),
        kit.submit(registry, "others", body=said),
        kit.submit(registry, key="x"),
        kit.submit(registry, key="x", body=said, version="0"),
        kit.submit(registry),
        kit.submit(registry),
        kit.submit(registry, "others:1", kind="published", body=said),
        kit.submit(registry, "others:1", kind="published", body=said),
    ]
    # The key decides where there is one, and what is no request by HTTP brings no body.
    assert len({run.id for run in runs}) == len(runs) - 1
    assert runs[3].id == runs[4].id
    assert kit.submit(registry, digits.id, body=said).id == runs[0].id


def test_the_key_of_a_body_is_shown_to_nobody_and_cannot_be_taken(registry, kit, digits):
    run = kit.submit(registry, body=said)
    assert run.idempotency_key is None
    (row,) = kit.sql(registry, "SELECT scope, key FROM runs")
    assert row["scope"].startswith("body:") and row["key"]
    assert kit.submit(registry, key=row["key"]).id != run.id


def test_callers_of_whom_nothing_is_known_are_apart(registry, kit, digits):
    known = kit.submit(registry, body=said)
    registry.endpoints.set_access("digits", "public", kit.caller)
    unknown = kit.submit(registry, body=said, public=True)
    assert unknown.id != known.id
    assert kit.submit(registry, body=said, public=True).id == unknown.id


def test_a_repeat_is_its_run_whatever_changed_meanwhile(registry, kit, digits):
    run = kit.submit(registry, body=said)
    kit.publish(registry, "b", endpoint="digits", default=True)
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    registry.endpoints.rename("digits", "numbers", kit.caller)
    assert kit.submit(registry, "numbers", body=said).id == run.id
    assert kit.code(kit.submit, registry, "numbers", body=lambda: "y") == "endpoint_disabled"


def test_the_window_is_recorded_and_can_be_changed_and_ended(registry, kit, clock, digits):
    assert digits.deduplication_window == WINDOW
    first = kit.submit(registry, body=said)
    clock.pass_seconds(30)
    assert registry.endpoints.set_deduplication("digits", 20, kit.caller).revision == digits.revision + 1
    second = kit.submit(registry, body=said)
    assert second.id != first.id
    assert registry.endpoints.set_deduplication("digits", None, kit.caller).deduplication_window is None
    assert len({kit.submit(registry, body=said).id for _ in range(3)} | {second.id}) == 4
    rows = kit.history(registry, subject="digits").items
    changes = [(row.from_, row.to) for row in rows if row.action == "deduplication_changed"]
    assert changes == [("20s", "off"), ("10m", "20s"), ("off", "10m")]
    for wrong in (0, 0.5, 7 * 86_400 + 1, float("inf")):
        with pytest.raises(UsageError, match="whole seconds"):
            registry.endpoints.set_deduplication("digits", wrong, kit.caller)
    with pytest.raises(Conflict) as refused:
        registry.endpoints.set_deduplication("digits", 5, kit.caller, expect_revision=1)
    assert refused.value.code == "revision_changed"


def test_a_clock_that_was_set_back_neither_doubles_a_repeat_nor_swallows_requests_for_ever(
    registry, kit, clock, digits
):
    first = kit.submit(registry, body=said)
    clock.pass_seconds(-5)
    assert kit.submit(registry, body=said).id == first.id
    clock.pass_seconds(-86_400)
    assert kit.submit(registry, body=said).id != first.id


def test_it_outlives_the_process(path, kit, clock):
    with Registry.open(path, clock=clock) as registry:
        kit.publish(registry, "a", endpoint="digits")
        registry.endpoints.set_deduplication("digits", WINDOW, kit.caller)
        first = kit.submit(registry, body=said)
    with Registry.open(path, clock=clock) as registry:
        assert kit.submit(registry, body=said).id == first.id


def test_of_many_who_race_one_is_accepted(path, kit):
    with Registry.open(path) as registry:
        kit.publish(registry, "a", endpoint="digits")
        registry.endpoints.set_deduplication("digits", WINDOW, kit.caller)
        request = TriggerRequest(kind="endpoint", ref="digits", body=said)
        resolution = registry.runs.resolve(request)
        start, told = threading.Barrier(8), []

        def accept() -> None:
            with Registry.open(path) as mine:
                start.wait()
                new = NewRun(id=str(uuid.uuid4()), experiment="trials")
                told.append(mine.runs.accept(request, resolution, new, kit.caller))

        threads = [threading.Thread(target=accept) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len({run.id for run, _ in told}) == 1
        assert sorted(replayed for _, replayed in told) == [False] + [True] * 7


@pytest.mark.thorough
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from([0, 1, WINDOW - 1, WINDOW, WINDOW + 1])), max_size=20
    )
)
def test_whatever_comes_when_a_run_is_new_exactly_when_no_window_of_its_request_is_open(
    tmp_path_factory, kit, clock, steps
):
    with Registry.open(tmp_path_factory.mktemp("registry") / "r.db", clock=clock) as registry:
        kit.publish(registry, "a", endpoint="digits")
        registry.endpoints.set_deduplication("digits", WINDOW, kit.caller)
        open_: dict[str, RunRecord] = {}
        for body, seconds in steps:
            clock.pass_seconds(seconds)
            run = kit.submit(registry, body=partial(str, body))
            before = open_.get(body)
            is_open = before is not None and (clock.now - _micros(before)) < WINDOW * 1_000_000
            assert (before is not None and run.id == before.id) == is_open
            open_[body] = run


def _micros(run: RunRecord) -> int:
    return round(run.created.timestamp() * 1e6)
