"""Values: one text each, exact; limits; and nothing that hangs or crashes on strange numbers."""

import enum
import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.spec import TYPES, Parameter
from penstock.spec.binding import Bound, bind
from penstock.spec.values import MAX_TEXT, RawValue, ValueInvalid, normalise, read_output, read_text, render
from penstock.testing.strategies import hostile_text, parameters, values_for


class Colour(str, enum.Enum):  # noqa: UP042 - its str() is the trap
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("type_", "value", "text"),
    [
        ("string", " a\n", " a\n"),
        ("string", Colour.RED, "red"),
        ("string", "", ""),
        ("integer", 2**53 + 1, "9007199254740993"),
        ("integer", -0, "0"),
        ("integer", Level.HIGH, "3"),
        ("number", 1, "1.0"),
        ("number", 0.1, "0.1"),
        ("number", 1e22, "1e+22"),
        ("number", -0.0, "-0.0"),
        ("boolean", True, "true"),
        ("boolean", False, "false"),
        ("list", [1, "é", 1.0, None, {"b": 1, "a": [True]}], '[1,"é",1.0,null,{"a":[true],"b":1}]'),
        ("list", (1, (2,)), "[1,[2]]"),
        ("object", {}, "{}"),
        ("object", {"b": Colour.RED, "a": Level.HIGH}, '{"a":3,"b":"red"}'),
        ("file", "gs://b/a b", "gs://b/a b"),
    ],
)
def test_text_of_values(type_, value, text):
    assert render(type_, value) == text
    assert type(render(type_, value)) is str
    assert len(bind(Parameter(type_), value).problems) == 0


def _nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


_circle = []
_circle.append(_circle)


@pytest.mark.parametrize(
    ("type_", "value", "code"),
    [
        ("string", 1, "parameter_type"),
        ("string", None, "parameter_type"),
        ("integer", "1", "parameter_type"),
        ("integer", True, "parameter_type"),
        ("integer", 1.0, "parameter_type"),
        ("number", "1", "parameter_type"),
        ("number", True, "parameter_type"),
        ("boolean", 1, "parameter_type"),
        ("list", "a", "parameter_type"),
        ("object", [], "parameter_type"),
        ("file", "", "parameter_type"),
        ("list", [object()], "parameter_type"),
        ("object", {1: 2}, "parameter_type"),
        ("list", [{1: 2}], "parameter_type"),
        ("list", [b"a"], "parameter_type"),
        ("number", math.nan, "parameter_not_finite"),
        ("number", math.inf, "parameter_not_finite"),
        ("number", 10**400, "parameter_range"),
        ("list", [math.nan], "parameter_not_finite"),
        ("object", {"a": {"b": -math.inf}}, "parameter_not_finite"),
        ("string", "a\0", "parameter_text"),
        ("string", "\ud800", "parameter_text"),
        ("list", ["\ud800"], "parameter_text"),
        ("list", ["a\0"], "parameter_text"),
        ("object", {"\0": 1}, "parameter_text"),
        ("file", "a\0", "parameter_text"),
        ("string", "x" * (MAX_TEXT + 1), "parameter_too_large"),
        ("string", "é" * 32769, "parameter_too_large"),
        pytest.param("integer", 10**5000, "parameter_too_large", id="digits"),
        ("list", [10**5000], "parameter_too_large"),
        ("list", _nested(102), "parameter_too_large"),
        ("list", _nested(100_000), "parameter_too_large"),
        ("list", _circle, "parameter_too_large"),
    ],
)
def test_what_has_no_text(type_, value, code):
    with pytest.raises(ValueInvalid) as caught:
        render(type_, value)
    assert caught.value.code == code
    (detail,) = bind(Parameter(type_), value).problems
    assert detail.code == code
    assert str(detail).isprintable()


def test_the_largest_text_is_taken():
    assert len(render("string", "x" * MAX_TEXT)) == MAX_TEXT
    assert render("list", _nested(100)).startswith("[" * 100)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_valid_value_comes_back_from_its_text(data):
    parameter = data.draw(parameters())
    value = data.draw(values_for(parameter))
    assert bind(parameter, value).problems == ()
    text = render(parameter.type, value)
    again = read_text(parameter.type, text)
    assert render(parameter.type, again) == text
    assert again == normalise(parameter.type, value)


@given(st.sampled_from(TYPES), st.one_of(hostile_text(), st.text("0123456789+-.eE_xnaif", max_size=12)))
def test_reading_any_text_gives_a_value_or_a_clear_no(type_, text):
    try:
        value = read_text(type_, text)
    except ValueInvalid as error:
        assert str(error).isprintable()
    else:
        bind(Parameter(type_), value)


@pytest.mark.parametrize(
    ("type_", "text", "value"),
    [
        ("integer", " +07\n", 7),
        ("integer", "-9007199254740993", -(2**53) - 1),
        ("number", "1e3", 1000.0),
        ("number", ".5", 0.5),
        ("boolean", "True", True),
        ("boolean", "FALSE\n", False),
        ("list", " [1, 2] ", [1, 2]),
        ("object", '{"a":1}', {"a": 1}),
        ("string", " a ", " a "),
        ("string", "", ""),
    ],
)
def test_reading_text(type_, text, value):
    assert read_text(type_, text) == value


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        ("integer", "1.0"),
        ("integer", "1_000"),
        ("integer", "٣"),
        ("integer", "0x10"),
        ("integer", ""),
        ("integer", "9" * 5000),
        ("number", "1_0"),
        ("number", "٣"),
        ("number", ""),
        ("number", "0x1p3"),
        ("boolean", "1"),
        ("boolean", "yes"),
        ("list", "1"),
        ("list", "{}"),
        ("list", "[" * 100_000),
        ("object", "{a: 1}"),
        ("object", ""),
        ("file", ""),
        ("list", "[" + "9" * 5000 + "]"),
    ],
)
def test_text_that_is_no_value(type_, text):
    with pytest.raises(ValueInvalid):
        read_text(type_, text)


@pytest.mark.parametrize(
    ("type_", "data", "text"),
    [
        ("number", b"0.50\n", "0.5"),
        ("integer", b" 7 ", "7"),
        ("string", b"a\n", "a\n"),
        ("boolean", b"True\n", "true"),
        ("object", b'{"b": 1, "a": 2}', '{"a":2,"b":1}'),
    ],
)
def test_outputs(type_, data, text):
    assert read_output(type_, data) == text


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("number", b"nan"),
        ("number", b"1e999"),
        ("number", b""),
        ("string", b"\xff"),
        ("string", b"a\0"),
        ("list", b"[NaN]"),
    ],
)
def test_broken_outputs(type_, data):
    with pytest.raises(ValueInvalid) as caught:
        read_output(type_, data)
    assert caught.value.code == "output_invalid"


@pytest.mark.parametrize(
    ("limits", "good", "bad"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 3}, (1, 3), (0, 4)),
        ({"type": "integer", "exclusive_minimum": 1, "exclusive_maximum": 3}, (2,), (1, 3)),
        ({"type": "integer", "minimum": 2**53 + 1}, (2**53 + 1,), (2**53,)),
        ({"type": "integer", "multiple_of": 0.5}, (1, 10**4000), ()),
        ({"type": "integer", "multiple_of": 3}, (0, -3, 3 * 10**4000), (1, 10**4000)),
        ({"type": "number", "multiple_of": 0.1}, (0.3, 0.7, 1, 1e22, 1e308), (0.35, 1e-300)),
        ({"type": "number", "multiple_of": 1e-300}, (1e308, -1e308, 0.5, 3e-300), (1.5e-300, 5e-324)),
        ({"type": "number", "multiple_of": 5e-324}, (1.7976931348623157e308, 5e-324), ()),
        ({"type": "number", "multiple_of": 1e308}, (0, 1e308), (1, 1e307)),
        ({"type": "string", "min_length": 1, "max_length": 2}, ("é", "\U0001f600a"), ("", "abc")),
        ({"type": "string", "pattern": "^a+$"}, ("a", "aa"), ("", "ab")),
        ({"type": "string", "enum": ["a", ""]}, ("a", ""), ("b",)),
        ({"type": "number", "enum": [1, 2.5]}, (1, 1.0, 2.5), (2,)),
        ({"type": "list", "enum": [[1, {"a": 1}]]}, ([1, {"a": 1}],), ([], [1])),
        (
            {"type": "list", "min_items": 1, "max_items": 2, "unique_items": True},
            ([1], [1, "1"]),
            ([], [1, 1], [1, 2, 3]),
        ),
        ({"type": "object", "min_properties": 1, "max_properties": 1}, ({"a": 1},), ({}, {"a": 1, "b": 2})),
    ],
)
def test_limits(limits, good, bad):
    parameter = Parameter(**limits)
    for value in good:
        assert bind(parameter, value).problems == (), value
    for value in bad:
        (detail,) = bind(parameter, value).problems
        assert detail.code in ("parameter_range", "parameter_enum", "parameter_pattern")
        assert str(detail).isprintable()


@given(
    st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
    st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.integers(min_value=1),
)
def test_multiples_of_anything_are_decided(value, step):
    type_ = "integer" if isinstance(value, int) else "number"
    assert len(bind(Parameter(type_, multiple_of=step), value).problems) <= 1


def test_all_broken_limits_are_told():
    parameter = Parameter("integer", enum=[1], maximum=3, multiple_of=2)
    assert len(bind(parameter, 5).problems) == 3


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_bound_value_is_normal_and_has_its_text(data):
    parameter = data.draw(parameters())
    value = data.draw(values_for(parameter))
    bound = bind(parameter, value)
    assert (bound.value, bound.text) == (normalise(parameter.type, value), render(parameter.type, value))
    assert bind(parameter, RawValue(bound.text)) == bound


def test_text_is_read_by_the_declared_type_only_when_it_is_said_to_be_text():
    assert bind(Parameter("integer", minimum=1), RawValue(" 07 ")).value == 7
    assert [problem.code for problem in bind(Parameter("integer"), "7").problems] == ["parameter_type"]
    assert [problem.code for problem in bind(Parameter("integer"), RawValue("x")).problems] == ["parameter_type"]
    assert [problem.code for problem in bind(Parameter("integer", minimum=9), RawValue("7")).problems] == [
        "parameter_range"
    ]
    assert bind(Parameter("string"), RawValue("7")) == Bound("7", "7")


@given(st.lists(st.integers() | hostile_text(), max_size=5))
def test_lists_are_json(value):
    assert json.loads(render("list", value)) == value


@given(st.integers(-(10**6), 10**6), st.booleans())
def test_a_limit_that_is_broken_is_told_with_the_value_as_it_was_given(value, as_text):
    below = Parameter(type="number", minimum=value + 1)
    (problem,) = bind(below, RawValue(f"{value}") if as_text else value).problems
    assert problem.message == f"{value} is less than the minimum {value + 1}"


def test_an_empty_value_is_told_in_words():
    named = Parameter(type="string", pattern="^a", enum=("a",))
    for value, shown in (("", "an empty text"), ("  ", "a blank text"), ("b", "b")):
        assert [one.message for one in bind(named, value).problems] == [
            f"{shown} is none of a", f"{shown} does not match the pattern `^a`",
        ]  # fmt: skip
