"""A pipeline made in Python of what no document could say is told of like one in a document, with paths."""

from __future__ import annotations

import enum
from collections import UserDict
from decimal import Decimal

import pytest
import yaml

from penstock import Defaults, Output, Parameter, Pipeline, Resources, Retry, Step, to_yaml
from penstock.codec import checked, parse_pipeline
from penstock.errors import SpecInvalid

RUN = Step(command=["run"])


class Name(str, enum.Enum):  # noqa: UP042  # str() of one is not its text
    ONE = "one"


def step(**keys):
    return Pipeline(name="a", steps={"s": Step(**{"command": ["run"], **keys})})


def parameter(type_, **keys):
    return Pipeline(name="a", parameters={"p": Parameter(type_, **keys)}, steps={"s": RUN})


@pytest.mark.parametrize(
    ("made", "path"),
    [
        (lambda: step(command=5), "$.steps.s.command"),
        (lambda: step(command={"run"}), "$.steps.s.command"),
        (lambda: step(command=["run", b"x"]), "$.steps.s.command[1]"),
        (lambda: step(env=[("A", "b")]), "$.steps.s.env"),
        (lambda: step(env={b"A": "b"}), "$.steps.s.env"),
        (lambda: step(env={"A": Decimal(1)}), "$.steps.s.env.A"),
        (lambda: step(inputs={"a"}), "$.steps.s.inputs"),
        (lambda: step(outputs=["a"]), "$.steps.s.outputs"),
        (lambda: step(outputs={"a": 5}), "$.steps.s.outputs.a"),
        (lambda: step(after=5), "$.steps.s.after"),
        (lambda: step(after={"a", "b"}), "$.steps.s.after"),
        (lambda: step(description=object()), "$.steps.s.description"),
        (lambda: step(retry=Retry(attempts=True)), "$.steps.s.retry.attempts"),
        (lambda: Pipeline(name="a", steps=[("s", RUN)]), "$.steps"),
        (lambda: Pipeline(name="a", steps={None: RUN}), "$.steps"),
        (lambda: Pipeline(name="a", steps={("s",): RUN}), "$.steps"),
        (lambda: Pipeline(name="a", steps={"s": (one for one in "a")}), "$.steps.s"),
        (lambda: Pipeline(name="a", parameters=["p"], steps={"s": RUN}), "$.parameters"),
        (lambda: Pipeline(name="a", steps={"s": RUN}, outputs=5), "$.outputs"),
        (lambda: Pipeline(name="a", defaults=open, steps={"s": RUN}), "$.defaults"),
        (lambda: Pipeline(name=5, steps={"s": RUN}), "$.name"),
        (lambda: parameter("string", enum=5), "$.parameters.p.enum"),
        (lambda: parameter("string", enum={"a"}), "$.parameters.p.enum"),
        (lambda: parameter("number", minimum=Decimal(1)), "$.parameters.p.minimum"),
    ],
)
def test_what_is_no_part_of_a_pipeline_is_told_with_its_path(made, path):
    with pytest.raises(SpecInvalid) as no:
        checked(made())
    assert f"{path}: " in str(no.value)


@pytest.mark.parametrize(
    "made",
    [
        lambda: Step(command=["run"], timeout="soon"),
        lambda: Step(command=["run"], after="prepare"),
        lambda: Retry(delay=-1),
        lambda: Resources(memory=b"4Gi"),
        lambda: Resources(cpu="two"),
        lambda: Defaults(timeout=[1]),
    ],
)
def test_what_cannot_be_read_is_an_error_of_ours_which_python_knows_as_a_value_error(made):
    with pytest.raises(SpecInvalid) as no:
        made()
    assert isinstance(no.value, ValueError)
    assert no.value.code in ("value_invalid", "type_mismatch")


def test_text_enums_numpys_texts_and_mappings_of_any_kind_are_what_they_hold():
    numpy = pytest.importorskip("numpy")
    made = Pipeline(
        name=Name.ONE,
        parameters=UserDict({Name.ONE: Parameter("string", default=numpy.str_("x"), enum=numpy.array(["x", "y"]))}),
        steps={numpy.int64(1): Step(command=(one for one in ("run", Name.ONE)), env=UserDict({Name.ONE: Name.ONE}))},
        description=numpy.str_("about"),
    )
    plain = Pipeline(
        name="one",
        parameters={"one": Parameter("string", default="x", enum=("x", "y"))},
        steps={"1": Step(command=["run", "one"], env={"one": "one"})},
        description="about",
    )
    assert to_yaml(made) == to_yaml(plain)
    assert parse_pipeline(to_yaml(made)) == checked(made) == plain
    assert yaml.safe_load(to_yaml(made))["steps"]["1"]["env"] == {"one": "one"}
    assert Output(Name.ONE).type == "one"
