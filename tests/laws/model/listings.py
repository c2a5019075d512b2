"""What the model says of looking: plain listings leave closed things out and say how many (law 5)."""

from __future__ import annotations

from laws.model.expectations import Seen
from laws.model.facts import endpoint_is, learn, published_is
from laws.model.state import State


def endpoint(state: State, seen: Seen, *, endpoint: str, by: str) -> None:
    """Look at one endpoint."""
    one = state.need_endpoint(endpoint)
    endpoint_is(state, seen, seen["endpoint"], one)


def endpoints(state: State, seen: Seen, *, by: str, all: bool = False) -> None:
    """Every endpoint, newest first."""
    alive = [one for one in state.endpoints.values() if not one.deleted][::-1]
    shown = [one for one in alive if all or one.gate is None]
    law = 2 if all else 5
    seen.same(law, [one["id"] for one in seen["items"]], [one.id for one in shown], "the list of endpoints")
    seen.same(5, seen["hidden"], len(alive) - len(shown), "the number of closed endpoints left out")
    for found, one in zip(seen["items"], shown, strict=True):
        endpoint_is(state, seen, found, one, all=all)


def published(state: State, seen: Seen, *, by: str, all: bool = False) -> None:
    """Every published pipeline, newest first."""
    alive = [one for one in state.published.values() if not one.deleted][::-1]
    shown = [one for one in alive if all or one.gate is None]
    law = 1 if all else 5
    seen.same(law, [one["id"] for one in seen["items"]], [one.id for one in shown], "the list of published pipelines")
    seen.same(5, seen["hidden"], len(alive) - len(shown), "the number of closed published pipelines left out")
    for found, one in zip(seen["items"], shown, strict=True):
        published_is(seen, found, one)


def runs(state: State, seen: Seen, *, by: str) -> None:
    """Every run, newest first."""
    seen.same(12, [one["id"] for one in seen["items"]], list(state.runs)[::-1], "the list of runs")
    for found in seen["items"]:
        learn(state, seen, found)
