"""Law 5 at the hooks: what a backend is told of an endpoint it takes, again, late, and of what it never heard of."""

from __future__ import annotations

import uuid
from typing import Any

from attrs import evolve

from penstock.contract.target import EndpointState, EndpointVersion, NativeTrigger
from penstock.testing.checking import check
from penstock.testing.harness import Harness
from penstock.testing.helpers.directly import Put, put
from penstock.testing.helpers.setup import unique
from penstock.testing.laws import same
from penstock.testing.probes.pipelines import variant


@check(5, needs=("penstock_sync_endpoint",))
def takes_every_state(harness: Harness) -> None:
    """Does a target take every state of an endpoint: versions, default, gates, another name, and its end?"""
    made = [put(harness, variant(harness.subject.python, word)) for word in "ab"]
    state = _state(made[:1])
    changes: tuple[tuple[str, dict[str, Any]], ...] = (
        ("a new endpoint", {}),
        ("another version", {"versions": _versions(made)}),
        ("another default", {"default": "1"}),
        ("no default here", {"default": None}),
        ("a closed version", {"versions": _versions(made, enabled=False)}),
        ("a closed published pipeline", {"versions": _versions(made, published_enabled=False)}),
        ("a closed endpoint", {"enabled": False}),
        ("no version here", {"versions": ()}),
        ("another name", {"name": unique("renamed"), "description": "Renamed: é日本", "tags": {"team": "water"}}),
        ("all of it again", {"versions": _versions(made), "default": "0", "enabled": True}),
        ("its end", {"versions": (), "default": None, "deleted": True}),
    )
    for what, change in changes:
        state = evolve(state, revision=state.revision + 1, **change)
        _takes(harness, state, what)


@check(5, needs=("penstock_sync_endpoint",))
def told_twice(harness: Harness) -> None:
    """Does a target take the same state again, old news, and an end of something that it has never heard of?"""
    first = _state([put(harness, variant(harness.subject.python, "a"))])
    second = evolve(first, revision=first.revision + 1, enabled=False)
    end = evolve(second, revision=second.revision + 1, deleted=True, versions=(), default=None)
    for what, one in (
        ("a state", first),
        ("the same state again", first),
        ("the same state once more", first),
        ("the next state", second),
        ("a state that it heard of before", first),
        ("the end of an endpoint", end),
        ("the same end again", end),
        ("what was so before the end", second),
        ("the end of an endpoint that it does not know", evolve(end, id=str(uuid.uuid4()))),
    ):
        _takes(harness, one, what)


CHECKS = (takes_every_state, told_twice)
"""What is asked here."""


def _takes(harness: Harness, state: EndpointState, what: str) -> None:
    """Tell the target; it says that it has it, or where it can be asked for it past us."""
    answer = harness.hooks.sync_endpoint(state)
    if not isinstance(answer, NativeTrigger):
        same(5, answer, True, f"what the target answers to {what}")


def _state(made: list[Put]) -> EndpointState:
    """A new endpoint with these versions, all open, the first being the default."""
    return EndpointState(
        id=str(uuid.uuid4()),
        name=unique("endpoint"),
        description="Of the kit.",
        enabled=True,
        default="0",
        versions=_versions(made),
        revision=1,
    )


def _versions(made: list[Put], *, enabled: bool = True, published_enabled: bool = True) -> tuple[EndpointVersion, ...]:
    return tuple(
        EndpointVersion(
            version=str(number),
            external=one.publication.external,
            digest=one.snapshot.digest,
            label=str(number + 1),
            enabled=enabled,
            published_enabled=published_enabled,
        )
        for number, one in enumerate(made)
    )
