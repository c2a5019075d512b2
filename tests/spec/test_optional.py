"""A parameter without a value: what a step is given then, whatever the values of others are."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec import canonical, canonical_json, from_canonical, parse_pipeline, to_yaml
from penstock.spec import TYPES, Parameter, Pipeline, Step
from penstock.spec.binding import bind
from penstock.spec.command import Reference, fill
from penstock.spec.keys import REQUIRED
from penstock.spec.optional import arguments, may_lack, variables, words
from penstock.spec.problems import check
from penstock.spec.values import RawValue
from penstock.testing.strategies import hostile_text, parameters
from penstock.testing.strategies.text import literal

X, Y = "${{ parameters.x }}", "${{ parameters.y }}"


def resolver(**values):
    return lambda reference: values.get(reference.names[0])


@pytest.mark.parametrize(
    ("command", "left"),
    [
        (["run", X], ["run"]),
        (["run", "--x", X, "last"], ["run", "last"]),
        (["run", "-x", X, "last"], ["run", "last"]),
        (["run", f"--x={X}", f"-x{X}", f"x={X}", f"+a.b/c@d={X}", f"~x={X}", "last"], ["run", "last"]),
        (["run", "--conf", f"a.b={X}", "last"], ["run", "last"]),
        # An option that has its value, or is not directly in front, stays.
        (["run", "--a=1", X, "--b", f"--x={X}", "-c", "1", X], ["run", "--a=1", "--b", "-c", "1"]),
        (["run", "--a", "--x", X, "--b", "1"], ["run", "--a", "--b", "1"]),
        (["run", "--", X, "-", X, "-1", X], ["run", "--", "-", "-1"]),
        (["run", "--x", X, X], ["run"]),
        (["run", "--x", X, "--y", Y, "--", X], ["run", "--y", "v", "--"]),
        (["run", "--y", Y, f"--y={Y}", f"-y{Y}"], ["run", "--y", "v", "--y=v", "-yv"]),
        # What a value is never counts, and neither does what is put together.
        (["run", Y, X, f"--{Y}", X], ["run", "v", "--v"]),
        (["run", "-c", f"a {X} b", f"{X}{Y}", f"{X}.csv", f"--a-{X}", f"https://a/?q={X}"],
         ["run", "-c", "a  b", "v", ".csv", "--a-", "https://a/?q="]),
        (["run", f"$${{{{={X}", "$${{ x"], ["run", "${{=", "${{ x"]),
        (["--run", X, "--x"], ["--run", "--x"]),
    ],
)  # fmt: skip
def test_what_goes_with_a_value_that_is_not_there(command, left):
    assert arguments(command, resolver(y="v")) == left


def test_a_variable_that_says_nothing_else_is_not_set():
    env = {"A": X, "B": f"a{X}", "C": Y, "D": "", "E": f"{X}{Y}"}
    assert variables(env, resolver(y="v")) == {"B": "a", "C": "v", "D": "", "E": "v"}
    assert variables(env, resolver(y="")) == {"B": "a", "C": "", "D": "", "E": ""}


_WORDS = st.one_of(
    st.sampled_from([X, Y, f"--x={X}", f"-x{X}", f"a {X}", f"x={Y}", f"{X}{Y}", "--x", "-x", "--a=b", "--", "-", "a"]),
    hostile_text().map(literal),
)


@given(st.lists(_WORDS, min_size=1, max_size=8), hostile_text(), hostile_text())
def test_with_all_values_nothing_goes_and_no_value_changes_what_goes(command, one, other):
    given_all = resolver(x=one, y=other)
    assert arguments(command, given_all) == [fill(word, given_all) for word in command]
    kept = arguments(command, resolver(y=one))
    assert len(kept) == len(arguments(command, resolver(y=other))) >= 1
    joined = [text for word in words(command) for text in (word.option, word.text) if text is not None]
    assert joined == command


@given(parameters(optional=True), st.data())
def test_no_value_is_held_to_no_limit_and_every_other_to_all(parameter, data):
    optional = evolve(parameter, default=None)
    required = evolve(parameter, default=REQUIRED)
    assert (optional.optional, optional.required, optional.has_default) == (True, False, False)
    none = bind(optional, None)
    assert (none.value, none.text, none.problems) == (None, "", ())
    assert [problem.code for problem in bind(required, None).problems] == ["parameter_type"]
    value = data.draw(st.one_of(st.integers(), hostile_text(), st.booleans(), st.just([]), st.builds(RawValue)))
    assert bind(optional, value) == bind(required, value)


@given(parameters(optional=True))
def test_the_canonical_form_says_of_null_that_it_is_there(parameter):
    pipeline = Pipeline(name="p", parameters={"x": parameter}, steps={"a": Step(command="run")})
    written = canonical(pipeline)["parameters"]["x"]
    assert ("default" in written) is not parameter.required
    for again in (from_canonical(canonical_json(pipeline)), parse_pipeline(to_yaml(pipeline))):
        assert again == pipeline and again.parameters["x"].required is parameter.required


@pytest.mark.parametrize("type_", TYPES)
def test_every_type_may_be_optional_in_yaml_and_in_python(type_):
    text = f"{{apiVersion: penstock/v1, kind: Pipeline, name: p, parameters: {{x: {{type: {type_}, default: null}}}}, "
    read = parse_pipeline(text + "steps: {a: {command: run}}}")
    assert read.parameters["x"] == Parameter(type_, default=None) != Parameter(type_)
    assert repr(read.parameters["x"]) == f"Parameter('{type_}', default=None)"


def _pipeline(command, **inputs):
    declared = {"x": Parameter("string", default=None), "y": Parameter("string")}
    return Pipeline(name="p", parameters=declared, steps={"a": Step(command=command, inputs=inputs)})


@pytest.mark.parametrize("program", [X, f"bin/{X}", "${{ inputs.x }}"])
def test_a_program_always_has_a_value(program):
    wrong = check(_pipeline([program, "a"], x=X))
    assert [(one.code, one.path) for one in wrong] == [("reference_scope", ("steps", "a", "command", 0))]
    assert not check(_pipeline([Y, X], x=X))


def test_an_input_has_no_value_where_its_parameter_has_none():
    pipeline = _pipeline(["run"], x=X, y=Y)
    assert may_lack(pipeline, pipeline.steps["a"]) == {Reference("parameters", ("x",)), Reference("inputs", ("x",))}


def test_an_enum_still_has_no_null_in_it():
    declared = {"x": Parameter("string", enum=("a", None), default=None)}
    wrong = check(Pipeline(name="p", parameters=declared, steps={"a": Step(command="run")}))
    assert [one.path for one in wrong] == [("parameters", "x", "enum", 1)]
