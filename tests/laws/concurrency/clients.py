"""Several processes that do things at the same time, and what each of them saw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve, frozen
from laws.concurrency.linearizability import Observed
from laws.player import Player
from laws.strategies import Call

from penstock.testing.processes.together import Together, at_once
from penstock.testing.subject import Subject

T = TypeVar("T")


NAMES = ("bea", "cem", "dag", "eva")
"""Who the processes of a group are: they call as different actors."""


@frozen(kw_only=True)
class Round:
    """What happens on one registry: a list of calls for each process of the group."""

    registry: str
    parts: tuple[tuple[Call, ...], ...]


def call_at_once(
    subject: Subject, rounds: Sequence[Round], *, spec_folder: Path, patience: float, door: str = "python"
) -> list[list[Observed]]:
    """Make the calls of every round, one round after the other, each begun by all processes at once, through a door.

    Answers what was observed in each round; every round has the same number of parts.
    """
    size = len(rounds[0].parts)
    shares = [
        (subject, name, [(one.registry, one.parts[number]) for one in rounds], spec_folder, patience, door)
        for number, name in enumerate(NAMES[:size])
    ]
    seen = at_once(subject, _rounds, shares, patience=patience)
    return [[call for part in parts for call in part] for parts in zip(*seen, strict=True)]


def observed(player: Player, process: str, verb: str, arguments: dict[str, Any]) -> Observed:
    """Make one call and note what came of it and when."""
    started = time.monotonic_ns()
    answer = player.call(verb, **arguments)
    ended = time.monotonic_ns()
    return Observed(process=process, verb=verb, arguments=arguments, answer=answer, started=started, ended=ended)


def moments(call: Observed) -> list[Observed]:
    """A call as the moments that its answer is from: a new run is accepted at one and looked at at another, and
    whatever comes between shows in the look only.
    """
    if call.verb not in ("submit", "rerun") or call.answer.get("replayed", True):
        return [call]
    run = call.answer["run"]
    accepted = {**run, "state": "queued", "cancel": False, "outputs": {}, "error": None}
    look: dict[str, Any] = {name: call.arguments[name] for name in ("run", "by") if name in call.arguments}
    return [
        evolve(call, answer={**call.answer, "run": accepted}),
        evolve(call, process=f"{call.process} about {look['run']}", verb="get", arguments=look, answer={"run": run}),
    ]


def _rounds(
    together: Together,
    subject: Subject,
    name: str,
    rounds: Sequence[tuple[str, Sequence[Call]]],
    spec_folder: Path,
    patience: float,
    door: str,
) -> list[list[Observed]]:
    seen = []
    for registry, calls in rounds:
        player = Player(subject, registry, spec_folder=spec_folder, patience=patience, actor=name, door=door)
        try:
            player.call("endpoints")  # it has opened everything when the others begin
            together()
            seen.append([observed(player, name, verb, arguments) for verb, arguments in calls])
        finally:
            player.close()
    return seen
