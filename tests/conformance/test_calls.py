"""Calls that must be refused, and calls that another interpreter makes."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from laws.error_codes import code_of, refusal

from penstock.errors import Conflict
from penstock.testing.laws import LawBroken, Untested
from penstock.testing.processes.fresh_interpreter import in_fresh_interpreter
from penstock.testing.processes.subprocesses import Died


def refuse(code):
    raise Conflict("no", code=code)


def order_of_a_set(words):
    return os.environ["PYTHONHASHSEED"], [hash(word) for word in words]


def crash():
    raise RuntimeError("the pump has stopped")


class Unspeakable(Exception):
    """What cannot be pickled."""

    def __reduce__(self):
        raise TypeError("not this one")


def speechless():
    raise Unspeakable("no words")


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_refusal_is_known_by_its_code():
    assert code_of(refuse, "in_use") == "in_use"
    assert code_of(len, "in_use") == ""
    assert refusal(3, "in_use", "deleting it", refuse, "in_use") == "no"


def test_another_refusal_and_none_break_the_law():
    with pytest.raises(LawBroken, match="deleting it is refused with `name_taken`"):
        refusal(3, "in_use", "deleting it", refuse, "name_taken")
    with pytest.raises(LawBroken, match="deleting it is not refused, expected `in_use`"):
        refusal(3, "in_use", "deleting it", len, "")


def test_what_is_no_refusal_goes_through():
    with pytest.raises(RuntimeError):
        code_of(crash)


@pytest.mark.thorough
def test_another_interpreter_hashes_in_its_own_way():
    assert in_fresh_interpreter(order_of_a_set, ("a", "b"), hash_seed=7) == in_fresh_interpreter(
        order_of_a_set, ("a", "b"), hash_seed=7
    )
    assert (
        in_fresh_interpreter(order_of_a_set, ("a", "b"), hash_seed=7)[1]
        != in_fresh_interpreter(order_of_a_set, ("a", "b"), hash_seed=8)[1]
    )


@pytest.mark.thorough
def test_what_fails_in_another_interpreter_is_raised_as_what_it_is():
    with pytest.raises(RuntimeError, match="the pump has stopped"):
        in_fresh_interpreter(crash, hash_seed=1)
    with pytest.raises(Conflict, match="no") as met:
        in_fresh_interpreter(refuse, "in_use", hash_seed=1)
    assert met.value.code == "in_use"
    with pytest.raises(RuntimeError, match="Unspeakable: no words"):
        in_fresh_interpreter(speechless, hash_seed=1)
    with pytest.raises(Died, match="killed by signal 9"):
        in_fresh_interpreter(killed, hash_seed=1)


def test_an_interpreter_that_cannot_start_proves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Untested, match="cannot be started: No such file"):
        in_fresh_interpreter(crash, hash_seed=1)
    monkeypatch.setattr(sys, "executable", "false")
    with pytest.raises(Untested, match="cannot be started: it said nothing"):
        in_fresh_interpreter(crash, hash_seed=1)
