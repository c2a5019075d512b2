"""Laws 4, 5 and 12 for several servers with a dispatcher each on one registry: together they do what one would."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from laws.concurrency.watched import triggers_passed
from laws.doors import DOORS
from laws.doors.handing import FILE, hand_overs
from laws.doors.serving import Server
from laws.facts import Reader

from penstock.errors import GateClosed
from penstock.records import RunRecord
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same

pytestmark = pytest.mark.doors("http")

_PAUSE = 0.001
"""Seconds after a closed gate for each who calls: a refusal is quick, and what moves the gate needs its turn too."""


@frozen
class _Size:
    """How many servers there are, how many call at once, how many runs each starts at the least, and how often default
    and gate move meanwhile, at the least; `longest` is in seconds.
    """

    servers: int
    callers: int
    runs: int
    turns: int
    longest: float


_FEW = _Size(servers=2, callers=4, runs=30, turns=24, longest=60.0)
_MANY = _Size(servers=4, callers=16, runs=313, turns=100, longest=600.0)


@frozen
class _Told:
    """What a trigger was answered, None for a closed gate, and between which moments."""

    run: RunRecord | None
    began: int
    ended: int


@frozen
class _Moved:
    """To what something was moved, and between which moments."""

    to: str
    began: int
    ended: int


def test_servers_share_a_registry(harness):
    """Does no trigger of several servers pass a closed gate or miss the default, and is each run handed over once?"""
    _shared(harness, _FEW)


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.timeout(900)
def test_many_servers_share_a_registry(harness):
    """The same of more servers and thousands of triggers."""
    _shared(harness, _MANY)


def _shared(harness: Any, size: _Size) -> None:
    registry = harness.new_registry()
    file = harness.subject.config.home / f"{registry}.db"
    noted = harness.folder / f"{registry}.hand-overs"
    with harness.subject.open(registry) as ws:
        for word in "ab":
            set_up(harness, ws, word, endpoint="one")
    subject = evolve(harness.subject, prepare=(*harness.subject.prepare, "laws.doors.handing:noted"))
    servers = [Server.start(subject, file, environment={FILE: str(noted)}) for _ in range(size.servers)]
    try:
        triggers, moves, gates = _everything_at_once(harness, registry, servers, size)
        with DOORS["http"](harness.subject, registry, server=servers[0]) as ws:
            accepted = {one.run.id: one for one in triggers if one.run is not None}
            rows = ws.admin.history(runs=True, limit=100_000).items[::-1]
            read = Reader(harness.subject.target, harness.subject.other)
            triggers_passed([read.row(row) for row in rows])
            noted_down = [(row.subject_id, row.to) for row in rows if row.action == "run_accepted"]
            told = [(one.run.id, f"one@{one.run.version}") for one in triggers if one.run is not None]
            same(4, sorted(noted_down), sorted(told), "what the history has of the runs, and what callers were told")
            known = [run.id for run in ws.runs.list(limit=100_000).items]
            same(12, sorted(known), sorted(accepted), f"the runs, when {size.servers} servers were asked for them")
            for run in sorted(accepted, key=known.index, reverse=True):
                ended = harness.wait(ws, run)
                same(4, ended.outputs.get("which"), "ab"[int(ended.version or 0)], "what ran of a version")
            require(12, ws.admin.check().ok, "the registry is not sound")
    finally:
        for server in servers:
            server.end()
    _judged_by_the_clock(triggers, moves, gates)
    _handed_over_once(noted, set(accepted))
    refused = sum(one.run is None for one in triggers)
    versions = {one.run.version for one in triggers if one.run is not None}
    found = (refused > 0, versions)
    same(5, found, (True, {"0", "1"}), f"whether a gate was met closed and which versions ran, of {len(triggers)}")


def _everything_at_once(
    harness: Any, registry: str, servers: list[Server], size: _Size
) -> tuple[list[_Told], list[_Moved], list[_Moved]]:
    """Trigger through all servers while the default moves by one of them and the gate by the other."""
    done, moves, gates = threading.Event(), list[_Moved](), list[_Moved]()
    deadline = time.monotonic() + size.longest

    def open_on(number: int) -> Any:
        return DOORS["http"](harness.subject, registry, actor=f"caller {number}", server=servers[number % size.servers])

    def trigger(number: int) -> list[_Told]:
        found, started = list[_Told](), 0
        with open_on(number) as ws:
            while started < size.runs or min(len(moves), len(gates)) < size.turns:
                require(12, time.monotonic() < deadline, "servers that share a registry get nowhere")
                found.append(_told(ws))
                if found[-1].run is None:
                    time.sleep(_PAUSE * size.callers)
                else:
                    started += 1
        return found

    def move(number: int, found: list[_Moved], to: tuple[str, str], call: Callable[[Any, str], object]) -> None:
        with open_on(number) as ws:
            for target in itertools.cycle(to):
                began = time.monotonic_ns()
                call(ws, target)
                found.append(_Moved(target, began, time.monotonic_ns()))
                if done.wait(0.013 * (1 + number % 2)) and target == to[1]:
                    return

    def turn(ws: Any, to: str) -> None:
        (ws.endpoints.disable if to == "closed" else ws.endpoints.enable)("one")

    with ThreadPoolExecutor(size.callers + 2) as pool:
        moving = pool.submit(move, 100, moves, ("1", "0"), lambda ws, to: ws.endpoints.set_default("one", to))
        flapping = pool.submit(move, 101, gates, ("closed", "open"), turn)
        try:
            triggers = [one for each in pool.map(trigger, range(size.callers)) for one in each]
        finally:
            done.set()
        moving.result()
        flapping.result()
    return triggers, moves, gates


def _told(ws: Any) -> _Told:
    began = time.monotonic_ns()
    try:
        run = ws.runs.submit("one").run
    except GateClosed as refused:
        same(5, refused.code, "endpoint_disabled", "the code of a trigger that a closed endpoint refused")
        run = None
    return _Told(run, began, time.monotonic_ns())


def _judged_by_the_clock(triggers: list[_Told], moves: list[_Moved], gates: list[_Moved]) -> None:
    """Hold every answer against what callers can know: what had been answered before it was asked stands until
    something else is asked for.
    """
    for one in triggers:
        possible = _possible(one, moves, "0")
        gate = _possible(one, gates, "open")
        if one.run is None:
            require(5, "closed" in gate, "a trigger is refused by a gate that was open all the time")
        else:
            same(4, one.run.resolved_from, "default", "how a trigger without a version was resolved")
            require(5, "open" in gate, f"run {one.run.id} was accepted through a gate that was closed all the time")
            told = f"run {one.run.id} took version {one.run.version} for the default, which was {sorted(possible)}"
            require(4, one.run.version in possible, told)


def _possible(one: _Told, moves: list[_Moved], first: str) -> set[str]:
    """Every state that there may have been while a trigger was decided."""
    before = [first, *(move.to for move in moves if move.ended < one.began)][-1]
    return {before, *(move.to for move in moves if move.ended >= one.began and move.began <= one.ended)}


def _handed_over_once(noted: Path, accepted: set[str]) -> None:
    """Hold that each run was handed over once, and so by one server alone."""
    found = hand_overs(noted)
    same(12, set(found), accepted, "the runs that were handed over")
    again = {run: times for run, times in found.items() if len(times) > 1}
    same(12, again, {}, "the runs that were handed over more than once, although nothing went wrong")
