"""Names: printable, up to 255 bytes, one Unicode form, without what references use."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import format_path
from penstock.spec import Pipeline, Step
from penstock.spec.names import name_problem
from penstock.spec.problems import check
from penstock.testing.strategies import hostile_text, names


@given(names())
def test_names_are_names(name):
    assert name_problem("it", name) is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "empty"),
        (" a", "space"),
        ("a ", "space"),
        ("a" * 256, "256 bytes"),
        ("é" * 128, "256 bytes"),
        ("\U0001f600" * 64, "256 bytes"),
        ("a\nb", "U+000A"),
        ("\x1b[0m", "U+001B"),
        ("a\u2028", "U+2028"),
        ("a\u202eb", "U+202E"),
        ("a\xa0b", "U+00A0"),
        ("\ud800", "surrogate"),
        ("team/digits", "`/`"),
        ("digits:1", "`:`"),
        ("digits@0", "`@`"),
        ("e\u0301", "NFC"),
        ("\u212b", "NFC"),
    ],
)
def test_what_is_no_name(name, words):
    wrong = name_problem("the name of a pipeline", name)
    assert wrong.startswith("the name of a pipeline ")
    assert words in wrong
    (problem,) = check(Pipeline(name=name, steps={"s": Step(command="r")}))
    assert (problem.code, format_path(problem.path)) == ("name_invalid", "$.name")
    assert str(problem).isprintable()


@given(st.one_of(hostile_text(), st.text()))
def test_whatever_passes_keeps_to_the_rule(text):
    if name_problem("it", text) is None:
        assert 1 <= len(text.encode()) <= 255
        assert text.isprintable() and text == text.strip() == unicodedata.normalize("NFC", text)
        assert not set(text) & set("/:@")
