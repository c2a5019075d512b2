"""What is said of values from Python that no type takes."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

import pytest

from penstock.spec.values import ValueInvalid, normalise, render


@pytest.mark.parametrize(
    ("type_", "value", "said"),
    [
        ("integer", 3.0, "expected integer, got number `3.0`"),
        ("integer", 2.5, "got number `2.5`"),
        ("list", {1}, "give a list, like `sorted"),
        ("string", b"x", "give text, like `.decode()`"),
        ("string", datetime.date(2026, 11, 20), "give its text, like `str"),
    ],
)
def test_what_is_refused_says_what_to_give(type_, value, said):
    with pytest.raises(ValueInvalid) as refused:
        normalise(type_, value)
    assert said in str(refused.value)


def test_what_lies_in_a_list_says_it_too():
    with pytest.raises(ValueInvalid, match="has no JSON form; give a list"):
        render("list", [{1, 2}])


def test_a_time_of_numpy_says_it_too():
    numpy_like = type("datetime64", (), {"__module__": "numpy", "dtype": SimpleNamespace(kind="M")})
    with pytest.raises(ValueInvalid, match="give its text"):
        normalise("string", numpy_like())
