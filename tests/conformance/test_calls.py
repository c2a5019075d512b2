"""Calls that must be refused, and calls that another interpreter makes."""

from __future__ import annotations

import os

import pytest

from penstock.errors import Conflict
from penstock.testing.asking.refusals import refusal, verdict
from penstock.testing.laws import LawBroken, Untested
from penstock.testing.processes.anew import anew


def refuse(code):
    raise Conflict("no", code=code)


def order_of_a_set(words):
    return os.environ["PYTHONHASHSEED"], [hash(word) for word in words]


def crash():
    raise RuntimeError("the pump has stopped")


def test_a_refusal_is_known_by_its_code():
    assert verdict(refuse, "in_use") == "in_use"
    assert verdict(len, "in_use") == ""
    assert refusal(3, "in_use", "deleting it", refuse, "in_use") == "no"


def test_another_refusal_and_none_break_the_law():
    with pytest.raises(LawBroken, match="deleting it is refused with `name_taken`"):
        refusal(3, "in_use", "deleting it", refuse, "name_taken")
    with pytest.raises(LawBroken, match="deleting it is not refused, expected `in_use`"):
        refusal(3, "in_use", "deleting it", len, "")


def test_what_is_no_refusal_goes_through():
    with pytest.raises(RuntimeError):
        verdict(crash)


def test_another_interpreter_hashes_in_its_own_way():
    assert anew(order_of_a_set, ("a", "b"), hash_seed=7) == anew(order_of_a_set, ("a", "b"), hash_seed=7)
    assert anew(order_of_a_set, ("a", "b"), hash_seed=7)[1] != anew(order_of_a_set, ("a", "b"), hash_seed=8)[1]


def test_an_interpreter_that_fails_proves_nothing():
    with pytest.raises(Untested, match="the pump has stopped"):
        anew(crash, hash_seed=1)
