"""Laws 4 to 6 and 8: resolved once, gated, in order, and one key is one run."""

import uuid

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.contract.run import BoundParameters
from penstock.errors import Conflict
from penstock.records import FrozenSnapshot, Placement, RunRecord
from penstock.registry import NewRun, ResolutionChanged, TriggerRequest


@pytest.fixture
def two(registry, kit):
    """An endpoint `digits` with two versions, the default on 0; the published pipelines."""
    return [kit.publish(registry, digest, endpoint="digits").published for digest in "ab"]


def accepted(**changes):
    return NewRun(**{"id": str(uuid.uuid4()), "experiment": "trials"} | changes)


def test_a_run_records_what_it_resolved_to_and_from_what(registry, kit, two):
    default, pinned = kit.submit(registry), kit.submit(registry, version="1")
    direct = kit.submit(registry, "digits:2", kind="published")
    registry.endpoints.set_default("digits", "1", kit.caller)
    registry.endpoints.rename("digits", "numbers", kit.caller)
    runs = [registry.runs.get(run.id) for run in (default, pinned, direct)]
    assert [run.resolved_from for run in runs] == ["default", "pinned", "published"]
    assert [run.version for run in runs] == ["0", "1", None]
    assert [run.published for run in runs] == [two[0].id, two[1].id, two[1].id]
    assert [run.endpoint for run in runs] == ["digits", "digits", None]
    assert (runs[0].endpoint_id, runs[2].endpoint_id) == (registry.endpoints.identify("numbers"), None)
    assert (runs[1].pipeline, runs[1].label, runs[1].digest, runs[1].target) == ("digits", "2", "b", "laptop")
    assert runs == [default, pinned, direct]


@pytest.mark.parametrize("kind", ["endpoint", "published", "file"])
@pytest.mark.parametrize("key", ["mine", None])
def test_the_record_of_an_acceptance_is_the_one_that_is_read(registry, kit, two, clock, kind, key):
    registry.endpoints.set_deduplication("digits", 60, kit.caller)
    place = Placement(target="laptop", backend="local", identity="{}", options="{}")
    names = {"endpoint": "digits", "published": "digits:2", "file": "digits"}
    order = TriggerRequest(
        kind=kind,
        ref=names[kind],
        key=key,
        body=lambda: "asked",
        rerun_of="another",
        **({"placement": place, "digest": "b"} if kind == "file" else {}),
    )
    typed = {"text": "\u00e9\0", "number": 0.1, "whole": 2**70, "list": [1, {"a": None}], "none": None}
    new = accepted(
        description="why", tags={"team": "vision"}, parameters=BoundParameters(typed=typed, texts={"text": "x"})
    )
    clock.now -= 10_000_000  # set back, so that the time of the history is another than the clock's
    run, known = registry.runs.accept(order, registry.runs.resolve(order), new, evolve(kit.caller, verified=True))
    assert not known and run == registry.runs.get(run.id)
    assert list(run.parameters.items()) == list(registry.runs.get(run.id).parameters.items())


def test_a_resolution_carries_everything_frozen(registry, kit):
    kit.publish(registry, "a", identity='{"i":1}', options='{"o":2}', backend="local", endpoint="digits")
    found = registry.runs.resolve(TriggerRequest(kind="endpoint", ref="digits"))
    assert found.placement == Placement(target="laptop", backend="local", identity='{"i":1}', options='{"o":2}')
    assert found.snapshot == FrozenSnapshot(digest="a", spec='{"digest":"a"}', archives="[]")
    assert found.publication.external == "x-a"


@pytest.mark.parametrize("change", ["default", "gate", "delete"])
def test_what_changed_between_resolving_and_accepting_counts(registry, kit, two, change):
    order = TriggerRequest(kind="endpoint", ref="digits")
    found = registry.runs.resolve(order)
    if change == "default":
        registry.endpoints.set_default("digits", "1", kit.caller)
        with pytest.raises(ResolutionChanged):
            registry.runs.accept(order, found, accepted(), kit.caller)
        assert registry.runs.accept(order, registry.runs.resolve(order), accepted(), kit.caller)[0].version == "1"
        return
    if change == "gate":
        registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    else:
        registry.endpoints.delete("digits", kit.caller)
    code = {"gate": "endpoint_disabled", "delete": "endpoint_not_found"}[change]
    assert kit.code(registry.runs.accept, order, found, accepted(), kit.caller) == code
    assert kit.runs(registry).items == ()


def test_a_move_and_a_move_back_still_hold(registry, kit, two):
    order = TriggerRequest(kind="endpoint", ref="digits")
    found = registry.runs.resolve(order)
    registry.endpoints.set_default("digits", "1", kit.caller)
    registry.endpoints.rollback("digits", kit.caller)
    assert registry.runs.accept(order, found, accepted(), kit.caller)[0].version == "0"


def test_one_key_is_one_run_whatever_happened_since(registry, kit, two):
    run = kit.submit(registry, key="k")
    registry.endpoints.set_default("digits", "1", kit.caller)
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    assert kit.submit(registry, key="k") == run
    assert kit.submit(registry, registry.endpoints.identify("digits"), key="k") == run
    registry.set_gate("endpoint", "digits", open=True, caller=kit.caller)
    registry.runs.request_cancel(run.id, kit.caller)
    registry.endpoints.delete("digits", kit.caller)
    again = kit.submit(registry, key="k")
    assert (again.id, again.state) == (run.id, "canceled")
    assert kit.code(kit.submit, registry, key="other") == "endpoint_not_found"
    kit.publish(registry, "a", endpoint="digits")
    assert kit.submit(registry, key="k").id != run.id


def test_a_key_of_a_published_pipeline_or_trial_is_its_own(registry, kit, two):
    trial = {"kind": "file", "digest": "a", "target": "laptop", "identity": "{}"}
    runs = [
        kit.submit(registry, key="k"),
        kit.submit(registry, two[0].id, kind="published", key="k"),
        kit.submit(registry, two[1].id, kind="published", key="k"),
        kit.submit(registry, key="k", **trial),
        kit.submit(registry, "letters", key="k", **trial),
    ]
    assert len({run.id for run in runs}) == 5
    assert kit.submit(registry, "digits:1", kind="published", key="k") == runs[1]
    for run in runs:
        registry.runs.request_cancel(run.id, kit.caller)
    registry.endpoints.delete("digits", kit.caller)
    registry.pipelines.delete(two[0].id, kit.caller)
    assert kit.submit(registry, two[0].id, kind="published", key="k").id == runs[1].id
    assert kit.code(kit.submit, registry, two[0].id, kind="published") == "pipeline_not_found"


def test_another_request_under_a_key_is_refused_and_refusals_leave_nothing(registry, kit, two):
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    before = kit.history(registry, runs=True)
    assert kit.code(kit.submit, registry, key="k") == "endpoint_disabled"
    assert kit.history(registry, runs=True) == before
    registry.set_gate("endpoint", "digits", open=True, caller=kit.caller)
    run = kit.submit(registry, key="k", parameters={"depth": 3})
    seen = []

    def same(stored: RunRecord, asked: str) -> bool:
        seen.append(registry.pipelines.snapshot(stored.digest))  # the caller may read to compare
        return stored.parameters == {"depth": 4}

    with pytest.raises(Conflict, match=f"`k` belongs to run {run.id}") as refused:
        kit.submit(registry, key="k", is_same_request=same)
    assert refused.value.code == "idempotency_conflict"
    assert seen == [FrozenSnapshot(digest="a", spec='{"digest":"a"}', archives="[]")]


def test_a_racing_twin_is_found_when_accepting(registry, kit, two):
    order = TriggerRequest(
        kind="endpoint", ref="digits", key="k", is_same_request=lambda run, asked: run.experiment == "trials"
    )
    first, second = registry.runs.resolve(order), registry.runs.resolve(order)
    run, replayed = registry.runs.accept(order, first, accepted(), kit.caller)
    assert not replayed
    assert registry.runs.accept(order, second, accepted(), kit.caller) == (run, True)
    other = TriggerRequest(kind="endpoint", ref="digits", key="k", is_same_request=lambda run, asked: False)
    assert kit.code(registry.runs.accept, other, second, accepted(), kit.caller) == "idempotency_conflict"


def test_existence_comes_before_gates_and_the_endpoint_before_the_version(registry, kit, two):
    registry.set_gate("endpoint", "digits", open=False, caller=kit.caller)
    registry.set_gate("version", "digits", version="1", open=False, caller=kit.caller)
    registry.set_gate("pipeline", two[1].id, open=False, caller=kit.caller)
    assert kit.code(kit.submit, registry, version="7") == "version_not_found"
    codes = []
    for kind, ref, version in (("endpoint", "digits", None), ("version", "digits", "1"), ("pipeline", two[1].id, None)):
        codes.append(kit.code(kit.submit, registry, version="1"))
        registry.set_gate(kind, ref, version=version, open=True, caller=kit.caller)
    assert codes == ["endpoint_disabled", "version_disabled", "pipeline_disabled"]
    assert kit.code(kit.submit, registry, version="1") is None


def test_several_published_pipelines_of_one_reference_are_not_guessed(registry, kit, two):
    kit.publish(registry, "a", target="prod")
    assert kit.code(kit.submit, registry, "digits:1", kind="published", key="k") == "ambiguous"


json_values = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.thorough
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parameters=st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), json_values, max_size=4))
def test_parameters_come_back_exactly(registry, kit, parameters):
    kit.publish(registry, "a", endpoint="digits")
    run = kit.submit(registry, parameters=parameters)
    assert repr(registry.runs.get(run.id).parameters) == repr(parameters)
    values = {name: str(value) for name, value in parameters.items()}
    order = TriggerRequest(kind="endpoint", ref="digits")
    bound = BoundParameters(
        typed=parameters, texts=values, artifacts={"images": "/data"}, bundled={"labels": "data/labels"}
    )
    filled = accepted(parameters=bound, fingerprint="asked")
    run, _ = registry.runs.accept(order, registry.runs.resolve(order), filled, kit.caller)
    assert repr(registry.runs.start_handover(run.id).request.parameters) == repr(bound)
