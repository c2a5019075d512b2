"""Law 8 for callers that send no key: in an endpoint's deduplication window the same request is the same run."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import partial

from laws.doors import DOORS
from laws.marks import over_http

from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import require, same

pytestmark = over_http


def test_the_same_request_in_a_window_is_the_same_run(harness):
    """Is the same request in an endpoint's window the same run, and another request, or elsewhere, another one?"""
    registry, door = harness.new_registry(), DOORS[harness.door]
    with door(harness.subject, registry) as ws, door(harness.subject, registry, actor="bob") as bob:
        a = set_up(harness, ws, "a", endpoint="one")
        set_up(harness, ws, "b", endpoint="one")
        ws.endpoints.create("two", a.id)
        for endpoint in ("one", "two"):
            ws.endpoints.deduplicate(endpoint, 3600)
        requests = {
            "the default": ("one", {}),
            "the version that is the default": ("one", {"version": "0"}),
            "another version": ("one", {"version": "1"}),
            "another value": ("one", {"parameters": {"depth": 4}}),
            "another experiment": ("one", {"experiment": "trees"}),
            "another endpoint": ("two", {}),
        }
        runs = dict[str, str]()
        for what, (ref, asked) in requests.items():
            first = ws.runs.submit(ref, **asked)
            require(
                8,
                not first.replayed and first.run.id not in runs.values(),
                f"a request of {what} gives run {first.run.id}, which came of another request",
            )
            runs[what] = first.run.id
        ws.endpoints.set_default("one", "1")
        ws.endpoints.disable("one")
        for what, (ref, asked) in requests.items():
            for who in (ws, bob):
                again = who.runs.submit(ref, **asked)
                same(8, (again.run.id, again.replayed), (runs[what], True), f"the run of a repeat of {what}")
        ws.endpoints.enable("one")
        for what, call in (
            ("a rerun", partial(ws.runs.rerun, runs["the default"])),
            ("a request with a key", partial(ws.runs.submit, "one", idempotency_key="k")),
            ("what is published by itself", partial(ws.runs.submit, a.id)),
        ):
            done = call()
            require(8, not done.replayed and done.run.id not in runs.values(), f"{what} is taken for a repeat")
        ws.endpoints.deduplicate("one", None)
        require(8, ws.runs.submit("one").run.id not in runs.values(), "without a window a request is a repeat")


def test_a_window_begins_once_and_ends(harness):
    """Is a request a new one when its window has ended, however often it was repeated meanwhile, and not before?"""
    window = timedelta(seconds=1)
    with harness.workspace() as ws:
        set_up(harness, ws, "a", endpoint="one")
        ws.endpoints.deduplicate("one", 1)
        first, repeats = ws.runs.submit("one").run, 0
        while True:
            began = datetime.now(UTC)
            run = ws.runs.submit("one").run
            if run.id != first.id:
                break
            repeats += 1
            require(8, began < first.created + window, f"after {repeats} repeats the window goes on at its end")
            time.sleep(0.01)
        require(8, run.created >= first.created + window, "a request is a new one before its window has ended")
        require(8, repeats > 0, "a request was never met in its window")
        same(8, ws.runs.submit("one").run.id, run.id, "the run of a repeat in the next window")
