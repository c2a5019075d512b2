"""Law 6: whatever is wrong with the parameters of a trigger comes in one answer, each with its path."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec import canonical_json
from penstock.contract.target import Location, Problem
from penstock.errors import ParameterInvalid
from penstock.records import FrozenSnapshot
from penstock.spec import Parameter, Pipeline, Step
from penstock.spec.values import RawValue
from penstock.workspace.parameters import TriggerOptions, bind_parameters, fingerprint

DECLARED = {
    "depth": Parameter("integer", minimum=1, maximum=64),
    "rate": Parameter("number", exclusive_minimum=0, default=0.5),
    "mode": Parameter("string", enum=("fast", "exact"), default="fast"),
    "shuffle": Parameter("boolean", default=True),
    "layers": Parameter("list", min_items=1, max_items=3),
    "extra": Parameter("object", default={}),
    "1": Parameter("string", max_length=3, default="a"),
    "note": Parameter("string", enum=("a", "b"), pattern="^.$", default=None),
    "folds": Parameter("integer", minimum=2, default=None),
    "token": Parameter("string", min_length=1, sensitive=True, default=None),
    "table": Parameter("file", default=None),
}
PIPELINE = Pipeline(name="p", parameters=DECLARED, steps={"a": Step(command=["true"])})

GOOD = {
    "depth": [1, 64, 2],
    "rate": [1, 0.25, 1e308],
    "mode": ["exact"],
    "shuffle": [False],
    "layers": [[1], [2**53 + 1, 1.0]],
    "extra": [{"b": 1, "a": None}],
    "1": ["", "äöü"],
    "note": [None, "b"],
    "folds": [None, 2],
    "token": [None, "x"],
    "table": [None],
}
BAD = {
    "depth": {"parameter_type": [1.0, "2", True, None, [1]], "parameter_range": [0, 65, -(2**70)]},
    "rate": {
        "parameter_type": ["0.5", False],
        "parameter_range": [0, -1.5, 10**400],
        "parameter_not_finite": [float("nan"), float("inf")],
    },
    "mode": {"parameter_type": [1], "parameter_enum": ["slow", ""]},
    "shuffle": {"parameter_type": [0, "true"]},
    "layers": {"parameter_type": ["[1]", {"a": 1}, [object()]], "parameter_range": [[], [1, 2, 3, 4]]},
    "extra": {"parameter_type": [[], "x"], "parameter_not_finite": [{"a": [float("nan")]}]},
    "1": {"parameter_range": ["four"], "parameter_text": ["\0", "\ud800"]},
    "note": {"parameter_enum": ["c"], "parameter_type": [0, False, []]},
    "folds": {"parameter_range": [1], "parameter_type": ["", "2"]},
    "token": {"parameter_range": [""], "parameter_type": [0]},
    "table": {"parameter_type": ["", {}]},
}
OPTIONAL = ("note", "folds", "token", "table")


SNAPSHOT = FrozenSnapshot(digest="d", spec=canonical_json(PIPELINE), archives="[]")


def options(parameters):
    return TriggerOptions(
        parameters=parameters, experiment=None, description="", tags={}, idempotency_key="k", folder=None
    )


def bind(parameters):
    return bind_parameters(SNAPSHOT, options(parameters), local)


def asked(parameters):
    return fingerprint(SNAPSHOT, options(parameters), str)


def local(location: Location) -> str | Problem:
    raise AssertionError(f"no artifact is declared, yet {location} was looked for")


@st.composite
def accepted(draw):
    """Parameters with nothing wrong."""
    left_out = draw(st.sets(st.sampled_from([name for name, parameter in DECLARED.items() if not parameter.required])))
    return {name: draw(st.sampled_from(GOOD[name])) for name in DECLARED if name not in left_out}


@st.composite
def triggers(draw):
    """Given parameters, and what must be said of them: a set of (code, name)."""
    chosen, expected = {}, set()
    for name, parameter in DECLARED.items():
        fate = draw(st.sampled_from(["good", "bad", "absent"]))
        if fate == "good":
            chosen[name] = draw(st.sampled_from(GOOD[name]))
        elif fate == "bad":
            code = draw(st.sampled_from(sorted(BAD[name])))
            chosen[name] = draw(st.sampled_from(BAD[name][code]))
            expected.add((code, name))
        elif parameter.required:
            expected.add(("parameter_missing", name))
    for name in draw(st.sets(st.text(min_size=1, max_size=5).filter(lambda text: text not in DECLARED), max_size=3)):
        chosen[name] = 1
        expected.add(("parameter_unknown", name))
    return chosen, expected


@given(accepted())
def test_every_parameter_is_bound_when_nothing_is_wrong(chosen):
    bound = bind(chosen)
    absent = {name for name in OPTIONAL if chosen.get(name) is None}
    assert set(bound.typed) == set(DECLARED) == set(bound.texts) | absent
    assert bound.absent == absent == {name for name, value in bound.typed.items() if value is None}
    hidden = {"token": "***"} if "token" not in absent else {}
    assert {name: bound.typed[name] for name in chosen} == chosen | hidden
    assert bound.sensitive == tuple(hidden)
    assert (bound.artifacts, bound.bundled) == ({}, {})


@given(accepted())
def test_a_request_is_known_again_whether_its_parameters_were_bound_before_or_not(chosen):
    bound = bind(chosen)
    assert fingerprint(SNAPSHOT, options(chosen), str, texts=bound.texts) == asked(chosen)


@given(accepted())
def test_no_value_may_be_said_or_not_and_is_the_same_request(chosen):
    said = dict.fromkeys(OPTIONAL) | chosen
    unsaid = {name: value for name, value in chosen.items() if value is not None}
    assert bind(said) == bind(unsaid)
    assert asked(said) == asked(unsaid)


def test_no_value_is_another_request_than_the_empty_one():
    assert asked({"1": ""}) != asked({}) != asked({"note": ""}) != asked({"note": "b"})


@given(triggers().filter(lambda trigger: trigger[1]))
def test_everything_wrong_is_said_at_once_and_nothing_else(trigger):
    chosen, expected = trigger
    with pytest.raises(ParameterInvalid) as refused:
        bind(chosen)
    assert {(detail.code, detail.path[0]) for detail in refused.value.details} == expected
    assert refused.value.code == "parameter_invalid"
    json.dumps(refused.value.to_dict()).encode()


def test_of_thousands_of_unknown_parameters_only_some_are_looked_for_among_the_known():
    """Else one request keeps a processor for minutes."""
    with pytest.raises(ParameterInvalid) as refused:
        bind({"depth": 1, "layers": [1]} | {f"shufle{number:05}": True for number in range(5000)})
    details = refused.value.details
    assert len(details) == 5000 and {detail.code for detail in details} == {"parameter_unknown"}
    assert 1 <= sum(bool(detail.hint) for detail in details) <= 20


@given(accepted())
def test_text_is_read_by_the_declared_type_to_the_same_values(chosen):
    bound = bind(chosen)
    as_text = {name: RawValue(bound.texts[name]) for name in bound.texts}
    again = bind(as_text)
    assert again.texts == bound.texts
    assert json.dumps(again.typed, sort_keys=True) == json.dumps(bound.typed, sort_keys=True)
    assert asked({name: as_text.get(name) for name in chosen}) == asked(chosen)


def test_one_and_one_point_nought_in_a_list_are_another_request():
    assert asked({"layers": [1]}) != asked({"layers": [1.0]})
    assert asked({"rate": 1}) == asked({"rate": 1.0})
    assert asked({}) != asked({"rate": 0.5}), "a default may be another one tomorrow"


def test_what_no_parameter_takes_is_another_request_than_any_that_was_accepted():
    accepted = asked({"1": "5", "depth": 5})
    for other in ({"1": 5, "depth": 5}, {"1": "5", "depth": "5"}, {"1": "5", "depth": 10**5000}, {"1": "\ud800"}):
        assert asked(other) != accepted
