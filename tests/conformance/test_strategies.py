"""The kit's strategies: what they say is valid is, what they say is refused is, and they reach what they promise."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from itertools import combinations

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from penstock.codec import canonical_json, checked
from penstock.errors import ParameterInvalid
from penstock.records import FrozenSnapshot
from penstock.spec import TYPES, Defaults, Parameter, Pipeline, Step
from penstock.spec.binding import bind
from penstock.spec.checks import _LIMITS as ALL_LIMITS
from penstock.spec.keys import attributes
from penstock.spec.problems import check as problems
from penstock.spec.values import render
from penstock.testing.probes.pipelines import VALUE_TYPES
from penstock.testing.strategies import (
    declarations,
    hostile_text,
    keys,
    parameters,
    pipelines,
    runnable_pipelines,
    values_for,
    values_of,
    values_outside,
    wrong_values,
)
from penstock.testing.strategies.documents import step_keys
from penstock.testing.strategies.text import literal
from penstock.testing.strategies.values import refused
from penstock.workspace.parameters import TriggerOptions, bind_parameters

pytestmark = pytest.mark.thorough

LIMITS = [
    Parameter("integer", minimum=1, maximum=3),
    Parameter("integer", exclusive_minimum=1, exclusive_maximum=3),
    Parameter("integer", minimum=0.5, maximum=2.5),
    Parameter("integer", multiple_of=3, minimum=1, maximum=9),
    Parameter("number", minimum=0.5, maximum=0.5),
    Parameter("number", exclusive_minimum=0, exclusive_maximum=1),
    Parameter("number", multiple_of=0.1, minimum=0, exclusive_maximum=1),
    Parameter("number", enum=(1, 0.1)),
    Parameter("string", min_length=2, max_length=2),
    Parameter("string", pattern="^[a-z]{1,8}$"),
    Parameter("string", enum=("fast", "")),
    Parameter("boolean", enum=(True,)),
    Parameter("list", min_items=1, max_items=2, unique_items=True),
    Parameter("object", min_properties=1, max_properties=1),
    Parameter("integer", minimum=1, exclusive_minimum=1, maximum=4, exclusive_maximum=3),
    Parameter("number", minimum=1, exclusive_minimum=0.5, maximum=2, exclusive_maximum=2),
    Parameter("string", pattern="^[a-z]{1,8}$", min_length=2, max_length=5),
    Parameter("file", min_length=6),
    Parameter("file", pattern="^s3://"),
    Parameter("file", pattern="^s3://", max_length=12),
    Parameter("directory", max_length=1),
    Parameter("directory", pattern="^x*$"),
    *(Parameter(type_) for type_ in TYPES),
]

TOGETHER = {
    ("exclusive_minimum", "minimum"),
    ("exclusive_maximum", "maximum"),
    ("exclusive_maximum", "minimum"),
    ("minimum", "multiple_of"),
    ("max_length", "pattern"),
    ("min_length", "pattern"),
    ("max_length", "min_length"),
    ("max_items", "unique_items"),
}
"""Limits that must also meet: each pair is one that the reader of a value could get wrong."""


@settings(max_examples=60, deadline=None)
@given(parameters(), st.data())
def test_values_are_inside_of_every_limit_or_outside_as_it_is_said(parameter, data):
    assert bind(parameter, data.draw(values_for(parameter))).problems == ()
    value, code = data.draw(values_outside(parameter))
    assert code in {detail.code for detail in bind(parameter, value).problems}


@pytest.mark.parametrize("type_", TYPES)
def test_parameters_have_every_limit_of_their_type_alone_and_beside_others(type_):
    legal = {name for name, types in ALL_LIMITS.items() if type_ in types}
    wanted = legal | {"enum"} | {pair for pair in TOGETHER if set(pair) <= legal}
    seen = set()

    def look(parameter):
        given_ = frozenset(name for name in ALL_LIMITS if getattr(parameter, name) not in (None, False))
        seen.update(given_, combinations(sorted(given_), 2), ["enum"] if parameter.enum else [])
        assert given_ <= legal
        return wanted <= seen

    _draw(parameters((type_,)), look, most=5_000)
    assert wanted - seen == set()


@pytest.mark.parametrize("parameter", LIMITS, ids=str)
def test_each_limit_is_kept_and_broken(parameter):
    @settings(max_examples=15, deadline=None, database=None)
    @given(values_for(parameter))
    def kept(value):
        assert bind(parameter, value).problems == ()

    kept()
    for value, code in refused(parameter):
        assert code in {detail.code for detail in bind(parameter, value).problems}, repr(value)[:80]


@settings(max_examples=25, deadline=None)
@given(declarations(VALUE_TYPES), st.data())
def test_triggers_are_taken_or_refused_as_it_is_said(declared, data):
    pipeline = Pipeline(name="p", parameters=declared, steps={"a": Step(command=["true"])})

    kept = FrozenSnapshot(digest="d", spec=canonical_json(pipeline), archives="[]")

    def bound(values):
        options = TriggerOptions(
            parameters=values, experiment=None, description="", tags={}, idempotency_key=None, folder=None
        )
        return bind_parameters(kept, options, lambda location: location.text)

    assert bound(data.draw(values_of(declared))).typed.keys() == declared.keys()
    values, wrong = data.draw(wrong_values(declared))
    with pytest.raises(ParameterInvalid) as refusal:
        bound(values)
    told = {(detail.path[0], detail.code) for detail in refusal.value.details}
    assert {name for name, _ in told} == wrong.keys()
    assert set(wrong.items()) <= told


@settings(max_examples=20, deadline=None)
@given(st.one_of(pipelines(), runnable_pipelines("python", marks=True)))
def test_pipelines_are_valid(pipeline):
    assert problems(pipeline) == []
    assert checked(pipeline) == pipeline


@settings(max_examples=40, deadline=None)
@given(hostile_text())
def test_hostile_text_can_be_an_argument_and_a_literal_stays_what_it_is(text):
    assert render("string", text) == text
    step = Step(command=["run", literal(text)])
    assert problems(Pipeline(name="p", steps={"a": step})) == []


@pytest.mark.parametrize(
    "wanted",
    [
        lambda key: key.isdigit(),
        lambda key: key.startswith("_"),
        lambda key: "--" in key,
        lambda key: key in ("true", "null", "no"),
    ],
)
def test_keys_have_the_oddities_that_are_allowed(wanted):
    assert find(keys(), wanted, settings=settings(max_examples=2000, database=None))


def test_runnable_pipelines_have_every_shape():
    seen = Counter()

    def look(pipeline):
        sources = [text for step in pipeline.steps.values() for text in step.inputs.values()]
        read = Counter(text.split(".")[1] for text in sources if text.startswith("${{ steps."))
        seen["chain"] += any("${{ steps." in text for text in sources)
        seen["fan"] += max(read.values(), default=0) > 1
        seen["join"] += any(
            len({text.split(".")[1] for text in step.inputs.values() if "steps." in text}) > 1
            for step in pipeline.steps.values()
        )
        seen["after"] += any(step.after for step in pipeline.steps.values())
        seen["retry"] += any(step.retry for step in pipeline.steps.values())
        seen["timeout"] += any(step.timeout for step in pipeline.steps.values())
        seen["resources"] += any(step.resources for step in pipeline.steps.values())
        seen["plain"] += not any(step.timeout or step.resources for step in pipeline.steps.values())
        seen["env"] += any(step.env for step in pipeline.steps.values())
        seen["exit"] += any("exit" in step.command for step in pipeline.steps.values())
        for type_ in TYPES:
            seen[type_] += any(one.type == type_ for step in pipeline.steps.values() for one in step.outputs.values())
        return all(seen.values())

    _draw(runnable_pipelines("python", marks=True), look, most=5_000)
    assert {shape for shape, count in seen.items() if not count} == set()


def test_every_key_of_a_step_is_drawn_and_held_to_the_backend():
    """A new key belongs into `step_keys`: from there the kit asks whether a backend uses it or refuses it."""
    others = {"command", "description", "inputs", "outputs", "after"}
    assert {one.name for one in attributes(Step)} == step_keys().keys() | others
    assert {one.name for one in attributes(Defaults)} <= step_keys().keys()


def _draw(strategy, enough, most):
    """Draw until that is enough, `most` times at most.

    That has to be far more than it takes: what is drawn depends on what hypothesis finds in the modules that are
    imported by then, which is another thing in each process.
    """
    drawing = settings(max_examples=most, database=None, derandomize=True, phases=[Phase.generate])
    with suppress(NoSuchExample):
        find(strategy, enough, settings=drawing)
