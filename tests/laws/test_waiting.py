"""Laws 3, 4 and 12 for runs that wait for their target: kept, told what they came through, and never given up."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from laws.error_codes import code_of
from laws.handover import AtHandOver
from laws.marks import python_only

from penstock.contract.hooks import hookimpl
from penstock.contract.run import RunRequest, Submission
from penstock.errors import PenstockError, TargetUnavailable
from penstock.testing.helpers.setup import set_up
from penstock.testing.laws import same

pytestmark = python_only

_TRIES = 12
"""How often a target does not take a run before it does."""


class _Busy:
    """A plugin by which a target does not take runs of one depth, so often, for a reason; the others it takes.

    `requests` are those that reached the target.
    """

    def __init__(self, depth: str, times: int, reason: PenstockError) -> None:
        self.depth, self.times, self.reason = depth, times, reason
        self.requests: list[RunRequest] = []

    @hookimpl(wrapper=True)
    def penstock_submit_run(self, run: RunRequest) -> Generator[None, Submission, Submission]:
        """Refuse for now, or hand it over."""
        if run.parameters.texts["depth"] == self.depth and self.times:
            self.times -= 1
            raise self.reason
        self.requests.append(run)
        return (yield)


def test_never_given_up(harness):
    """Is a run handed over in the end, once, that its target could not take many times in a row?"""
    busy = _Busy("5", _TRIES, TargetUnavailable("away for a moment", retry_after=0.001))
    with harness.workspace(plugins=[("busy", busy)]) as ws:
        run = set_up(harness, ws, "a").submit(parameters={"depth": 5})
        ended = harness.wait(ws, run.id)
        found = (ended.state, ended.error and ended.error.code, busy.times)
        same(12, found, ("succeeded", None, 0), f"a run that its target could not take {_TRIES} times")
        same(12, [one.id for one in busy.requests], [run.id], "what the target took")


def test_repeated_while_it_waits(harness):
    """Is who repeats a key told that its run still waits for its target?"""
    busy = _Busy("5", 1, TargetUnavailable("away for a while", retry_after=60.0))
    with harness.workspace(plugins=[("busy", busy)]) as ws:
        name = ws.create_endpoint("one", set_up(harness, ws, "a")).name
        first, again = (ws.runs.submit(name, parameters={"depth": 5}, idempotency_key="k") for _ in range(2))
        same(8, (again.run.id, again.replayed), (first.run.id, True), "the key again")
        told = [warning for warning in again.warnings if first.run.id in warning and "waits" in warning]
        same(12, len(told), 1, f"the warnings that run {first.run.id} waits, when its key is repeated")
        ws.runs.cancel(first.run.id)


def test_waiting_stays(harness):
    """Is what a run came through kept while the run waits for its target?"""
    registry, held = harness.new_registry(), AtHandOver()
    with harness.workspace(registry) as other, harness.workspace(registry, plugins=[("held", held)]) as ws:
        published = set_up(harness, ws, "a")
        endpoint = ws.create_endpoint("one", set_up(harness, ws, "b"))
        codes: list[str] = []
        held.once(lambda: codes.append(code_of(other.pipelines.delete, published.id)))
        harness.wait(ws, published.submit().id, 3)
        held.once(lambda: codes.append(code_of(other.endpoints.delete, "one")))
        harness.wait(ws, endpoint.submit().id, 3)
        same(3, codes, ["in_use", "in_use"], "the answers to deleting what a run came through that is not handed over")


def test_told_what_it_came_through(harness):
    """Is the target told of a run what that resolved to when it was accepted, and what its caller said of it?"""
    registry, held, heard = harness.new_registry(), AtHandOver(), _Busy("", 0, TargetUnavailable("never"))
    plugins = [("heard", heard), ("held", held)]
    with harness.workspace(registry) as elsewhere, harness.workspace(registry, plugins=plugins) as ws:

        def move() -> None:
            elsewhere.endpoints.set_default("one", "1")
            raise TargetUnavailable("away for a moment", retry_after=0.001)

        endpoint = ws.create_endpoint("one", set_up(harness, ws, "a", name="a"))
        endpoint.add_version(set_up(harness, ws, "b", name="b"))
        held.once(move)
        said: dict[str, Any] = {"experiment": "nightly", "description": "of the flood", "tags": {"by": "ada"}}
        run = endpoint.submit(parameters={"depth": 5}, **said)
        told = heard.requests[-1]
        found = (told.id, told.endpoint, told.version, told.pipeline, told.label, told.parameters.texts["depth"])
        same(4, found, (run.id, "one", "0", "a", "1", "5"), "what the target is told of a run by the default of then")
        words = {"experiment": told.experiment, "description": told.description, "tags": dict(told.tags)}
        same(4, words, said, "what the target is told that the caller said of it")
        harness.wait(ws, run.id, 4)
