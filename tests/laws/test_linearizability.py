"""The search for an order, on a model of one register and on numbers that are given out."""

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from laws.concurrency.linearizability import Observed, explain

from penstock.testing.laws import LawBroken


class Register:
    """A value that is read, written, moved by compare-and-set, and counted up."""

    def __init__(self, value=0):
        self.value = value

    def copy(self):
        return Register(self.value)

    def key(self):
        return self.value

    def check(self, verb, arguments, answer):
        expected = self.value
        if verb == "write":
            self.value, expected = arguments["value"], None
        elif verb == "move":
            expected = self.value == arguments["expect"]
            self.value = arguments["value"] if expected else self.value
        elif verb == "next":
            self.value += 1
        if answer != expected:
            raise LawBroken(2 if verb == "next" else 3, f"{expected} it is")


def call(process, verb, answer, started, ended, **arguments):
    return Observed(process=process, verb=verb, arguments=arguments, answer=answer, started=started, ended=ended)


def orders(calls):
    """Every order that the times allow, found the slow way."""
    for order in itertools.permutations(calls):
        if all(not later.ended < earlier.started for earlier, later in itertools.combinations(order, 2)):
            yield order


def explained(order):
    model = Register()
    try:
        for one in order:
            model.check(one.verb, one.arguments, one.answer)
    except LawBroken:
        return False
    return True


def test_calls_at_the_same_time_may_come_in_any_order():
    calls = [call("a", "next", 1, 0, 10), call("b", "next", 0, 5, 15), call("a", "read", 2, 16, 17)]
    assert [one.process for one in explain(calls, Register())] == ["b", "a", "a"]


def test_a_call_that_had_ended_comes_first():
    with pytest.raises(LawBroken) as caught:
        explain([call("a", "next", 1, 0, 4), call("b", "next", 0, 5, 15)], Register())
    assert caught.value.law == 2
    assert caught.value.message == "no order of all calls explains what a's `next` answered: 0 it is"


def test_a_number_given_twice_is_told_with_what_could_be_explained():
    calls = [call("a", "write", None, 0, 1, value=7), call("a", "next", 7, 2, 9), call("b", "next", 7, 2, 10)]
    with pytest.raises(LawBroken) as caught:
        explain(calls, Register())
    assert caught.value.law == 2
    assert caught.value.message == "no order of all calls explains what b's `next` answered: 8 it is"
    (note,) = caught.value.__notes__
    assert note.splitlines() == [
        "this order explains the first answers:",
        "  a: write(value=7) -> None",
        "  a: next() -> 7",
        "and then none of these fits:",
        "  b: next() -> 7",
        "    law 2: 8 it is",
    ]


def test_who_fits_nowhere_is_to_blame_not_who_waits_for_it():
    calls = [call("a", "next", 0, 0, 20), call("b", "next", 0, 1, 22), call("c", "read", 2, 1, 21)]
    with pytest.raises(LawBroken) as caught:
        explain(calls, Register())
    assert caught.value.law == 3, "nothing ever reads 2 when only one of the two counts"
    calls[2] = call("c", "read", 1, 1, 21)
    with pytest.raises(LawBroken) as caught:
        explain(calls, Register())
    assert caught.value.law == 2


def test_a_long_answer_is_cut_where_it_is_explained_and_whole_where_it_is_not():
    calls = [call("a", "write", None, 0, 1, value="y" * 5000), call("a", "read", "x" * 5000, 2, 3)]
    with pytest.raises(LawBroken) as caught:
        explain(calls, Register())
    first, last = caught.value.__notes__[0].split("and then none of these fits:")
    assert len(first) < 400
    assert "x" * 5000 in last


def test_the_model_is_not_touched_and_nothing_is_explained_by_nothing():
    model = Register(3)
    assert explain([], model) == []
    explain([call("a", "next", 3, 0, 1)], model)
    assert model.value == 3


@st.composite
def histories(draw):
    calls = []
    for process in "abc"[: draw(st.integers(2, 3))]:
        at = 0
        for _ in range(draw(st.integers(1, 2))):
            started = at + draw(st.integers(1, 4))
            at = started + draw(st.integers(0, 4))
            verb = draw(st.sampled_from(["read", "next", "move", "write"]))
            small = st.integers(0, 2)
            answer = draw({"move": st.booleans(), "write": st.none()}.get(verb, small))
            arguments = {"write": {"value": 1}, "move": {"expect": draw(small), "value": draw(small)}}.get(verb, {})
            calls.append(call(process, verb, answer, started, at, **arguments))
    return calls


@given(histories())
def test_an_order_is_found_exactly_when_there_is_one(calls):
    possible = [order for order in orders(calls) if explained(order)]
    try:
        found = tuple(explain(calls, Register()))
    except LawBroken:
        assert not possible
    else:
        assert found in possible


def crowd_of_counters(seed, size=4, length=25):
    """What processes see of a register that works, with times that overlap."""
    chance = random.Random(seed)
    model, calls, clock = Register(), [], [0] * size
    for _ in range(size * length):
        process = min(range(size), key=lambda one: clock[one])
        at = max(max(clock) - 5, clock[process] + 1) if chance.random() < 0.5 else clock[process] + 1
        moment = at + chance.randint(0, 6)
        calls.append((moment, process, at))
        clock[process] = moment + 1
    seen = []
    for moment, process, at in sorted(calls):
        verb = chance.choice(["read", "next", "write", "move"])
        arguments = {"write": {"value": 0}, "move": {"expect": chance.randint(0, 3), "value": 0}}.get(verb, {})
        before = model.value
        answer = {"write": None, "move": before == arguments.get("expect")}.get(verb, before)
        model.check(verb, arguments, answer)
        seen.append(call(f"p{process}", verb, answer, at, moment, **arguments))
    return seen


@pytest.mark.parametrize("seed", range(5))
def test_a_long_history_of_four_is_searched_at_once(seed):
    calls = crowd_of_counters(seed)
    started = time.process_time()
    assert len(explain(calls, Register())) == 100
    last = max(calls, key=lambda one: one.ended)
    calls.append(call("p0", "read", 77, last.ended + 1, last.ended + 2))
    with pytest.raises(LawBroken):
        explain(calls, Register())
    assert time.process_time() - started < 20, "it tries every order instead of every state"
