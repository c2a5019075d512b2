"""Laws 2, 3 and 5: counted versions, an explicit default, independent gates; and what targets should know."""

import itertools

import pytest

from penstock.errors import Conflict, GateClosed, NotFound
from penstock.registry import Owed, TriggerRequest


@pytest.fixture
def three(registry, kit):
    """An endpoint `digits` with three versions, the default on 0; the published pipelines."""
    return [kit.publish(registry, digest, endpoint="digits").published for digest in "abc"]


def test_versions_count_from_zero_and_what_is_there_is_not_added_again(registry, kit, three):
    endpoint = registry.endpoints.get("digits")
    assert [version.version for version in endpoint.versions] == ["0", "1", "2"]
    assert [version.published for version in endpoint.versions] == [one.id for one in three]
    assert endpoint.default == "0"
    again = registry.endpoints.add_version("digits", three[1].id, kit.caller)
    assert (again.version, again.added, again.default_moved) == ("1", False, False)
    other = kit.publish(registry, "a", target="prod").published
    moved = registry.endpoints.add_version("digits", other.id, kit.caller, default=True, expect="0")
    assert (moved.version, moved.added, moved.default_moved, moved.endpoint.default) == ("3", True, True, "3")


def test_the_default_moves_only_from_where_it_is_believed_to_be(registry, kit, three):
    moved = registry.endpoints.set_default("digits", "2", kit.caller, expect="0")
    assert (moved.from_, moved.to, moved.moved) == ("0", "2", True)
    with pytest.raises(Conflict, match="is 2, not 0") as refused:
        registry.endpoints.set_default("digits", "1", kit.caller, expect="0")
    assert refused.value.code == "default_changed"
    stays = registry.endpoints.set_default("digits", "2", kit.caller)
    assert not stays.moved
    assert registry.endpoints.rollback("digits", kit.caller).to == "0"
    for version in ("3", "00", "-1", "x", "", "9" * 30):
        assert kit.code(registry.endpoints.set_default, "digits", version, kit.caller) == "version_not_found"


def test_rollback_pops_the_stack_of_moves(registry, kit, three):
    for version in "12":
        registry.endpoints.set_default("digits", version, kit.caller)
    assert kit.code(registry.endpoints.rollback, "digits", kit.caller, expect="0") == "default_changed"
    assert [registry.endpoints.rollback("digits", kit.caller).to for _ in range(2)] == ["1", "0"]
    with pytest.raises(Conflict, match="nothing to go back to") as refused:
        registry.endpoints.rollback("digits", kit.caller)
    assert refused.value.code == "nothing_to_roll_back"
    actions = [record.action for record in kit.history(registry, subject="digits", limit=2).items]
    assert actions == ["default_rolled_back"] * 2


def test_the_pointer_never_comes_to_stand_on_something_closed(registry, kit, three):
    registry.endpoints.set_default("digits", "1", kit.caller)
    registry.endpoints.set_default("digits", "2", kit.caller)
    registry.set_gate("version", "digits", version="1", open=False, caller=kit.caller, reason="bad")
    registry.set_gate("pipeline", three[0].id, open=False, caller=kit.caller)
    assert kit.code(registry.endpoints.set_default, "digits", "1", kit.caller) == "version_disabled"
    assert kit.code(registry.endpoints.set_default, "digits", "0", kit.caller) == "pipeline_disabled"
    assert kit.code(registry.endpoints.rollback, "digits", kit.caller) == "version_disabled"
    assert (
        kit.code(registry.endpoints.add_version, "digits", three[0].id, kit.caller, default=True) == "pipeline_disabled"
    )
    assert kit.code(registry.endpoints.create, "new", three[0].id, kit.caller) == "pipeline_disabled"
    assert registry.endpoints.add_version("digits", three[0].id, kit.caller).added is False
    registry.set_gate("version", "digits", version="1", open=True, caller=kit.caller)
    assert registry.endpoints.rollback("digits", kit.caller).to == "1"


def test_gates_are_independent_and_say_since_when_by_whom_and_why(registry, kit, three, clock):
    closed = registry.set_gate("endpoint", "digits", open=False, caller=kit.caller, reason="moving house")
    assert (closed.changed, closed.gate.by, closed.gate.reason) == (True, "ada", "moving house")
    clock.pass_seconds(60)
    again = registry.set_gate("endpoint", "digits", open=False, caller=kit.caller, reason="other")
    assert (again.changed, again.gate) == (False, closed.gate)
    registry.set_gate("version", "digits", version="0", open=False, caller=kit.caller)
    with pytest.raises(
        GateClosed, match=r"endpoint `digits` is disabled since 2027-01-15 .* by ada: moving house"
    ) as e:
        kit.submit(registry)
    assert e.value.code == "endpoint_disabled"
    registry.set_gate("endpoint", "digits", open=True, caller=kit.caller)
    assert kit.code(kit.submit, registry) == "version_disabled"
    assert kit.code(kit.submit, registry, version="1") is None
    registry.set_gate("pipeline", three[1].id, open=False, caller=kit.caller)
    assert kit.code(kit.submit, registry, version="1") == "pipeline_disabled"
    assert kit.code(kit.submit, registry, three[1].id, kind="published") == "pipeline_disabled"
    assert kit.code(kit.submit, registry, three[0].id, kind="published") is None
    assert not registry.set_gate("endpoint", "digits", open=True, caller=kit.caller).changed


@pytest.mark.parametrize("closed", [*itertools.product((False, True), repeat=3)])
def test_an_endpoint_says_what_it_refuses_a_trigger_with(registry, kit, three, closed):
    """In a listing too, which leaves the closed default out."""
    gates = (("endpoint", "digits", None), ("version", "digits", "0"), ("pipeline", three[0].id, None))
    for is_closed, (kind, ref, version) in zip(closed, gates, strict=True):
        if is_closed:
            registry.set_gate(kind, ref, version=version, open=False, caller=kit.caller)
    refused = kit.code(kit.submit, registry)
    assert registry.endpoints.get("digits").refused == refused
    assert [one.refused for one in registry.endpoints.list(all=True).items] == [refused]
    assert [one.refused for one in registry.endpoints.list().items] == ([] if closed[0] else [refused])


def test_closing_a_gate_can_end_the_runs_that_came_through_it(registry, kit, three):
    waiting, pinned, handed = kit.submit(registry), kit.submit(registry, version="1"), kit.submit(registry)
    direct = kit.submit(registry, three[0].id, kind="published")
    kit.hand_over(registry, handed)
    first = registry.set_gate("version", "digits", version="1", open=False, caller=kit.caller, cancel_runs=True)
    assert (first.ended, first.cancel) == ((pinned.id,), ())
    both = registry.set_gate("endpoint", "digits", open=False, caller=kit.caller, cancel_runs=True)
    assert (both.ended, both.cancel) == ((waiting.id,), (handed.id,))
    assert kit.due(registry, "cancel") == [handed.id]
    last = registry.set_gate("pipeline", three[0].id, open=False, caller=kit.caller, cancel_runs=True)
    assert (last.ended, last.cancel) == ((direct.id,), ())
    assert registry.runs.get(waiting.id).state == "canceled"


def test_listings_leave_closed_things_out_and_count_them(registry, kit, three):
    kit.publish(registry, "a", endpoint="second")
    registry.set_gate("version", "digits", version="1", open=False, caller=kit.caller)
    page = registry.endpoints.list()
    assert [endpoint.name for endpoint in page.items] == ["second", "digits"]
    digits = page.items[1]
    assert ([version.version for version in digits.versions], digits.hidden_versions) == (["0", "2"], 1)
    assert len(registry.endpoints.get("digits").versions) == 3
    registry.set_gate("endpoint", "second", open=False, caller=kit.caller)
    page = registry.endpoints.list()
    assert ([endpoint.name for endpoint in page.items], page.hidden) == (["digits"], 1)
    everything = registry.endpoints.list(all=True, limit=1)
    assert (everything.items[0].name, everything.items[0].enabled, everything.more) == ("second", False, True)
    assert registry.endpoints.list(all=True, before=everything.next).items[0].hidden_versions == 0


def test_an_endpoint_is_its_id_whatever_it_is_called(registry, kit, three):
    before = registry.endpoints.get("digits")
    renamed = registry.endpoints.rename("digits", "numbers", kit.caller)
    assert (renamed.id, renamed.name) == (before.id, "numbers")
    assert renamed.revision > before.revision
    assert registry.endpoints.identify("digits") is None
    assert registry.endpoints.identify("numbers") == registry.endpoints.identify(before.id) == before.id
    with pytest.raises(NotFound, match=r"no endpoint `number`.*did you mean `numbers`"):
        registry.endpoints.get("number")
    kit.publish(registry, "a", endpoint="digits")
    assert kit.code(registry.endpoints.rename, "numbers", "digits", kit.caller) == "name_taken"
    assert kit.code(registry.endpoints.create, "numbers", three[0].id, kit.caller) == "name_taken"
    assert kit.code(registry.endpoints.create, before.id, three[0].id, kit.caller) == "name_taken"
    assert registry.endpoints.rename("numbers", "numbers", kit.caller).revision == renamed.revision


def test_a_deleted_endpoint_frees_its_name_for_another_one(registry, kit, three):
    old = registry.endpoints.get("digits")
    run = kit.submit(registry)
    assert kit.code(registry.endpoints.delete, "digits", kit.caller) == "in_use"
    registry.runs.request_cancel(run.id, kit.caller)
    assert registry.endpoints.delete("digits", kit.caller) == old
    assert kit.code(registry.endpoints.get, "digits") == "endpoint_not_found"
    assert kit.code(registry.endpoints.get, old.id) == "endpoint_not_found"
    new = registry.endpoints.create("digits", three[2].id, kit.caller, description="new", tags={"a": "b"})
    assert new.id != old.id
    assert ([version.version for version in new.versions], new.default) == (["0"], "0")
    assert (new.description, new.tags) == ("new", {"a": "b"})


def test_a_version_that_moves_to_another_target_changes_nothing_for_callers(registry, kit, three):
    prod = kit.publish(registry, "a", target="prod", endpoint="digits", default=True)
    assert prod.version == "3"
    run = kit.submit(registry)
    assert (run.version, run.target, run.digest) == ("3", "prod", "a")


def test_targets_are_told_what_changed_until_they_took_it(registry, kit, three, clock):
    kit.publish(registry, "a", target="prod", endpoint="digits")
    endpoint = registry.endpoints.get("digits")
    assert set(kit.syncs(registry)) == {(endpoint.id, "laptop"), (endpoint.id, "prod")}
    state = registry.outbox.endpoint_state(endpoint.id, "laptop")
    assert (state.default, [one.version for one in state.versions]) == ("0", ["0", "1", "2"])
    there = registry.outbox.endpoint_state(endpoint.id, "prod")
    assert (there.default, [one.version for one in there.versions]) == (None, ["3"])
    registry.outbox.synced(endpoint.id, "prod", there.revision)
    registry.set_gate("pipeline", three[1].id, open=False, caller=kit.caller)
    registry.outbox.synced(endpoint.id, "laptop", state.revision)
    assert set(kit.syncs(registry)) == {(endpoint.id, "laptop"), (endpoint.id, "prod")}
    state = registry.outbox.endpoint_state(endpoint.id, "laptop")
    assert [one.published_enabled for one in state.versions] == [True, False, True]
    registry.outbox.synced(endpoint.id, "prod", state.revision)
    registry.outbox.defer(Owed(kind="sync", subject=endpoint.id, target="laptop"), 30, "away")
    assert kit.syncs(registry) == []
    clock.pass_seconds(31)
    assert kit.syncs(registry) == [(endpoint.id, "laptop")]
    registry.outbox.synced(endpoint.id, "laptop", state.revision)
    assert registry.counts().pending_syncs == 0
    registry.endpoints.delete("digits", kit.caller)
    assert len(kit.syncs(registry)) == 2
    assert registry.outbox.endpoint_state(endpoint.id, "prod").deleted


def test_every_kind_of_change_to_an_endpoint_is_to_be_told(registry, kit, three):
    kit.publish(registry, "d")
    caller = kit.caller
    for change in (
        lambda: registry.endpoints.add_version("digits", "digits:4", caller),
        lambda: registry.endpoints.set_default("digits", "1", caller),
        lambda: registry.endpoints.rollback("digits", caller),
        lambda: registry.set_gate("endpoint", "digits", open=False, caller=caller),
        lambda: registry.set_gate("version", "digits", version="2", open=False, caller=caller),
        lambda: registry.endpoints.rename("digits", "numbers", caller),
    ):
        endpoint_id = registry.endpoints.identify("digits")
        revision = registry.outbox.endpoint_state(endpoint_id, "laptop").revision
        registry.outbox.synced(endpoint_id, "laptop", revision)
        assert kit.syncs(registry) == []
        change()
        assert kit.syncs(registry) == [(endpoint_id, "laptop")]
        assert registry.outbox.endpoint_state(endpoint_id, "laptop").revision > revision


def test_an_endpoint_that_was_deleted_is_said_to_be(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    one = registry.endpoints.get("digits").id
    registry.endpoints.delete("digits", kit.caller)
    for ref in ("digits", one):
        with pytest.raises(NotFound, match=r"^endpoint `digits` was deleted, 2"):
            registry.runs.resolve(TriggerRequest(kind="endpoint", ref=ref))


def test_unknown_things_are_named_with_what_exists(registry, kit):
    with pytest.raises(NotFound, match="there are none yet"):
        registry.runs.resolve(TriggerRequest(kind="endpoint", ref="digits"))
    kit.publish(registry, "a", endpoint="digits")
    with pytest.raises(NotFound, match="endpoint `digits` has no version 1 \\(it has only 0\\)"):
        kit.submit(registry, version="1")
