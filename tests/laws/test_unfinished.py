"""Law 6 for a server that takes so many unfinished runs of an endpoint: one more is refused, whoever asks and races."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from laws.asked import DoorHarness
from laws.doors import ANYBODY, DOORS
from laws.doors.serving import Server
from laws.error_codes import code_of
from laws.marks import over_http

from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import same

pytestmark = over_http

_MOST = 3
_CALLERS, _EACH = 8, 3
_FULL = "unfinished_limit"


def test_so_many_unfinished_runs_and_no_more(harness):
    """Is a trigger refused when its endpoint has as many unfinished runs as it may, and only then?"""
    with (
        _limited(harness) as (first_door, second_door),
        first_door() as ws,
        second_door(actor="bob") as bob,
        second_door(actor=ANYBODY) as anybody,
    ):
        ws.endpoints.access("one", "public")
        first = ws.runs.submit("one", idempotency_key="k").run
        runs = [first, *(who.runs.submit("one").run for who in (bob, anybody))]
        for what, call in (
            ("the default", partial(ws.runs.submit, "one")),
            ("a version", partial(ws.runs.submit, "one", version="1")),
            ("somebody else", partial(bob.runs.submit, "one")),
            ("somebody who is not known", partial(anybody.runs.submit, "one")),
            ("a rerun", partial(ws.runs.rerun, first.id)),
        ):
            same(6, code_of(call), _FULL, f"the refusal of {what}, with {_MOST} unfinished runs")
        wrong = partial(ws.runs.submit, "one", parameters={"depth": 99})
        same(6, code_of(wrong), "parameter_invalid", "what is said first of a trigger that is wrong")
        again = partial(ws.runs.submit, "one", idempotency_key="k")
        same(6, code_of(again) or again().run.id, first.id, "a repeat, which is no other run")
        for what, ref in (("another endpoint", "two"), ("what is published", f"{first.pipeline}:{first.label}")):
            same(6, code_of(partial(ws.runs.submit, ref)), "", f"the refusal of {what}, which has no such run")
        reply = ws.send("POST", "/v1/endpoints/one/runs", {})
        told = (reply.status, int(reply.headers.get("retry-after", 0)) > 0)
        same(6, told, (429, True), "the status of such a refusal, and whether it says when to try again")
        ws.runs.cancel(runs[1].id)
        room = [code_of(ws.runs.submit, "one") for _ in range(2)]
        same(6, room, ["", _FULL], "two triggers after one run has ended")


def test_however_many_race_for_what_is_left(harness):
    """Are so many runs accepted and no more when many callers trigger an endpoint through two servers at once?"""
    with _limited(harness) as doors, ThreadPoolExecutor(_CALLERS) as pool:

        def ask(number: int) -> list[str]:
            with doors[number % 2](actor=f"caller {number}") as ws:
                return [code_of(ws.runs.submit, "one") for _ in range(_EACH)]

        codes = [code for found in pool.map(ask, range(_CALLERS)) for code in found]
    expected = [""] * _MOST + [_FULL] * (_CALLERS * _EACH - _MOST)
    same(6, sorted(codes), expected, f"what {len(codes)} triggers at once are answered")


@contextmanager
def _limited(harness: DoorHarness) -> Iterator[list[Callable[..., Any]]]:
    """What opens doors to two servers that hand nothing over and take so many unfinished runs of an endpoint."""
    registry = harness.new_registry()
    file = harness.subject.config.home / f"{registry}.db"
    with harness.subject.open(registry) as ws:
        for word in "ab":
            set_up(harness, ws, word, endpoint="one")
        set_up(harness, ws, "a", endpoint="two")
    limit = {"PENSTOCK_SERVER_MAX_UNFINISHED_RUNS": str(_MOST)}
    servers = [Server.start(harness.subject, file, "--no-dispatch", environment=limit) for _ in range(2)]
    try:
        yield [partial(DOORS[harness.door], harness.subject, registry, server=server) for server in servers]
    finally:
        for server in servers:
            server.end()
