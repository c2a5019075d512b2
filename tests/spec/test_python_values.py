"""Values from Python are taken for what they are: numpy's numbers, arrays and texts, and paths."""

import enum
import math
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.codec import canonical_json
from penstock.spec import Defaults, Parameter, Pipeline, Resources, Retry, Step
from penstock.spec.values import TYPES, ValueInvalid, normalise, plain, render

numpy = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    ("type_", "given_", "held"),
    [
        ("integer", numpy.int64(3), 3),
        ("integer", numpy.uint8(3), 3),
        ("integer", numpy.array(3), 3),
        ("number", numpy.int32(3), 3.0),
        ("number", numpy.float64(0.1), 0.1),
        ("number", numpy.float32(0.5), 0.5),
        ("number", numpy.longdouble(0.5), 0.5),
        ("boolean", numpy.bool_(True), True),
        ("string", numpy.str_("a"), "a"),
        ("string", PurePosixPath("a/b"), "a/b"),
        ("file", Path("a/b"), "a/b"),
        ("directory", Path("/a"), "/a"),
        ("list", numpy.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        ("list", [numpy.int64(1), Path("a"), {"b": numpy.bool_(False)}], [1, "a", {"b": False}]),
        ("list", numpy.array([Path("a"), numpy.int8(1)], dtype=object), ["a", 1]),
        ("object", {"a": (numpy.float32(0.5),)}, {"a": [0.5]}),
    ],
)
def test_what_they_are(type_, given_, held):
    found = normalise(type_, given_)
    assert (found, type(found)) == (held, type(held))
    assert render(type_, given_) == render(type_, held)
    parameter = Parameter(type_, default=given_)
    again = Parameter(type_, default=held)
    pipelines = [
        Pipeline(name="p", parameters={"x": each}, steps={"s": Step(command="r")}) for each in (parameter, again)
    ]
    assert canonical_json(pipelines[0]) == canonical_json(pipelines[1])


@pytest.mark.parametrize(
    ("type_", "given_"),
    [
        ("integer", numpy.bool_(True)),
        ("integer", numpy.float64(3.0)),
        ("integer", numpy.array([3])),
        ("integer", numpy.datetime64("2026-01-01", "ns")),
        ("number", numpy.complex128(1)),
        ("number", numpy.float32("nan")),
        ("string", numpy.int64(3)),
        ("string", numpy.bytes_(b"a")),
        ("boolean", numpy.int64(1)),
        ("integer", Path("3")),
        ("list", numpy.array([numpy.datetime64("2026-01-01")])),
        ("list", [numpy.float64("inf")]),
        ("object", {"a": {1}}),
    ],
)
def test_what_they_are_not(type_, given_):
    with pytest.raises(ValueInvalid) as refused:
        render(type_, given_)
    assert "\n" not in str(refused.value)


@given(st.sampled_from(["int8", "uint16", "int64", "float16", "float32", "float64", "bool"]), st.data())
def test_every_number_of_an_array_arrives(kind, data):
    dtype = numpy.dtype(kind)
    drawn = data.draw(st.lists(st.integers(0, 1) if kind == "bool" else st.integers(0, 100), max_size=5))
    array = numpy.array(drawn, dtype=dtype)
    assert plain(array) == [plain(one) for one in array] == [one.item() for one in array]
    assert all(type(one) in (bool, int, float) for one in plain(array))


def test_limits_and_choices_and_paths_of_a_step():
    parameter = Parameter("number", minimum=numpy.float32(0.5), maximum=numpy.int64(3), enum=(numpy.int64(1), 2))
    assert (parameter.minimum, parameter.maximum, parameter.enum) == (0.5, 3, (1, 2))
    step = Step(command=["python", Path("a.py")], code=Path("src"))
    assert (step.command, step.code) == (("python", "a.py"), "src")


def test_every_attribute_of_a_spec_takes_them():
    three = numpy.int64(3)
    numbers = ("max_length", "min_length", "max_items", "min_items", "max_properties", "min_properties")
    flags = {"sensitive": numpy.bool_(True), "unique_items": numpy.bool_(False)}
    said = {
        Parameter("string", **flags, **dict.fromkeys(numbers, three)): Parameter(
            "string", sensitive=True, **dict.fromkeys(numbers, 3)
        ),
        Resources(cpu=three, memory=three, gpu=three): Resources(cpu=3, memory=3, gpu=3),
        Resources(cpu=numpy.float32(0.5), memory=numpy.str_("4Gi")): Resources(cpu=0.5, memory="4Gi"),
        Retry(attempts=three, delay=numpy.float64(0.5)): Retry(attempts=3, delay=0.5),
    }
    for given_, plain_ in said.items():
        assert given_ == plain_ and repr(given_) == repr(plain_)
    step = Step(command=Path("/bin/my tool"), env={"A": Path("/x")}, timeout=three)
    same = Step(command=["/bin/my tool"], env={"A": "/x"}, timeout=3)
    assert canonical_json(Pipeline(name="p", steps={"a": step})) == canonical_json(
        Pipeline(name="p", steps={"a": same})
    )
    assert Defaults(env={"A": Path("/x")}) == Defaults(env={"A": "/x"})


def test_what_holds_itself_ends():
    value: list = []
    value.append(value)
    with pytest.raises(ValueInvalid, match="nested more than 100 deep"):
        render("list", value)


def test_what_was_plain_stays_what_it_was():
    class Colour(enum.StrEnum):
        RED = "red"

    for value in ("a", 1, 0.5, True, None, Colour.RED, b"x", math.inf):
        assert plain(value) is value
    assert {normalise(type_, Colour.RED) for type_ in TYPES if type_ == "string"} == {"red"}
