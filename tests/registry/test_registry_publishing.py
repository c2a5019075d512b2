"""Law 1: one (name, label) has one digest; a publish is one transaction; what is used cannot be deleted."""

import pytest
from attrs import evolve

from penstock.contract.run import RunReport
from penstock.contract.target import Publication
from penstock.errors import Conflict, NotFound, UsageError
from penstock.records import FrozenSnapshot, Placement
from penstock.registry import NewRun, TriggerRequest


def test_without_a_label_the_digest_keeps_its_label_and_a_new_one_counts_on(registry, kit):
    assert kit.publish(registry, "a").published.label == "1"
    assert kit.publish(registry, "b", label="7").published.label == "7"
    assert kit.publish(registry, "c", label="release").published.label == "release"
    assert kit.publish(registry, "d").published.label == "8"
    again = kit.publish(registry, "b")
    assert (again.published.label, again.created) == ("7", False)
    assert kit.publish(registry, "c", label="09").published.label == "09"
    assert kit.publish(registry, "e").published.label == "9"
    assert kit.publish(registry, "a", name="other").published.label == "1"


def test_publishing_again_gives_the_same_pipeline_back_closed_or_not(registry, kit):
    first = kit.publish(registry, "a", description="first", tags={"k": "v"}).published
    again = kit.publish(registry, "a", description="second")
    assert (again.published, again.created) == (first, False)
    registry.set_gate("pipeline", first.id, open=False, caller=kit.caller, reason="broken")
    closed = kit.publish(registry, "a").published
    assert (closed.id, closed.enabled, closed.gate.reason) == (first.id, False, "broken")


def test_another_digest_under_a_label_is_refused_on_every_target(registry, kit):
    kit.publish(registry, "a", label="1")
    for target in ("laptop", "prod"):
        with pytest.raises(Conflict, match=r"`digits:1` is frozen with the digest a, this one is b") as refused:
            kit.publish(registry, "b", label="1", target=target)
        assert refused.value.code == "label_frozen"
    other = kit.publish(registry, "a", label="1", target="prod")
    assert other.created
    assert other.published.digest == "a"


def test_a_deleted_label_stays_burnt_and_counts(registry, kit):
    laptop = kit.publish(registry, "a", label="5").published
    prod = kit.publish(registry, "a", label="5", target="prod").published
    registry.pipelines.delete(laptop.id, kit.caller)
    for digest in "ab":
        assert kit.code(kit.publish, registry, digest, label="5") == "label_reserved"
    assert kit.code(kit.publish, registry, "a", label="5", target="third") == "label_reserved"
    assert kit.publish(registry, "a", label="5", target="prod").published == prod
    assert kit.submit(registry, prod.id, kind="published").published == prod.id
    assert kit.publish(registry, "a").published.label == "6"


def test_a_target_that_means_another_place_is_refused(registry, kit):
    kit.publish(registry, "a", identity='{"project":"one"}')
    with pytest.raises(Conflict, match=r'meant \{"project":"one"\}; now it means \{"project":"two"\}') as refused:
        kit.publish(registry, "a", identity='{"project":"two"}')
    assert refused.value.code == "target_changed"
    assert kit.publish(registry, "a", label="next", identity='{"project":"two"}').created
    trial = {"kind": "file", "digest": "a", "target": "laptop"}
    assert kit.code(kit.submit, registry, identity='{"project":"three"}', **trial) == "snapshot_not_found"
    assert kit.submit(registry, identity='{"project":"two"}', **trial).digest == "a"


def test_a_plan_says_what_publishing_does_and_changes_nothing(registry, kit):
    plan = registry.pipelines.plan(kit.order("a", publication=None, endpoint="digits"))
    assert (plan.label, plan.existing) == ("1", None)
    assert kit.history(registry).items == ()
    first = kit.publish(registry, "a", endpoint="digits")
    assert registry.pipelines.plan(kit.order("a", publication=None)).existing == first.published
    kit.publish(registry, "b", endpoint="digits")
    registry.set_gate("version", "digits", version="1", open=False, caller=kit.caller)
    for order in (
        kit.order("b", label="1"),
        kit.order("a", identity="[]"),
        kit.order("c", endpoint="digits", expect="1"),
        kit.order("c", endpoint="other", expect="0"),
        kit.order("b", endpoint="digits", default=True),
        kit.order("a", name=""),
        kit.order("a", endpoint=" digits"),
    ):
        planned = kit.code(registry.pipelines.plan, order)
        assert planned is not None
        assert planned == kit.code(registry.pipelines.publish, order, kit.caller)


def test_a_publish_behind_an_endpoint_is_all_or_nothing(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    assert kit.code(kit.publish, registry, "b", endpoint="digits", expect="9") == "default_changed"
    assert [record.digest for record in registry.pipelines.list().items] == ["a"]
    outcome = kit.publish(registry, "b", endpoint="digits", default=True, expect="0")
    assert (outcome.version, outcome.version_added, outcome.default_moved) == ("1", True, True)
    assert (outcome.endpoint.default, outcome.endpoint_created) == ("1", False)
    back = kit.publish(registry, "a", endpoint="digits", default=True)
    assert (back.version, back.version_added, back.default_moved, back.endpoint.default) == ("0", False, True, "0")


def test_what_is_pointed_to_or_running_cannot_be_deleted(registry, kit):
    first = kit.publish(registry, "a", endpoint="digits").published
    with pytest.raises(Conflict, match="is version 0 of endpoint `digits`"):
        registry.pipelines.delete(first.id, kit.caller)
    registry.endpoints.delete("digits", kit.caller)
    run = kit.submit(registry, first.id, kind="published")
    with pytest.raises(Conflict, match=f"while run {run.id} is unfinished"):
        registry.pipelines.delete(first.id, kit.caller)
    registry.runs.request_cancel(run.id, kit.caller)
    assert kit.due(registry, "retire") == []
    deleted = registry.pipelines.delete("digits:1", kit.caller)
    assert deleted == first
    (owed,) = [one for one in registry.outbox.due() if one.kind == "retire"]
    assert owed.target == "laptop"
    placement, publication = registry.outbox.to_retire(owed)
    assert placement == Placement(target="laptop", backend="local", identity="{}", options="{}")
    assert publication == Publication(external="x-a", details={"digest": "a"})
    registry.outbox.done(owed)
    assert kit.due(registry, "retire") == []
    assert not registry.outbox.is_owed(owed)


def test_a_publication_is_retired_when_nothing_uses_it_and_comes_back(registry, kit):
    one = kit.publish(registry, "a", label="one").published
    two = kit.publish(registry, "a", label="two").published
    registry.pipelines.delete(one.id, kit.caller)
    assert kit.due(registry, "retire") == []
    keep_trial(registry, kit, "a")
    run = kit.submit(registry, "digits", **TRIAL)
    registry.pipelines.delete(two.id, kit.caller)
    assert kit.due(registry, "retire") == []
    three = kit.publish(registry, "a", label="three").published
    registry.runs.request_cancel(run.id, kit.caller)
    assert kit.due(registry, "retire") == []
    registry.pipelines.delete(three.id, kit.caller)
    (owed,) = [one for one in registry.outbox.due() if one.kind == "retire"]
    assert registry.outbox.to_retire(owed) is not None
    registry.outbox.done(owed)
    assert kit.code(kit.submit, registry, **TRIAL) == "snapshot_not_found"
    assert keep_trial(registry, kit, "a", external="again").external == "again"
    assert registry.runs.ref(run.id)[0].publication.external == "again"
    assert kit.submit(registry, "digits", **TRIAL).digest == "a"


def test_the_last_run_of_a_trial_lets_its_publication_go(registry, kit):
    keep_trial(registry, kit, "a")
    runs = [kit.submit(registry, "digits", **TRIAL) for _ in range(2)]
    registry.runs.request_cancel(runs[0].id, kit.caller)
    assert kit.due(registry, "retire") == []
    kit.hand_over(registry, runs[1])
    registry.runs.report(runs[1].id, RunReport(state="succeeded"), {}, {})
    assert len(kit.due(registry, "retire")) == 1
    assert registry.counts().pending_retires == 1


@pytest.mark.parametrize("how", ["published", "tried", "accepted"])
def test_what_is_to_be_retired_and_used_again_before_that_is_kept(registry, kit, how):
    keep_trial(registry, kit, "a")
    trigger = TriggerRequest(ref="digits", **TRIAL)
    resolution = registry.runs.resolve(trigger)
    registry.runs.request_cancel(kit.submit(registry, "digits", **TRIAL).id, kit.caller)
    (owed,) = [one for one in registry.outbox.due() if one.kind == "retire"]
    if how == "published":
        kit.publish(registry, "a")
    elif how == "tried":
        keep_trial(registry, kit, "a")
    else:
        registry.runs.accept(trigger, resolution, NewRun(id="11111111-run", experiment="e"), kit.caller)
    assert not registry.outbox.is_owed(owed)
    assert registry.outbox.to_retire(owed) is None
    assert registry.check().ok
    assert kit.submit(registry, "digits", **TRIAL).digest == "a"


HERE = Placement(target="laptop", backend="local", identity="{}", options="{}")
TRIAL = {"kind": "file", "digest": "a", "placement": HERE}


def keep_trial(registry, kit, digest, **changes):
    order = kit.order(digest)
    publication = evolve(order.publication, **changes)
    return registry.pipelines.record_trial(order.snapshot, order.placement, publication)


def test_a_trial_is_kept_once_with_its_snapshot(registry, kit):
    first = keep_trial(registry, kit, "a")
    again = keep_trial(registry, kit, "a", external="other")
    assert again == first == Publication(external="x-a", details={"digest": "a"})
    assert registry.pipelines.snapshot("a") == FrozenSnapshot(digest="a", spec='{"digest":"a"}', archives="[]")
    assert kit.code(registry.pipelines.snapshot, "b") == "snapshot_not_found"
    run = kit.submit(registry, "digits", **TRIAL)
    assert (run.resolved_from, run.published, run.pipeline, run.digest) == ("file", None, "digits", "a")


def test_references_find_one_published_pipeline_or_say_what_there_is(registry, kit):
    first = kit.publish(registry, "a").published
    assert registry.pipelines.get(first.id) == registry.pipelines.get("digits:1") == first
    second = kit.publish(registry, "a", target="prod").published
    assert registry.pipelines.get("digits:1@prod") == second
    with pytest.raises(Conflict, match=f"(?s){second.id}.*{first.id}") as ambiguous:
        registry.pipelines.get("digits:1")
    assert ambiguous.value.code == "ambiguous"
    with pytest.raises(NotFound, match=r"did you mean `digits:1`") as missing:
        registry.pipelines.get("digit:1")
    assert missing.value.code == "pipeline_not_found"


def test_listings_leave_closed_ones_out_and_count_them(registry, kit):
    ids = [kit.publish(registry, digest).published.id for digest in "abcde"]
    kit.publish(registry, "z", name="other")
    registry.set_gate("pipeline", ids[1], open=False, caller=kit.caller)
    page = registry.pipelines.list(name="digits", limit=2)
    assert ([one.id for one in page.items], page.hidden, page.more) == ([ids[4], ids[3]], 1, True)
    rest = registry.pipelines.list(name="digits", limit=2, before=page.next)
    assert ([one.id for one in rest.items], rest.more, rest.next) == ([ids[2], ids[0]], False, None)
    assert [one.id for one in registry.pipelines.list(all=True, name="digits").items] == ids[::-1]
    assert registry.pipelines.list(all=True).hidden == 0
    assert len(registry.pipelines.list(limit=10**30).items) == 5
    assert len(registry.endpoints.list(limit=10**30).items) == 0
    for call in ({"limit": 0}, {"before": "soon"}):
        with pytest.raises(UsageError):
            registry.pipelines.list(**call)


@pytest.mark.sampled(5)
@pytest.mark.parametrize(
    "name", ["", " a", "a ", "a\nb", "x" * 256, "é" * 128, "\ud800", "\0", "a/b", "a:b", "a@b", "a:b@c", "e\u0301"]
)
def test_names_that_no_door_could_show_are_refused(registry, kit, name):
    assert kit.code(kit.publish, registry, "a", name=name) == "name_invalid"
    assert kit.code(kit.publish, registry, "a", label=name) == "name_invalid"
    if name != "e\u0301":  # one Unicode form is kept of it, and it is found in any
        kit.publish(registry, "a")
        assert kit.code(registry.endpoints.create, name, "digits:1", kit.caller) == "name_invalid"


def test_text_that_is_not_unicode_is_refused_in_one_line(registry, kit):
    assert kit.code(registry.pipelines.get, "\udcff") == "usage_error"
    assert kit.code(kit.publish, registry, "a", description="\udcff") == "usage_error"
    assert registry.pipelines.list().items == ()
