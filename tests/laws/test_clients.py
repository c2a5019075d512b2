"""A group on a real workspace: who calls, when, and what is known when one of them fails."""

import itertools
import os

import pytest
from laws.asked import new_harness
from laws.concurrency.clients import Round, at_once, call_at_once, moments
from laws.concurrency.linearizability import Observed, explain
from laws.model import Model
from laws.player import Player

from penstock.testing.laws import LawBroken

pytestmark = pytest.mark.doors("python")


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    folder = tmp_path_factory.mktemp("group")
    return new_harness(folder, "python")


def add(variant, **more):
    return "publish", {"variant": variant, "endpoint": "one", **more}


def test_every_process_calls_as_itself_and_rounds_follow_each_other(harness):
    parts = ((add("a", by="bea"), add("b", by="bea")), (add("c", by="cem"),), (add("a", by="dag"),))
    rounds = [Round(registry=harness.new_registry(), parts=parts) for _ in range(3)]
    seen = call_at_once(harness.subject, rounds, spec_folder=harness.spec_folder, patience=60)
    for calls in seen:
        assert sorted(call.process for call in calls) == ["bea", "bea", "cem", "dag"]
        assert all(call.started < call.ended for call in calls)
        assert len(explain(calls, Model(remember=False))) == 4
    for earlier, later in itertools.pairwise(seen):
        ended, started = max(call.ended for call in earlier), min(call.started for call in later)
        assert ended < started, "a round starts when everybody is done with the one before"


def test_an_answer_that_was_not_given_is_not_explained(harness):
    registry = harness.new_registry()
    rounds = [Round(registry=registry, parts=((add("a", by="bea"),), (add("b", by="cem"),)))]
    calls = call_at_once(harness.subject, rounds, spec_folder=harness.spec_folder, patience=60)[0]
    first, second = sorted(calls, key=lambda call: call.answer["version"])
    second.answer["version"] = first.answer["version"]
    with pytest.raises(LawBroken) as caught:
        explain(calls, Model(remember=False))
    assert caught.value.law == 2


def test_a_new_run_is_two_moments_and_everything_else_is_one(harness):
    run = {"id": "r", "state": "canceled", "cancel": True, "outputs": {"x": 1}, "error": "canceled", "by": "bea"}
    asked = {"run": "first", "ref": "one", "by": "bea"}
    call = Observed(
        process="bea", verb="submit", arguments=asked, answer={"run": run, "replayed": False}, started=1, ended=5
    )
    accepted, looked = moments(call)
    assert (accepted.process, accepted.arguments, accepted.started, accepted.ended) == ("bea", asked, 1, 5)
    assert accepted.answer["run"] == {
        "id": "r", "state": "queued", "cancel": False, "outputs": {}, "error": None, "by": "bea",
    }  # fmt: skip
    assert (looked.process, looked.verb, looked.started, looked.ended) == ("bea about first", "get", 1, 5)
    assert (looked.arguments, looked.answer) == ({"run": "first", "by": "bea"}, {"run": run})
    for answer in ({"run": run, "replayed": True}, {"refused": "endpoint_disabled"}):
        again = Observed(process="bea", verb="submit", arguments=asked, answer=answer, started=1, ended=5)
        assert moments(again) == [again]


def meet(together, number):
    """Two meetings; the second one fails for number 1."""
    together()
    if number == 1:
        raise KeyError("one is missing")
    together()
    return number, os.getpid()


def test_who_fails_is_heard_and_not_who_waits_for_it(harness):
    with pytest.raises(KeyError, match="one is missing"):
        at_once(harness.subject, meet, [(0,), (1,), (2,)], patience=60)


def test_each_share_has_a_process_of_its_own(harness):
    answers = at_once(harness.subject, meet, [(0,), (2,)], patience=60)
    assert [number for number, _ in answers] == [0, 2]
    assert len({os.getpid(), *(pid for _, pid in answers)}) == 3


def test_what_a_crowd_did_is_there_for_whoever_comes_after(harness):
    registry = harness.new_registry()
    rounds = [Round(registry=registry, parts=((add("a", by="bea"),), (add("b", by="cem"),)))]
    call_at_once(harness.subject, rounds, spec_folder=harness.spec_folder, patience=60)
    with Player(harness.subject, registry, spec_folder=harness.spec_folder, patience=60) as player:
        assert len(player.call("endpoint", endpoint="one")["endpoint"]["versions"]) == 2
