"""Laws 1 to 5 and 8 while several processes call at the same time: some order of the calls explains every answer."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeAlias

from penstock.contract.run import RunRef, RunRequest
from penstock.targets.opened import OpenTargets
from penstock.testing.asking.directly import is_over, put, request, until
from penstock.testing.bench import Bench, executions
from penstock.testing.checking import Check, check
from penstock.testing.crowds.crowd import NAMES, Together, at_once
from penstock.testing.crowds.watched import Watched, explained, refused
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import variant
from penstock.testing.strategies.histories import Call
from penstock.testing.subject import Subject

_CROWD = NAMES[:3]

Chance: TypeAlias = random.Random
Draw: TypeAlias = Callable[[Chance, int], Call]
"""One call of a crowd's: drawn by chance, and by how many calls its process has made by then."""


@check(2, 1)
def everybody_publishes(bench: Bench) -> str | None:
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

    return refused(_explained(bench, "publishing", 12, length=4, draw=draw, after=after))


_MOST_MOVES = 32
"""More moves than the processes of a crowd make."""


@check(3)
def everybody_moves_the_default(bench: Bench) -> str | None:
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

    return refused(_explained(bench, "moving", 16, length=4, draw=draw, after=after))


@check(4)
def triggers_while_the_default_moves(bench: Bench) -> str | None:
    """Does each run run what was the default when it was accepted, when the default moves at the same time?"""

    def draw(chance: Chance, turn: int) -> Call:
        submit: Call = ("submit", {"ref": "one"})
        move: Call = ("set_default", {"endpoint": "one", "version": chance.choice("012")})
        return chance.choice([submit, submit, move, ("rollback", {"endpoint": "one"})] if turn else [submit, move])

    return refused(_explained(bench, "defaults", 6, length=4, draw=draw, after=Watched.finish_runs))


@check(5)
def triggers_while_gates_move(bench: Bench) -> str | None:
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

    return refused(_explained(bench, "gates", 6, length=4, draw=draw, after=Watched.finish_runs))


@check(5, needs=("penstock_cancel_run",))
def closing_ends_what_passed(bench: Bench) -> str | None:
    """Does a gate that closes and cancels get hold of every run that passed it, when triggers come at the same time?"""

    def draw(chance: Chance, turn: int) -> Call:
        if turn and chance.random() < 0.6:
            return "disable", {"ref": chance.choice(["one", "one@0", "probe:1@main"]), "cancel_runs": True}
        return "submit", {"ref": "one", "seconds": 600}

    def after(stage: Watched) -> None:
        for run in list(stage.player.runs):
            stage.ask("get", run=run)

    return refused(_explained(bench, "closing", 5, length=2, draw=draw, after=after))


@check(8)
def one_key_from_everybody(bench: Bench) -> str | None:
    """Is it one run, and one execution, when several processes trigger with the same idempotency key?"""
    marks = bench.counting()

    def draw(chance: Chance, turn: int) -> Call:
        key, depth = ("x", 3) if not turn else (chance.choice("xxy"), chance.choice([3, 3, 4]))
        marked = {} if marks is None else {"marks": str(marks)}
        submit: Call = ("submit", {"ref": "one", "key": key, "depth": depth, **marked})
        others: list[Call] = [("disable", {"ref": "one"}), ("enable", {"ref": "one"})]
        return chance.choice([submit, submit, *others]) if turn else submit

    stages = _explained(bench, "keys", 8, length=3, draw=draw, after=Watched.finish_runs)
    if marks is not None:
        runs = {run for stage in stages for run in stage.player.runs.values()}
        same(8, sum(executions(marks).values()), len(runs), "the number of executions of all runs together")
    return refused(stages)


@check(8)
def handed_over_by_everybody(bench: Bench) -> None:
    """Is a run started once when several processes hand it over to the target at the same time?"""
    marks = bench.counting()
    made = put(bench, variant(bench.subject.python, "a"))
    values = {} if marks is None else {"marks": str(marks)}
    requests = [request(made, **values) for _ in range(bench.profile.examples(8))]
    shares = [(bench.subject, requests)] * len(_CROWD)
    receipts = at_once(bench.subject, _hand_over, shares, patience=bench.profile.patience)
    for run, external, *others in zip(requests, *receipts, strict=True):
        same(8, others, [external] * len(others), f"what other processes are told that run {run.id} is called")
        ref = RunRef(id=run.id, publication=run.publication, external=external)
        until(bench, ref, is_over, law=8)
    if marks is not None:
        same(8, executions(marks), {"tell": len(requests)}, f"what {len(requests)} runs executed")


CHECKS: tuple[Check, ...] = (
    everybody_publishes,
    everybody_moves_the_default,
    triggers_while_the_default_moves,
    triggers_while_gates_move,
    closing_ends_what_passed,
    handed_over_by_everybody,
    one_key_from_everybody,
)
"""What is asked here."""


def _explained(
    bench: Bench, name: str, usual: int, *, length: int, draw: Draw, after: Callable[[Watched], None]
) -> list[Watched]:
    """Let so many crowds make calls that are drawn so, see `explained`."""
    chance = random.Random(f"{bench.seed} {name}")
    crowds = [tuple(_part(who, length, draw, chance) for who in _CROWD) for _ in range(bench.profile.examples(usual))]
    return explained(bench, crowds, after)


def _part(who: str, length: int, draw: Draw, chance: Chance) -> tuple[Call, ...]:
    """The calls of one process. Runs are named after it: no two processes mean different runs by one name."""
    calls = []
    for turn in range(length):
        verb, arguments = draw(chance, turn)
        named = {"run": f"{who}-{turn}"} if verb == "submit" else {}
        calls.append((verb, {**named, **arguments, "by": who}))
    return tuple(calls)


def _hand_over(together: Together, subject: Subject, requests: Sequence[RunRequest]) -> list[str]:
    """Submit every request at the hooks, each when all are ready to; answers what the target calls them."""
    place = OpenTargets(subject.config).open(subject.target)
    receipts = []
    for run in requests:
        together()
        receipts.append(place.operations.submit(place.target, run).external)
    return receipts
