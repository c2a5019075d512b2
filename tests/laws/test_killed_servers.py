"""Laws 4, 8 and 12 for servers: `kill -9` at any moment, and nothing that was accepted is lost, doubled or another."""

from __future__ import annotations

import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, field, frozen
from laws.asked import DoorHarness
from laws.doors import DOORS
from laws.doors.dying import ARMED, AT
from laws.doors.http import Http
from laws.doors.serving import Server
from laws.marks import over_http

from penstock.testing.harness import executions
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same
from penstock.workspace import Submitted

pytestmark = [over_http, pytest.mark.thorough]

_EVERY = {"http": 1, "azureml_v1": 5}
"""Of the steps of a server, each so manieth is one that it dies at: they are the same whatever the door."""
_LEAST, _MOST = 20, 60
"""How many steps a trigger and its hand-over take at the least, and how many there may be."""
_AT_ONCE = 4
_DIED = (HTTPException, OSError)
"""What a caller sees of a server that is no more."""


def test_the_default_of_acceptance_outlives_the_server(harness):
    """Does a run that waits run what was the default, when its server died meanwhile and the default moved?"""
    base = _base(harness)
    file, registry = base.copy(), base.copied
    server = Server.start(harness.subject, file, "--no-dispatch")
    with DOORS[harness.door](harness.subject, registry, server=server) as ws:
        asked = [ws.runs.submit("one", idempotency_key=f"key {number}").run for number in range(3)]
        same(4, [(run.state, run.version) for run in asked], [("queued", "0")] * 3, "runs that nobody hands over")
        ws.endpoints.set_default("one", "1")
        later = ws.runs.submit("one").run
    server.end(signal.SIGKILL)
    server = Server.start(harness.subject, file)
    try:
        with DOORS[harness.door](harness.subject, registry, server=server) as ws:
            for run, version, word in (*((run, "0", "a") for run in asked), (later, "1", "b")):
                ended = harness.wait(ws, run.id, 12)
                same(4, (ended.version, ended.outputs.get("which")), (version, word), "what ran after the server died")
            same(8, ws.runs.submit("one", idempotency_key="key 0").run.id, asked[0].id, "the run of a key after that")
    finally:
        server.end()


def test_nothing_is_lost_wherever_the_server_is_killed(harness):
    """Is a trigger under a key one run, which runs once, whichever step of its server was the last?"""
    base, every = _base(harness), _EVERY[harness.door]
    came_to_its_end = threading.Event()

    def ask(step: int) -> bool:
        """Let a server die at a step; answers whether it did."""
        return not came_to_its_end.is_set() and _killed_at(harness, base, step, came_to_its_end)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        died = list(pool.map(ask, range(1, _MOST, every)))
    require(12, sum(died) >= _LEAST // every, f"only {sum(died)} steps of a server were met")
    harness.tell(f"killed at {sum(died)} steps")


@pytest.mark.doors("http")
def test_nothing_is_lost_whenever_the_server_is_killed(harness):
    """Is every trigger that is repeated until it is answered one run, which runs once, while servers are killed?"""
    base, chance = _base(harness), random.Random(harness.seed)
    file, registry, marks = base.copy(), base.copied, harness.marks()
    subject = evolve(harness.subject, prepare=(*harness.subject.prepare, "laws.doors.dying:leases_are_short"))
    server, done = [Server.start(subject, file)], threading.Event()
    told: dict[str, str] = {}

    def kill() -> int:
        kills = 0
        while not done.wait(chance.uniform(0.02, 0.3)):
            server[0].end(signal.SIGKILL)
            server[0] = Server.start(subject, file)
            kills += 1
        return kills

    def trigger(who: int) -> None:
        for number in range(12):
            key = f"{who}-{number}"
            asked = {"parameters": {"marks": str(marks)}, "idempotency_key": key}
            told[key] = _until_answered(harness, registry, lambda: server[0], asked).run.id
            time.sleep(0.03)

    try:
        with ThreadPoolExecutor(4) as pool:
            killing = pool.submit(kill)
            for each in [pool.submit(trigger, who) for who in range(3)]:
                each.result()
            done.set()
            kills = killing.result()
        with DOORS[harness.door](subject, registry, server=server[0]) as ws:
            runs = {run.idempotency_key: run.id for run in ws.runs.list(limit=1000).items}
            same(12, runs, told, f"the runs by their keys after a server was killed {kills} times")
            for run in runs.values():
                same(12, harness.wait(ws, run).state, "succeeded", "the end of a run")
            require(12, ws.admin.check().ok, "the registry is not sound")
        same(12, executions(marks), {"tell": len(told)}, f"what {len(told)} runs executed")
        require(12, kills >= 2, f"the server was killed {kills} times only")
    finally:
        done.set()
        server[0].end()


@frozen
class _Base:
    """A registry with an endpoint `one` of two versions, to be copied."""

    harness: DoorHarness
    file: Path
    names: list[str] = field(factory=list)

    def copy(self) -> Path:
        """A copy of its own; `copied` is how it is called."""
        name = self.harness.new_registry()
        self.names.append(name)
        to = self.file.with_name(f"{name}.db")
        shutil.copy(self.file, to)
        return to

    @property
    def copied(self) -> str:
        """The name of the last copy."""
        return self.names[-1]


def _base(harness: DoorHarness) -> _Base:
    name = harness.new_registry()
    with harness.subject.open(name) as ws:
        for word in "ab":
            set_up(harness, ws, word, endpoint="one")
        ws.admin.check()
    return _Base(harness, harness.subject.config.home / f"{name}.db")


def _killed_at(harness: DoorHarness, base: _Base, step: int, came_to_its_end: threading.Event) -> bool:
    """Trigger under a key at a server that dies at a step, again at another, and judge; answers whether it died."""
    with _COPYING:
        file, registry, marks = base.copy(), base.copied, harness.marks()
    armed = file.with_suffix(".armed")
    faults = ("laws.doors.dying:leases_are_short", "laws.doors.dying:dies")
    subject = evolve(harness.subject, prepare=(*harness.subject.prepare, *faults))
    asked = {"parameters": {"marks": str(marks)}, "idempotency_key": "the intent"}
    told: list[str] = []

    def trigger(ws: Http) -> Submitted:
        return ws.runs.submit("one", **asked)

    server = Server.start(subject, file, environment={AT: str(step), ARMED: str(armed)})
    try:
        with DOORS[harness.door](harness.subject, registry, server=server) as ws:
            ws.runs.list()
            armed.touch()
            told.append(trigger(ws).run.id)
            ws.runs.wait(told[0], timeout=harness.profile.patience)
        came_to_its_end.set()
        died = False
    except _DIED:
        died = True
    finally:
        server.end(signal.SIGKILL)
    server = Server.start(evolve(subject, prepare=(*harness.subject.prepare, faults[0])), file)
    try:
        when = f"after a kill at step {step}"
        with DOORS[harness.door](harness.subject, registry, server=server) as ws:
            known = [run.id for run in ws.runs.list().items]
            require(
                12, set(told) <= set(known), f"run {told} was accepted and is not there, after a kill at step {step}"
            )
            require(8, len(known) <= 1, f"one request made {len(known)} runs, {when}")
            again = trigger(ws).run.id
            same(8, [run.id for run in ws.runs.list().items], known or [again], f"the runs, {when}")
            ended = harness.wait(ws, again)
            same(12, (ended.state, ended.version), ("succeeded", "0"), f"the run, {when}")
            require(12, ws.admin.check().ok, f"the registry is not sound, {when}")
    finally:
        server.end()
    same(12, executions(marks), {"tell": 1}, f"what was executed, after a kill at step {step}")
    return died


_COPYING = threading.Lock()


def _until_answered(
    harness: DoorHarness, registry: str, server: Callable[[], Server], asked: Mapping[str, Any]
) -> Submitted:
    """Trigger again until a server lives long enough to answer it."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with DOORS[harness.door](harness.subject, registry, server=server()) as ws:
                submitted: Submitted = ws.runs.submit("one", **asked)
                return submitted
        except _DIED:
            require(12, time.monotonic() < deadline, "no server answered for a minute")
            time.sleep(0.02)
