"""Histories that are drawn: calls that a player takes, about what others ask for too, each explained by the model."""

from __future__ import annotations

import inspect
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from laws.asked import new_harness
from laws.player import VERBS, Player
from laws.recorder import Recorder
from laws.strategies import histories

pytestmark = pytest.mark.doors("python")


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    folder = tmp_path_factory.mktemp("histories")
    yield new_harness(folder, "python")


@settings(max_examples=60, deadline=None)
@given(histories(least=3, most=9))
def test_every_call_is_one_that_a_player_takes(history):
    assert 3 <= len(history) <= 9
    for verb, arguments in history:
        taken = {name: value for name, value in arguments.items() if name != "by"}
        depth = {"depth": taken.pop("depth")} if verb == "submit" and "depth" in taken else {}
        inspect.signature(getattr(Player, f"_{verb}")).bind(None, None, **taken, **depth)
        assert None not in arguments.values()


@pytest.mark.thorough
def test_every_verb_comes_and_moments_have_a_name_before_they_are_asked_about():
    seen = Counter()

    @settings(max_examples=500, deadline=None, database=None, derandomize=True)
    @given(histories(least=8, most=12))
    def look(history):
        moments = set()
        for verb, arguments in history:
            seen[verb] += 1
            if verb == "moment":
                moments.add(arguments["moment"])
            assert verb != "endpoint_at" or arguments["moment"] in moments

    look()
    assert set(seen) == set(VERBS)


@settings(max_examples=30, deadline=None)
@given(st.tuples(*(histories(verbs=("submit", "rerun", "wait"), who=who) for who in ("bea", "cem"))))
def test_runs_of_two_callers_have_different_names(parts):
    names = [{arguments["run"] for _, arguments in part} for part in parts]
    assert names[0].isdisjoint(names[1])
    for part in parts:
        started = [arguments["run"] for verb, arguments in part if verb != "wait"]
        assert len(started) == len(set(started))
        assert {verb for verb, _ in part} <= {"submit", "rerun", "wait"}


def test_a_verb_that_nobody_knows_and_a_past_without_moments_are_refused():
    with pytest.raises(ValueError, match="no verb `submt`"):
        histories(verbs=("submit", "submt"))
    with pytest.raises(ValueError, match="needs the verb `moment`"):
        histories(verbs=("endpoint", "endpoint_at"))


def test_the_model_explains_every_history_that_one_caller_makes(harness):
    refused = Counter()

    @settings(max_examples=15, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(histories(least=12, most=20))
    def make(history):
        with Recorder(harness) as recorder:
            recorder("publish", variant="a", endpoint="one")
            for verb, arguments in history:
                refused["refused" in recorder(verb, **arguments)] += 1

    make()
    assert refused[True] > 20
    assert refused[False] > 20
