"""Law 13 for endpoints that everybody may trigger: of the caller nothing is known, and nothing else is opened to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from laws.asked import DoorHarness
from laws.concurrency.watched import triggers_passed
from laws.doors import ANYBODY, DOORS
from laws.error_codes import code_of
from laws.facts import Reader
from laws.marks import over_http

from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same

pytestmark = over_http

_TURNS, _CALLERS = 20, 3
"""How often the access turns at the least while so many trigger."""


def test_public_is_its_triggers_and_nothing_else(harness):
    """Does everybody trigger what is public, as nobody, and get at nothing else, nor at what others did there?"""
    with _two(harness) as (ws, anybody):
        submit = anybody.runs.submit
        _refused("a trigger of what is private", submit, "one")
        ws.endpoints.access("one", "public")
        run = submit("one").run
        same(13, (run.by, run.verified), (ANYBODY, False), "who triggered what is public")
        for what, call in (
            ("a trigger of another endpoint", partial(submit, "two")),
            ("a trigger of what is not there", partial(submit, "three")),
            ("a trigger of what it publishes", partial(submit, run.published)),
            ("a look at it", partial(anybody.endpoints.get, "one")),
            ("a look at its run", partial(anybody.runs.get, run.id)),
            ("its outputs", partial(anybody.runs.outputs, run.id)),
            ("a cancel", partial(anybody.runs.cancel, run.id)),
            ("a rerun", partial(anybody.runs.rerun, run.id)),
            ("all runs", anybody.runs.list),
            ("closing it", partial(anybody.endpoints.disable, "one")),
            ("opening another", partial(anybody.endpoints.access, "two", "public")),
        ):
            _refused(f"{what} by who is not known", call)
        known, mine = (one.runs.submit("one", idempotency_key="k").run.id for one in (ws, anybody))
        require(13, known != mine, "who is not known got the run of who is, by its key")
        same(13, submit("one", idempotency_key="k").run.id, mine, "the run of a key of who is not known")
        ws.endpoints.rename("one", "three")
        _refused("a trigger by the old name", submit, "one")
        submit("three")
        for one in ws.runs.list().items:
            harness.wait(ws, one.id, 13)
        ws.endpoints.access("three", "private")
        _refused("a repeat of what is private by now", submit, "three", idempotency_key="k")
        ws.endpoints.access("three", "public")
        ws.endpoints.delete("three")
        ws.endpoints.create("three", str(run.published))
        _refused("a trigger of a successor of the same name", submit, "three")


def test_public_is_decided_with_the_acceptance(harness):
    """Is no run accepted of who is not known when the endpoint was private by then, however often that turns?"""
    registry, done = harness.new_registry(), threading.Event()
    open_door = partial(DOORS[harness.door], harness.subject, registry)

    def trigger(_: int) -> int:
        refused = 0
        with open_door(actor=ANYBODY) as anybody:
            while not done.is_set():
                refused += code_of(anybody.runs.submit, "one") == "not_authenticated"
        return refused

    with open_door() as ws:
        set_up(harness, ws, "a", endpoint="one")
        with ThreadPoolExecutor(_CALLERS) as pool:
            triggering = pool.map(trigger, range(_CALLERS))
            for number in range(2 * _TURNS):
                ws.endpoints.access("one", "private" if number % 2 else "public")
                time.sleep(0.004)
            done.set()
            refused = sum(triggering)
        read = Reader(harness.subject.target, harness.subject.other)
        triggers_passed([read.row(row) for row in ws.admin.history(runs=True, limit=100_000).items[::-1]])
        met = (bool(ws.runs.list().items), refused > 0)
        same(13, met, (True, True), "whether it was met public, and private")


@contextmanager
def _two(harness: DoorHarness) -> Iterator[tuple[Any, Any]]:
    """Endpoints `one` and `two` behind a door, for who is known and for who is not."""
    registry, door = harness.new_registry(), DOORS[harness.door]
    with door(harness.subject, registry) as ws, door(harness.subject, registry, actor=ANYBODY) as anybody:
        for word, endpoint in (("a", "one"), ("b", "two")):
            set_up(harness, ws, word, endpoint=endpoint)
        yield ws, anybody


def _refused(what: str, call: Any, *arguments: Any, **named: Any) -> None:
    found = code_of(call, *arguments, **named)
    same(13, found, "not_authenticated", f"the refusal of {what}")
