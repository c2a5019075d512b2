"""Law 1: one (name, label) has one digest; a publish is one transaction; what is used cannot be deleted."""

import pytest

from penstock.contract.target import Publication
from penstock.errors import Conflict, NotFound, UsageError


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
    registry.delete_published(laptop.id, kit.caller)
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
    assert registry.find_publication("laptop", "a", '{"project":"three"}') is None


def test_a_plan_says_what_publishing_does_and_changes_nothing(registry, kit):
    plan = registry.plan_publish(kit.order("a", publication=None, endpoint="digits"))
    assert (plan.label, plan.existing) == ("1", None)
    assert registry.history().items == ()
    first = kit.publish(registry, "a", endpoint="digits")
    assert registry.plan_publish(kit.order("a", publication=None)).existing == first.published
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
        planned = kit.code(registry.plan_publish, order)
        assert planned is not None
        assert planned == kit.code(registry.publish, order, kit.caller)


def test_a_publish_behind_an_endpoint_is_all_or_nothing(registry, kit):
    kit.publish(registry, "a", endpoint="digits")
    assert kit.code(kit.publish, registry, "b", endpoint="digits", expect="9") == "default_changed"
    assert [record.digest for record in registry.list_published().items] == ["a"]
    outcome = kit.publish(registry, "b", endpoint="digits", default=True, expect="0")
    assert (outcome.version, outcome.version_added, outcome.default_moved) == ("1", True, True)
    assert (outcome.endpoint.default, outcome.endpoint_created) == ("1", False)
    back = kit.publish(registry, "a", endpoint="digits", default=True)
    assert (back.version, back.version_added, back.default_moved, back.endpoint.default) == ("0", False, True, "0")


def test_what_is_pointed_to_or_running_cannot_be_deleted(registry, kit):
    first = kit.publish(registry, "a", endpoint="digits").published
    with pytest.raises(Conflict, match="is version 0 of endpoint `digits`"):
        registry.delete_published(first.id, kit.caller)
    registry.delete_endpoint("digits", kit.caller)
    run = kit.submit(registry, first.id, kind="published")
    with pytest.raises(Conflict, match=f"while run {run.id} is unfinished"):
        registry.delete_published(first.id, kit.caller)
    registry.request_cancel(run.id, kit.caller)
    outcome = registry.delete_published("digits:1", kit.caller)
    assert outcome.published.id == first.id
    assert outcome.retire == ("laptop", Publication(external="x-a", details={"digest": "a"}))


def test_a_publication_is_retired_when_nothing_uses_it_and_comes_back(registry, kit):
    one = kit.publish(registry, "a", label="one").published
    two = kit.publish(registry, "a", label="two").published
    assert registry.delete_published(one.id, kit.caller).retire is None
    registry.record_publication(**trial(kit, "a"))
    run = kit.submit(registry, "digits", kind="file", digest="a", target="laptop", identity="{}")
    assert registry.delete_published(two.id, kit.caller).retire is None
    registry.request_cancel(run.id, kit.caller)
    three = kit.publish(registry, "a", label="three").published
    assert registry.delete_published(three.id, kit.caller).retire is not None
    assert registry.find_publication("laptop", "a", "{}") is None
    assert (
        kit.code(kit.submit, registry, kind="file", digest="a", target="laptop", identity="{}") == "snapshot_not_found"
    )
    registry.record_publication(**trial(kit, "a") | {"publication": Publication(external="again")})
    assert registry.find_publication("laptop", "a", "{}").external == "again"
    assert registry.run_ref(run.id)[0].publication.external == "again"


def trial(kit, digest):
    order = kit.order(digest)
    names = ("target", "backend", "digest", "identity", "options", "publication", "spec", "archives")
    return {name: getattr(order, name) for name in names}


def test_a_trial_is_kept_once_with_its_snapshot(registry, kit):
    first = registry.record_publication(**trial(kit, "a"))
    again = registry.record_publication(**trial(kit, "a") | {"publication": Publication(external="other")})
    assert again == first == registry.find_publication("laptop", "a", "{}")
    assert registry.snapshot_data("a") == ('{"digest":"a"}', "[]")
    assert kit.code(registry.snapshot_data, "b") == "snapshot_not_found"
    run = kit.submit(registry, "digits", kind="file", digest="a", target="laptop", identity="{}")
    assert (run.resolved_from, run.published, run.pipeline, run.digest) == ("file", None, "digits", "a")


def test_references_find_one_published_pipeline_or_say_what_there_is(registry, kit):
    first = kit.publish(registry, "a").published
    assert registry.get_published(first.id) == registry.get_published("digits:1") == first
    second = kit.publish(registry, "a", target="prod").published
    assert registry.get_published("digits:1@prod") == second
    with pytest.raises(Conflict, match=f"(?s){second.id}.*{first.id}") as ambiguous:
        registry.get_published("digits:1")
    assert ambiguous.value.code == "ambiguous"
    with pytest.raises(NotFound, match=r"did you mean `digits:1`") as missing:
        registry.get_published("digit:1")
    assert missing.value.code == "pipeline_not_found"
    odd = kit.publish(registry, "b", name="a:b@c", label="x:y@z").published
    assert registry.get_published("a:b@c:x:y@z") == odd == registry.get_published("a:b@c:x:y@z@laptop")


def test_listings_leave_closed_ones_out_and_count_them(registry, kit):
    ids = [kit.publish(registry, digest).published.id for digest in "abcde"]
    kit.publish(registry, "z", name="other")
    registry.set_gate("pipeline", ids[1], open=False, caller=kit.caller)
    page = registry.list_published(name="digits", limit=2)
    assert ([one.id for one in page.items], page.hidden, page.more) == ([ids[4], ids[3]], 1, True)
    rest = registry.list_published(name="digits", limit=2, before=page.next)
    assert ([one.id for one in rest.items], rest.more, rest.next) == ([ids[2], ids[0]], False, None)
    assert [one.id for one in registry.list_published(all=True, name="digits").items] == ids[::-1]
    assert registry.list_published(all=True).hidden == 0
    assert len(registry.list_published(limit=10**30).items) == 5
    assert len(registry.list_endpoints(limit=10**30).items) == 0
    for call in ({"limit": 0}, {"before": "soon"}):
        with pytest.raises(UsageError):
            registry.list_published(**call)


@pytest.mark.parametrize("name", ["", " a", "a ", "a\nb", "x" * 256, "\ud800", "\0"])
def test_names_that_no_door_could_show_are_refused(registry, kit, name):
    assert kit.code(kit.publish, registry, "a", name=name) == "name_invalid"
    assert kit.code(kit.publish, registry, "a", label=name) == "name_invalid"
    kit.publish(registry, "a")
    assert kit.code(registry.create_endpoint, name, "digits:1", kit.caller) == "name_invalid"


def test_text_that_is_not_unicode_is_refused_in_one_line(registry, kit):
    assert kit.code(registry.get_published, "\udcff") == "usage_error"
    assert kit.code(kit.publish, registry, "a", description="\udcff") == "usage_error"
    assert registry.list_published().items == ()
