"""Warnings: what is valid and probably not meant."""

from hypothesis import given, settings

from penstock.spec import Defaults, Parameter, Pipeline, Step
from penstock.spec.problems import check, warnings
from penstock.testing.strategies import pipelines


def found(steps, parameters=(), **more):
    made = Pipeline(
        name="a",
        parameters={name: Parameter("string") for name in parameters},
        steps={name: Step(**{"command": "run", **step}) for name, step in steps.items()},
        **more,
    )
    assert check(made) == []
    told = warnings(made)
    assert {problem.severity for problem in told} <= {"warning"}
    return [(problem.code, ".".join(map(str, problem.path))) for problem in told]


def test_an_output_that_nothing_mentions():
    outputs = {"a": "file", "b": "file", "c": "file"}
    step = {"outputs": outputs, "command": ["r", "--out=${{ outputs.a }}", "$${{ outputs.c }}"]}
    assert found({"s": step, "t": {"command": ["r", "${{ outputs.c }}"], "outputs": {"c": "file"}}}) == [
        ("output_unmentioned", "steps.s.outputs.b"),
        ("output_unmentioned", "steps.s.outputs.c"),
    ]
    assert found({"s": {"outputs": {"a": "file"}, "env": {"OUT": "${{outputs.a}}"}}}) == []
    # What another step reads is written by nobody all the same.
    reader = {"inputs": {"x": "${{ steps.s.outputs.a }}"}, "command": ["r", "${{ inputs.x }}"]}
    assert found({"s": {"outputs": {"a": "file"}}, "t": reader}) == [("output_unmentioned", "steps.s.outputs.a")]


def test_a_parameter_that_nothing_reads():
    step = {"command": ["r", "${{ parameters.a }}"], "env": {"B": "${{ parameters.b }}"}}
    assert found({"s": step}, "abc") == [("parameter_unused", "parameters.c")]


def test_a_parameter_is_read_through_an_input_that_is_mentioned():
    inputs = {"x": "${{ parameters.a }}", "y": "${{ parameters.b }}"}
    assert found({"s": {"inputs": inputs, "command": ["r", "${{ inputs.x }}"]}}, "ab") == [
        ("parameter_unused", "parameters.b"),
        ("input_unmentioned", "steps.s.inputs.y"),
    ]


def test_what_defaults_say_counts_where_it_holds():
    defaults = Defaults(env={"A": "${{ parameters.a }}", "X": "${{ inputs.x }}"})
    inputs = {"x": "${{ parameters.b }}"}
    assert found({"s": {"inputs": inputs}}, "ab", defaults=defaults) == []
    own = {"env": {"A": "", "X": ""}, "inputs": inputs}
    assert [path for _, path in found({"s": own}, "ab", defaults=defaults)] == [
        "parameters.a", "parameters.b", "steps.s.inputs.x",
    ]  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(pipelines())
def test_every_warning_names_something_that_nothing_else_does(pipeline):
    for problem in warnings(pipeline):
        mark = f"${{{{ {'parameters' if problem.path[0] == 'parameters' else problem.path[2]}.{problem.path[-1]} }}}}"
        steps = pipeline.steps if problem.path[0] == "parameters" else [problem.path[1]]
        for name in steps:
            step = pipeline.effective(name)
            assert not any(word == mark for word in (*step.command, *step.env.values()))
