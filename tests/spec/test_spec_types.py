"""The classes of a spec normalise what Python callers write, and error lines stay one line."""

import pytest
from hypothesis.vendor.pretty import pretty

from penstock.errors import Problem, SpecInvalid
from penstock.spec import Defaults, Output, Parameter, Pipeline, Resources, Retry, Step, document_key
from penstock.text import printable


def test_keys_are_text_and_outputs_have_a_short_form():
    step = Step(command="run a", outputs={1: "file"}, inputs={2: "x"}, env={3: "y"}, after=["a"])
    assert (step.outputs, step.inputs, step.env, step.after) == ({"1": Output("file")}, {"2": "x"}, {"3": "y"}, ("a",))
    assert step == Step(
        command=["run", "a"], outputs={"1": Output("file")}, inputs={"2": "x"}, env={"3": "y"}, after=("a",)
    )


def test_a_text_is_no_list_of_names():
    with pytest.raises(ValueError, match=r"\[prepare\]"):
        Step(command="run", after="prepare")


def test_what_a_step_does_not_say_comes_from_the_defaults():
    pipeline = Pipeline(
        name="a",
        defaults=Defaults(code="./src", image="x", env={"A": "1", "B": "1"}, timeout="1h", retry=Retry(attempts=2)),
        steps={"s": Step(command="run", env={"B": "2"}, image="y"), "t": Step(command="run", resources=Resources())},
    )
    step = pipeline.effective("s")
    assert (step.code, step.image, step.env, step.timeout) == ("./src", "y", {"A": "1", "B": "2"}, 3600.0)
    assert (step.retry, step.resources) == (Retry(attempts=2), None)
    assert Pipeline(name="a", steps={"s": Step(command="r")}).effective("s").retry == Retry()
    with pytest.raises(KeyError):
        pipeline.effective("nope")


def test_parameters_know_whether_they_are_required():
    assert Parameter("string").required
    assert not Parameter("boolean", default=False).required
    assert Parameter("file").is_artifact
    assert not Parameter("string").is_artifact


@pytest.mark.parametrize(
    ("name", "key"),
    [("min_length", "minLength"), ("type", "type"), ("exclusive_minimum", "exclusiveMinimum"), ("from_", "from")],
)
def test_keys_of_documents(name, key):
    assert document_key(name) == key


def test_errors_stay_on_one_line_and_harmless():
    detail = Problem("unknown_key", "unknown key `a\nb\x1b[2J\ud800`", ("x\ny", 0), "f.yaml:1:2", "do\tthis")
    assert str(detail).isprintable()
    assert str(SpecInvalid.of([detail])).isprintable()
    assert printable("é \U0001f600") == "é \U0001f600"
    assert printable("a\nb") == "a\\nb"


def test_what_is_shown_is_what_was_said():
    step = Step(command="a b", outputs={"x": "file"}, retry=Retry(attempts=2))
    shown = "Step(command=('a', 'b'), outputs={'x': Output('file')}, retry=Retry(attempts=2))"
    assert repr(step) == " ".join(pretty(step).split()) == shown
    assert eval(repr(step), {"Step": Step, "Output": Output, "Retry": Retry}) == step
    assert repr(Parameter("integer", default=0)) == "Parameter('integer', default=0)"
    assert repr(Retry(attempts=True)) == "Retry(attempts=True)"
