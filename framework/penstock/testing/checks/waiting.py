"""Laws 3, 4 and 12 for runs that wait for their target: kept, told what they came through, and never given up."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from penstock.contract.hooks import hookimpl
from penstock.contract.run import RunRequest, Submission
from penstock.errors import PenstockError, TargetUnavailable
from penstock.testing.asking.given import given
from penstock.testing.asking.refusals import verdict
from penstock.testing.bench import Bench
from penstock.testing.checking import check
from penstock.testing.faults.handover import AtHandOver
from penstock.testing.laws import same

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


@check(12)
def never_given_up(bench: Bench) -> None:
    """Is a run handed over in the end, once, that its target could not take many times in a row?"""
    busy = _Busy("5", _TRIES, TargetUnavailable("away for a moment", retry_after=0.001))
    with bench.workspace(plugins=[("busy", busy)]) as ws:
        run = given(bench, ws, "a").submit(parameters={"depth": 5})
        ended = bench.wait(ws, run.id)
        found = (ended.state, ended.error and ended.error.code, busy.times)
        same(12, found, ("succeeded", None, 0), f"a run that its target could not take {_TRIES} times")
        same(12, [one.id for one in busy.requests], [run.id], "what the target took")


@check(3)
def waiting_stays(bench: Bench) -> None:
    """Is what a run came through kept while the run waits for its target?"""
    registry, held = bench.new_registry(), AtHandOver()
    with bench.workspace(registry) as other, bench.workspace(registry, plugins=[("held", held)]) as ws:
        published = given(bench, ws, "a")
        endpoint = ws.create_endpoint("one", given(bench, ws, "b"))
        codes: list[str] = []
        held.once(lambda: codes.append(verdict(other.pipelines.delete, published.id)))
        bench.wait(ws, published.submit().id, 3)
        held.once(lambda: codes.append(verdict(other.endpoints.delete, "one")))
        bench.wait(ws, endpoint.submit().id, 3)
        same(3, codes, ["in_use", "in_use"], "the answers to deleting what a run came through that is not handed over")


@check(4)
def told_what_it_came_through(bench: Bench) -> None:
    """Is the target told of a run what that resolved to when it was accepted, and what its caller said of it?"""
    registry, held, heard = bench.new_registry(), AtHandOver(), _Busy("", 0, TargetUnavailable("never"))
    plugins = [("heard", heard), ("held", held)]
    with bench.workspace(registry) as elsewhere, bench.workspace(registry, plugins=plugins) as ws:

        def move() -> None:
            elsewhere.endpoints.set_default("one", "1")
            raise TargetUnavailable("away for a moment", retry_after=0.001)

        endpoint = ws.create_endpoint("one", given(bench, ws, "a", name="a"))
        endpoint.add_version(given(bench, ws, "b", name="b"))
        held.once(move)
        said: dict[str, Any] = {"experiment": "nightly", "description": "of the flood", "tags": {"by": "ada"}}
        run = endpoint.submit(parameters={"depth": 5}, **said)
        told = heard.requests[-1]
        found = (told.id, told.endpoint, told.version, told.pipeline, told.label, told.parameters.texts["depth"])
        same(4, found, (run.id, "one", "0", "a", "1", "5"), "what the target is told of a run by the default of then")
        words = {"experiment": told.experiment, "description": told.description, "tags": dict(told.tags)}
        same(4, words, said, "what the target is told that the caller said of it")
        bench.wait(ws, run.id, 4)


CHECKS = (waiting_stays, told_what_it_came_through, never_given_up)
