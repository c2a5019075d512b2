"""Reading YAML 1.2: what plain words mean, where everything stands, and what is refused."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.codec import read_yaml
from penstock.errors import SpecInvalid
from penstock.testing.strategies import hostile_text


def refused(text, source="f.yaml"):
    with pytest.raises(SpecInvalid) as caught:
        read_yaml(text, source)
    assert all(detail.where.startswith("f.yaml:") for detail in caught.value.details)
    return caught.value


@pytest.mark.parametrize(
    ("written", "value"),
    [
        *((word, word) for word in ("yes", "no", "on", "off", "y", "1:30", "2020-01-01", "<<", "=", "0b1", "1_000")),
        *((word, None) for word in ("~", "null", "Null", "NULL", "")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *(("+1", 1), ("-0", 0), ("012", 12), ("0o17", 15), ("0xFf", 255), ("0o8", "0o8"), ("-0x1", "-0x1")),
        *(("1.", 1.0), (".5", 0.5), ("-1e3", -1000.0), ("1e", "1e"), (".", "."), ("+", "+"), ("1.5.2", "1.5.2")),
        *((".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf), ("inf", "inf"), ("nan", "nan")),
        *(("'1'", "1"), ('"true"', "true"), ("|-\n  1", "1"), ("'~'", "~")),
    ],
)
def test_scalars_of_the_core_schema(written, value):
    read = read_yaml(f"a: {written}\n", "f.yaml").data["a"]
    assert read == value
    assert type(read) is type(value)


def test_not_a_number_is_read_as_such():
    assert math.isnan(read_yaml("a: .nan", "f.yaml").data["a"])


def test_integer_keys_are_the_text_that_stands_there():
    assert read_yaml("1: a\n'2': b\n007: c\nyes: d\n", "f.yaml").data == {"1": "a", "2": "b", "007": "c", "yes": "d"}


def test_positions_of_values_and_keys():
    document = read_yaml("a: 1\nb:\n  - x\n  -   y: {z: é, w: 2}\n", "f.yaml")
    assert document.position(("a",)) == "f.yaml:1:4"
    assert document.key_position(("a",)) == "f.yaml:1:1"
    assert document.position(("b", 0)) == "f.yaml:3:5"
    assert document.position(("b", 1, "y", "w")) == "f.yaml:4:20"
    assert document.key_position(("b", 1, "y", "w")) == "f.yaml:4:17"
    assert document.position(("b", 1, "y", "missing", "deeper")) == "f.yaml:4:10"
    assert document.key_position(("b", 1, "y", "missing")) == "f.yaml:4:7"
    assert document.position(()) == "f.yaml:1:1"


def test_positions_are_right_after_a_byte_order_mark_and_with_any_line_ends():
    document = read_yaml("\ufeffa: 1\r\nb: 2\rc: 3\nd: [\u2028, 4]\n", "f.yaml")
    assert document.data == {"a": 1, "b": 2, "c": 3, "d": ["\u2028", 4]}
    assert [document.position((key,)) for key in "abc"] == ["f.yaml:1:4", "f.yaml:2:4", "f.yaml:3:4"]
    assert document.position(("d", 1)) == "f.yaml:4:8"


@pytest.mark.parametrize(
    ("text", "code", "where", "words"),
    [
        ("a:\n\tb: c\n", "yaml_syntax", "2:1", "tab"),
        ("a: [1\n", "yaml_syntax", "2:1", "expected"),
        ("a: b: c\n", "yaml_syntax", "1:5", "mapping values"),
        ("a: 1\n---\nb: 2\n", "yaml_syntax", "2:1", "second document"),
        ("a: \x01\n", "yaml_syntax", "1:4", "U+0001"),
        ("a: &x 1\n", "yaml_alias", "1:4", "anchor"),
        ("a: {b: *x}\n", "yaml_alias", "1:8", "alias"),
        ("a: !!str 1\n", "yaml_tag", "1:4", "tag"),
        ("a: !python/object:os.system {}\n", "yaml_tag", "1:4", "tag"),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "duplicate_key", "4:3", "at 3:3"),
        ("1: a\n'1': b\n", "duplicate_key", "2:1", "`1`"),
        ("true: a\n", "key_invalid", "1:1", "quotes"),
        ("? [a]\n: b\n", "key_invalid", "1:3", "quotes"),
        ("~: b\n", "key_invalid", "1:1", "quotes"),
        ("1.5: b\n", "key_invalid", "1:1", "1.5"),
        ("", "document_empty", "1:1", "empty"),
        ("# only words\n", "document_empty", "1:1", "empty"),
        ("---\n", "document_empty", "2:1", "empty"),
        ("[" * 10_000, "document_too_deep", "1:101", "100 deep"),
        ("- " * 10_000 + "a", "document_too_deep", "1:201", "100 deep"),
        ("{a: " * 10_000, "document_too_deep", "1:401", "100 deep"),
        ("[[[\n" * 3_000, "document_too_deep", "34:2", "100 deep"),
        ("a: [" + "[" * 9_000 + "'\\ud83d", "document_too_deep", "1:103", "100 deep"),
        ("a: " + "9" * 5000, "value_invalid", "1:4", "digits"),
        ('a: "\\ud83d"\n', "text_invalid", "1:4", "surrogate"),
        ("a: \ud83d\n", "text_invalid", "1:4", "surrogate"),
    ],
)
def test_what_is_refused(text, code, where, words):
    error = refused(text)
    assert error.code == code
    assert error.details[0].where == f"f.yaml:{where}"
    assert words in str(error)
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a:\n  - [1", "while parsing a flow sequence that begins at 2:5 (close the list with `]`"),
        ("a: {b: 1", "that begins at 1:4 (close the mapping with `}`"),
        ("a: b: c", "a value with `: ` in it stands in quotes"),
        ("a:\n  b: 'x\nc: 1\n", "that begins at 2:6 (close the quotes"),
        ("a:\n  - b\n c: 1\n", "begin the keys of a mapping in one column"),
        ("a: 'it's'", "where quotes end, the value ends"),
        ("a: @b", "put the value in quotes"),
        ("a: *.txt", "put the value in quotes"),
        ("a: %b", "put the value in quotes"),
        ("%YAML 3.0\n---\na: 1", "leave the line with `%` out"),
        ('a: "\\d"', "write a backslash twice"),
        ("a: - b", "begin a list on the line below"),
        ("a:\n- b\nc\n", "write `key: value`"),
    ],
)
def test_of_what_is_no_yaml_it_is_said_what_to_do(text, words):
    error = refused(text)
    assert (error.code, len(error.details)) == ("yaml_syntax", 1)
    assert words in str(error)


@given(st.text(st.sampled_from(list("ab: \n\t-[]{}'\"|>#&*!%@,?~1\\")), max_size=25))
def test_whatever_is_no_yaml_has_a_hint(text):
    try:
        read_yaml(text, "f.yaml")
    except SpecInvalid as error:
        assert all(found.hint for found in error.details if found.code == "yaml_syntax")


def test_an_alias_bomb_is_refused_at_its_first_anchor():
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [
        f"{key}: &{key} [{', '.join([f'*{before}'] * 9)}]" for before, key in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert refused("\n".join(lines)).code == "yaml_alias"


def test_a_large_document_is_refused_before_it_is_parsed():
    assert refused("a: [" + "x" * 1_000_000).code == "document_too_large"
    assert refused("é" * 500_001).code == "document_too_large"
    assert len(read_yaml("a: " + "x" * 999_997, "f.yaml").data["a"]) == 999_997


def test_all_problems_of_a_document_come_at_once():
    error = refused("a: &x 1\nb: *x\nb: 2\nc: !!int 3\ntrue: 4\n")
    assert [detail.code for detail in error.details] == [
        "yaml_alias", "yaml_alias", "duplicate_key", "yaml_tag", "key_invalid",
    ]  # fmt: skip
    assert [detail.path for detail in error.details][:3] == [("a",), ("b",), ("b",)]


@settings(max_examples=60, deadline=None)
@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | hostile_text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text(), inner, max_size=3), max_leaves=10,
), st.booleans(), st.sampled_from([None, 1, "\t"]))  # fmt: skip
def test_json_is_yaml(data, ascii_only, indent):
    # A simple key of YAML has at most 1,024 characters, which `hostile_text` keeps.
    text = json.dumps({"data": data}, ensure_ascii=ascii_only, indent=indent)
    assert read_yaml(text, "f.json").data == {"data": data}
