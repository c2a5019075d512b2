"""Laws 1 to 5 and 8 while several processes call at the same time: some order of the calls explains every answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TypeAlias

import pytest
from laws.asked import DoorHarness
from laws.concurrency.clients import NAMES
from laws.concurrency.watched import Watched, explained, refused
from laws.marks import SHARES, at_one_moment, python_only
from laws.strategies import Call

from penstock.testing.harness import executions
from penstock.testing.laws import same

pytestmark = [at_one_moment, pytest.mark.thorough]

_CLIENTS = NAMES[:3]

Chance: TypeAlias = random.Random
Draw: TypeAlias = Callable[[Chance, int], Call]
"""One call of a group's: drawn by chance, and by how many calls its process has made by then."""


@python_only
def test_everybody_publishes(harness):
    """Do labels and versions count without a gap or a repeat when several processes publish and add at once?"""

    def draw(chance: Chance, turn: int) -> Call:
        which, endpoint = chance.choice("cdefgh"), chance.choice(["one", "one", "two"])
        target, default = chance.choice(["main", "main", "other"]), chance.random() < 0.2
        put_behind: Call = (
            "publish",
            {"variant": which, "target": target, "endpoint": endpoint, "default": default},
        )
        others: list[Call] = [
            ("publish", {"variant": which, "target": target}),
            ("publish", {"variant": which, "label": chance.choice("345")}),
            ("add_version", {"endpoint": "one", "published": f"probe:{chance.randint(1, 6)}@{target}"}),
            ("create_endpoint", {"endpoint": "two", "published": "probe:1@main"}),
            ("endpoint", {"endpoint": endpoint}),
        ]
        return chance.choice([put_behind, put_behind, *others]) if turn else put_behind

    def after(stage: Watched) -> None:
        stage.ask("endpoints", all=True)
        stage.ask("published", all=True)

    refused(_explained(harness, "publishing", 12, length=4, draw=draw, after=after))


_MOST_MOVES = 32
"""More moves than the processes of a group make."""


def test_everybody_moves_the_default(harness):
    """Do moves, moves with an expectation and rollbacks make one stack when several processes make them at once?"""

    def draw(chance: Chance, turn: int) -> Call:
        expect = chance.choice([None, "0", "1", "2"]) if turn else chance.choice([None, "0", "0", "0"])
        move: Call = ("set_default", {"endpoint": "one", "version": chance.choice("012"), "expect": expect})
        back: Call = ("rollback", {"endpoint": "one", "expect": chance.choice([None, expect])})
        return chance.choice([move, move, move, back, back, ("endpoint", {"endpoint": "one"})]) if turn else move

    def after(stage: Watched) -> None:
        for _ in range(_MOST_MOVES):  # a stack without an end is what no order explains
            if "refused" in stage.ask("rollback", endpoint="one"):
                break

    refused(_explained(harness, "moving", 16, length=4, draw=draw, after=after))


def test_triggers_while_the_default_moves(harness):
    """Does each run run what was the default when it was accepted, when the default moves at the same time?"""

    def draw(chance: Chance, turn: int) -> Call:
        submit: Call = ("submit", {"ref": "one"})
        move: Call = ("set_default", {"endpoint": "one", "version": chance.choice("012")})
        return chance.choice([submit, submit, move, ("rollback", {"endpoint": "one"})] if turn else [submit, move])

    refused(_explained(harness, "defaults", 6, length=4, draw=draw, after=Watched.finish_runs))


def test_triggers_while_gates_move(harness):
    """Does no trigger pass a closed gate, and no other gate let it through, when gates move at the same time?"""

    def draw(chance: Chance, turn: int) -> Call:
        gate = chance.choice(["one", "one", "one@0", "one@1", "probe:1@main"])
        default: Call = ("submit", {"ref": "one"})
        close: Call = ("disable", {"ref": gate, "reason": "a test"})
        others: list[Call] = [
            ("submit", {"ref": chance.choice(["one@1", "probe:1@main"])}),
            ("submit", {"ref": "one", "depth": chance.randint(0, 9)}),
            ("enable", {"ref": gate}),
            ("set_default", {"endpoint": "one", "version": chance.choice("012")}),
        ]
        return chance.choice([default, close, *others] if turn else [default, close])

    refused(_explained(harness, "gates", 10, length=4, draw=draw, after=Watched.finish_runs))


def test_closing_ends_what_passed(harness):
    """Does a gate that closes and cancels get hold of every run that passed it, when triggers come at the same time?"""

    def draw(chance: Chance, turn: int) -> Call:
        if turn and chance.random() < 0.6:
            return "disable", {"ref": chance.choice(["one", "one@0", "probe:1@main"]), "cancel_runs": True}
        return "submit", {"ref": "one", "seconds": 600}

    def after(stage: Watched) -> None:
        for run in list(stage.player.runs):
            stage.ask("get", run=run)

    refused(_explained(harness, "closing", 5, length=2, draw=draw, after=after))


def test_one_key_from_everybody(harness):
    """Is it one run, and one execution, when several processes trigger with the same idempotency key?"""
    marks = harness.counting()

    def draw(chance: Chance, turn: int) -> Call:
        key, depth = ("x", 3) if not turn else (chance.choice("xxy"), chance.choice([3, 3, 4]))
        marked = {} if marks is None else {"marks": str(marks)}
        submit: Call = ("submit", {"ref": "one", "key": key, "depth": depth, **marked})
        others: list[Call] = [("disable", {"ref": "one"}), ("enable", {"ref": "one"})]
        return chance.choice([submit, submit, *others]) if turn else submit

    stages = _explained(harness, "keys", 8, length=3, draw=draw, after=Watched.finish_runs)
    if marks is not None:
        runs = {run for stage in stages for run in stage.player.runs.values()}
        same(8, sum(executions(marks).values()), len(runs), "the number of executions of all runs together")
    refused(stages)


def _explained(
    harness: DoorHarness, name: str, usual: int, *, length: int, draw: Draw, after: Callable[[Watched], None]
) -> list[Watched]:
    """Let so many groups make calls that are drawn so, see `explained`."""
    chance = random.Random(f"{harness.seed} {name}")
    some = harness.profile.examples(round(usual * SHARES[harness.door]))
    groups = [tuple(_part(who, length, draw, chance) for who in _CLIENTS) for _ in range(some)]
    return explained(harness, groups, after)


def _part(who: str, length: int, draw: Draw, chance: Chance) -> tuple[Call, ...]:
    """The calls of one process. Runs are named after it: no two processes mean different runs by one name."""
    calls = []
    for turn in range(length):
        verb, arguments = draw(chance, turn)
        named = {"run": f"{who}-{turn}"} if verb == "submit" else {}
        calls.append((verb, {**named, **arguments, "by": who}))
    return tuple(calls)
