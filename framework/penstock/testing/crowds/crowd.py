"""Several processes that do things at the same time, and what each of them saw."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any, TypeAlias, TypeVar

from attrs import evolve, frozen

from penstock.testing.crowds.order import Observed
from penstock.testing.histories.player import Player
from penstock.testing.processes.apart import Apart
from penstock.testing.strategies.histories import Call
from penstock.testing.subject import Subject

T = TypeVar("T")

Together: TypeAlias = Callable[[], object]
"""What a process of a crowd calls to go on only when all of them do."""

NAMES = ("bea", "cem", "dag", "eva")
"""Who the processes of a crowd are: they call as different actors."""


@frozen(kw_only=True)
class Round:
    """What happens on one registry: a list of calls for each process of the crowd."""

    registry: str
    parts: tuple[tuple[Call, ...], ...]


def at_once(subject: Subject, work: Callable[..., T], shares: Sequence[tuple[Any, ...]], *, patience: float) -> list[T]:
    """Call `work(together, *share)` for each of 2 to 4 shares, each in a process of its own.

    `patience` is the seconds that they wait for each other. Raises what one of them raised.
    """
    barrier = multiprocessing.get_context("forkserver").Barrier(len(shares))
    members = [Apart(_member, subject, barrier, patience, work, share) for share in shares]
    answers: list[T] = []
    failures: list[Exception] = []
    for member in members:
        try:
            answers.append(member.result(patience * 10))
        except Exception as error:
            failures.append(error)
    if failures:
        # Whoever fails leaves the others waiting: their complaint is not what went wrong.
        raise next((error for error in failures if not isinstance(error, BrokenBarrierError)), failures[0])
    return answers


def play(subject: Subject, rounds: Sequence[Round], *, spec_folder: Path, patience: float) -> list[list[Observed]]:
    """Make the calls of every round, one round after the other, each begun by all processes at once.

    Answers what was observed in each round; every round has the same number of parts.
    """
    size = len(rounds[0].parts)
    shares = [
        (subject, name, [(one.registry, one.parts[number]) for one in rounds], spec_folder, patience)
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


def _member(subject: Subject, barrier: Barrier, patience: float, work: Callable[..., T], share: tuple[Any, ...]) -> T:
    subject.ready()
    try:
        return work(lambda: barrier.wait(patience), *share)
    except BaseException:
        barrier.abort()
        raise


def _rounds(
    together: Together,
    subject: Subject,
    name: str,
    rounds: Sequence[tuple[str, Sequence[Call]]],
    spec_folder: Path,
    patience: float,
) -> list[list[Observed]]:
    seen = []
    for registry, calls in rounds:
        player = Player(subject, registry, spec_folder=spec_folder, patience=patience, actor=name)
        try:
            player.call("endpoints")  # it has opened everything when the others begin
            together()
            seen.append([observed(player, name, verb, arguments) for verb, arguments in calls])
        finally:
            player.close()
    return seen
