"""The graph of a pipeline: order, input types, and every problem with its path."""

import pytest
from attrs import evolve
from hypothesis import given, settings

from penstock.errors import SpecInvalid
from penstock.spec import Defaults, Output, Parameter, Pipeline, Resources, Retry, Step
from penstock.spec.graph import dependencies, input_types, order
from penstock.spec.problems import check
from penstock.testing.strategies import pipelines

FILE = Output("file")


def pipeline(steps=None, **more):
    made = {name: Step(**{"command": "run", **step}) for name, step in (steps or {"s": {}}).items()}
    return Pipeline(name="a", steps=made, **more)


def found(steps=None, **more):
    return {(detail.code, detail.path) for detail in check(pipeline(steps, **more))}


def chain(**needs):
    return pipeline({name: {"after": after} for name, after in needs.items()})


def test_dependencies_come_from_inputs_and_after():
    graph = pipeline(
        {
            "a": {"outputs": {"x": FILE}},
            "b": {"after": ["a"]},
            "c": {"inputs": {"x": "${{ steps.a.outputs.x }}"}, "after": ["b"]},
        }
    )
    assert dependencies(graph) == {"a": frozenset(), "b": {"a"}, "c": {"a", "b"}}
    assert order(graph) == ["a", "b", "c"]


def test_order_is_alphabetical_where_there_is_a_choice():
    assert order(chain(d=(), c=["d"], b=(), a=["b"], e=())) == ["b", "a", "d", "c", "e"]


@pytest.mark.thorough
def test_a_long_chain_is_no_problem():
    steps = {f"s{index:05}": ([f"s{index - 1:05}"] if index else ()) for index in range(5000)}
    assert order(chain(**steps)) == sorted(steps)
    assert check(chain(**steps)) == []


def test_a_cycle_is_named():
    graph = chain(a=["c"], b=["a"], c=["b"], d=["a"], e=())
    with pytest.raises(SpecInvalid, match="`a` -> `c` -> `b` -> `a`") as caught:
        order(graph)
    assert caught.value.code == "cycle"
    assert [(detail.code, detail.path) for detail in check(graph)] == [("cycle", ("steps", "a"))]


def test_every_cycle_is_told_but_not_thousands():
    assert {detail.path[1] for detail in check(chain(a=["b"], b=["a"], c=["d"], d=["c"], e=["e", "a"]))} == {
        "a",
        "c",
        "e",
    }
    pairs = {f"s{index}": [f"s{index ^ 1}"] for index in range(2000)}
    assert 2 <= len(check(chain(**pairs))) <= 20


def test_a_step_that_waits_for_itself():
    own = {"s": {"inputs": {"x": "${{ steps.s.outputs.y }}"}, "outputs": {"y": FILE}}}
    assert found(own) == {("cycle", ("steps", "s"))}
    with pytest.raises(SpecInvalid, match="waits for itself"):
        order(pipeline(own))


@settings(max_examples=11, deadline=None)
@given(pipelines())
def test_valid_pipelines_have_no_problems_and_an_order(made):
    assert check(made) == []
    places = {name: place for place, name in enumerate(order(made))}
    assert places.keys() == made.steps.keys()
    assert all(places[need] < places[name] for name, needs in dependencies(made).items() for need in needs)
    for name, step in made.steps.items():
        types = input_types(made, name)
        assert types.keys() == step.inputs.keys()
        for key, text in step.inputs.items():
            if "parameters." in text:
                assert types[key] == made.parameters[text.split(".")[1].split()[0]].type


@pytest.mark.parametrize(
    ("step", "code", "path"),
    [
        ({"command": ""}, "command_empty", ("command",)),
        ({"command": ["", "a"]}, "command_empty", ("command",)),
        ({"command": ["r", "${{ x }}"]}, "placeholder_invalid", ("command", 1)),
        ({"command": ["r", "a ${{ parameters.a b }}"]}, "placeholder_invalid", ("command", 1)),
        ({"command": ["r", "${{ parameters.nope }}"]}, "reference_unknown", ("command", 1)),
        ({"command": ["r", "${{ inputs.nope }}"]}, "reference_unknown", ("command", 1)),
        ({"command": ["r", "${{ outputs.nope }}"]}, "reference_unknown", ("command", 1)),
        ({"command": ["r", "${{ steps.t.outputs.x }}"]}, "reference_scope", ("command", 1)),
        ({"command": ["r", "${{ run.id }}"]}, "reference_scope", ("command", 1)),
        ({"command": ["r", "${{ parameters.text.more }}"]}, "reference_scope", ("command", 1)),
        ({"command": ["r", "${{ parameters.data }}"]}, "artifact_in_command", ("command", 1)),
        ({"command": ["r", "a\0"]}, "text_invalid", ("command", 1)),
        ({"command": ["r", "a\ud800"]}, "text_invalid", ("command", 1)),
        ({"env": {"A": "${{ parameters.data }}"}}, "artifact_in_command", ("env", "A")),
        ({"env": {"A": "${{ nope }}"}}, "placeholder_invalid", ("env", "A")),
        ({"env": {"A": "\0"}}, "text_invalid", ("env", "A")),
        ({"env": {"A=B": ""}}, "env_name_invalid", ("env", "A=B")),
        ({"env": {"": ""}}, "env_name_invalid", ("env", "")),
        ({"inputs": {"x": "./file"}}, "reference_expected", ("inputs", "x")),
        ({"inputs": {"x": " ${{ parameters.data }}"}}, "reference_expected", ("inputs", "x")),
        ({"inputs": {"x": "${{ parameters.data }}${{ parameters.data }}"}}, "reference_expected", ("inputs", "x")),
        ({"inputs": {"x": "$${{ parameters.data }}"}}, "reference_expected", ("inputs", "x")),
        ({"inputs": {"x": "${{ inputs.y }}"}}, "reference_scope", ("inputs", "x")),
        ({"inputs": {"x": "${{ steps.t.x }}"}}, "reference_scope", ("inputs", "x")),
        ({"inputs": {"x": "${{ steps.nope.outputs.x }}"}}, "reference_unknown", ("inputs", "x")),
        ({"inputs": {"x": "${{ steps.t.outputs.nope }}"}}, "reference_unknown", ("inputs", "x")),
        ({"inputs": {"x": "${{ parameters.nope }}"}}, "reference_unknown", ("inputs", "x")),
        ({"inputs": {"a b": "${{ parameters.data }}"}}, "key_invalid", ("inputs", "a b")),
        ({"outputs": {"-a": FILE}}, "key_invalid", ("outputs", "-a")),
        ({"after": ["nope"]}, "reference_unknown", ("after", 0)),
        ({"code": ""}, "value_invalid", ("code",)),
        ({"image": "a\0"}, "text_invalid", ("image",)),
        ({"timeout": 0}, "value_invalid", ("timeout",)),
        ({"retry": Retry(attempts=0)}, "value_invalid", ("retry", "attempts")),
        ({"resources": Resources(gpu=-1)}, "value_invalid", ("resources", "gpu")),
        ({"description": "\ud800"}, "text_invalid", ("description",)),
    ],
)
def test_problems_of_a_step(step, code, path):
    parameters = {"data": Parameter("file"), "text": Parameter("string")}
    steps = {"s": step, "t": {"outputs": {"x": FILE}}}
    assert found(steps, parameters=parameters) == {(code, ("steps", "s", *path))}


def test_placeholders_are_fine_where_they_belong():
    step = {
        "command": ["run", "$${{ anything", "--x=${{parameters.text}}", "${{ inputs.i }}", "${{ outputs.o }}"],
        "env": {"A": "${{ inputs.i }}:${{ parameters.text }}"},
        "inputs": {"i": "${{ parameters.data }}"},
        "outputs": {"o": FILE},
    }
    parameters = {"data": Parameter("file"), "text": Parameter("string")}
    assert found({"s": step}, parameters=parameters, outputs={"o": "${{ steps.s.outputs.o }}"}) == set()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("0.9", "reference_expected"),
        ("${{ parameters.p }}", "reference_scope"),
        ("${{ steps.s.outputs.nope }}", "reference_unknown"),
        ("${{ steps.nope.outputs.x }}", "reference_unknown"),
        ("${{ }}", "placeholder_invalid"),
    ],
)
def test_problems_of_pipeline_outputs(text, code):
    assert found(outputs={"o": text}, parameters={"p": Parameter("string")}) == {(code, ("outputs", "o"))}


def test_hints_name_what_is_known():
    steps = {
        "train": {"outputs": {"model": FILE}},
        "s": {"command": ["r", "${{ parameters.dept }}"], "after": ["trian"]},
    }
    hints = [detail.hint for detail in check(pipeline(steps, parameters={"depth": Parameter("integer")}))]
    assert hints == ["did you mean `depth`?", "did you mean `train`?"]
    (artifact,) = check(pipeline({"s": {"command": ["r", "${{ parameters.d }}"]}}, parameters={"d": Parameter("file")}))
    assert 'inputs: {d: "${{ parameters.d }}"}' in artifact.hint
    (nothing,) = check(pipeline({"s": {"command": ["r", "${{ inputs.d }}"]}}))
    assert nothing.hint == "there are no inputs of step `s`"


def test_defaults_are_filled_in_every_step_that_uses_them():
    defaults = Defaults(env={"A": "${{ inputs.x }}"}, timeout=0)
    steps = {"s": {"inputs": {"x": "${{ parameters.p }}"}}, "t": {"env": {"A": "own"}}, "u": {}}
    problems = check(pipeline(steps, defaults=defaults, parameters={"p": Parameter("string")}))
    assert [(detail.code, detail.path) for detail in problems] == [
        ("value_invalid", ("defaults", "timeout")),
        ("reference_unknown", ("defaults", "env", "A")),
    ]
    assert "step `u`" in problems[1].message


@pytest.mark.parametrize("name", ["", " a", "a ", "a" * 256, "a\nb", "\x1b[0m", "\ud800"])
def test_names_are_printable(name):
    problems = check(evolve(pipeline(), name=name))
    assert [detail.code for detail in problems] == ["name_invalid"]


def test_a_pipeline_has_steps_and_keys_are_keys():
    assert found({"a.b": {}}) == {("key_invalid", ("steps", "a.b"))}
    assert [detail.code for detail in check(Pipeline(name="a", steps={}))] == ["steps_missing"]
    assert found(parameters={"é": Parameter("string")}) == {("key_invalid", ("parameters", "é"))}
    assert found({"1": {}, "_a-b": {}, "0x": {}}) == set()


@pytest.mark.parametrize(
    ("parameter", "code", "path"),
    [
        (Parameter("string", minimum=0), "limit_not_applicable", ("minimum",)),
        (Parameter("integer", min_length=0), "limit_not_applicable", ("minLength",)),
        (Parameter("boolean", pattern="a"), "limit_not_applicable", ("pattern",)),
        (Parameter("object", unique_items=True), "limit_not_applicable", ("uniqueItems",)),
        (Parameter("list", max_properties=1), "limit_not_applicable", ("maxProperties",)),
        (Parameter("string", pattern="("), "pattern_invalid", ("pattern",)),
        (Parameter("string", sensitive=True, default="a"), "sensitive_invalid", ("default",)),
        (Parameter("string", sensitive=True, enum=["a"]), "sensitive_invalid", ("enum",)),
        (Parameter("file", sensitive=True), "sensitive_invalid", ("sensitive",)),
        (Parameter("string", min_length=-1), "limit_invalid", ("minLength",)),
        (Parameter("number", maximum=float("nan")), "limit_invalid", ("maximum",)),
        (Parameter("number", maximum=10**400), "limit_invalid", ("maximum",)),
        (Parameter("number", multiple_of=0), "limit_invalid", ("multipleOf",)),
        (Parameter("integer", minimum=3, maximum=2), "limit_invalid", ("minimum",)),
        (Parameter("string", min_length=3, max_length=2), "limit_invalid", ("minLength",)),
        (Parameter("string", enum=[]), "limit_invalid", ("enum",)),
        (Parameter("integer", enum=[1, "2"]), "parameter_type", ("enum", 1)),
        (Parameter("integer", enum=[1, 20], maximum=9), "parameter_range", ("enum", 1)),
        (Parameter("integer", default="8"), "parameter_type", ("default",)),
        (Parameter("integer", default=0, minimum=1), "parameter_range", ("default",)),
        (Parameter("string", default="b", enum=["a"]), "parameter_enum", ("default",)),
        (Parameter("string", default="a\0"), "parameter_text", ("default",)),
        (Parameter("number", default=float("inf")), "parameter_not_finite", ("default",)),
        (Parameter("list", default=[float("nan")]), "parameter_not_finite", ("default",)),
        (Parameter("file", default=""), "parameter_type", ("default",)),
        (Parameter("string", default="x" * 70_000), "parameter_too_large", ("default",)),
        (Parameter("string", description="\0"), "text_invalid", ("description",)),
    ],
)
def test_problems_of_a_parameter(parameter, code, path):
    assert found(parameters={"p": parameter}) == {(code, ("parameters", "p", *path))}


def test_limits_where_they_apply():
    parameters = {
        "a": Parameter("integer", minimum=0, exclusive_maximum=9, multiple_of=2, default=0),
        "b": Parameter("string", min_length=0, max_length=9, pattern="^[[]", default="["),
        "c": Parameter("list", min_items=0, max_items=2, unique_items=True, default=[]),
        "d": Parameter("object", min_properties=0, max_properties=1, default={}),
        "e": Parameter("file", pattern="^gs://"),
        "f": Parameter("boolean", enum=[False], default=False),
    }
    assert found(parameters=parameters) == set()
