"""The same work in several processes, which go on at the same moments."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from typing import Any, TypeAlias, TypeVar

from penstock.testing.processes.subprocesses import Subprocess
from penstock.testing.subject import Subject

T = TypeVar("T")

Together: TypeAlias = Callable[[], object]
"""What a process calls to go on only when all of them do."""


def at_once(subject: Subject, work: Callable[..., T], shares: Sequence[tuple[Any, ...]], *, patience: float) -> list[T]:
    """Call `work(together, *share)` for each of 2 to 4 shares, each in a process of its own.

    `patience` is the seconds that they wait for each other. Raises what one of them raised.
    """
    barrier = multiprocessing.get_context("forkserver").Barrier(len(shares))
    members = [Subprocess(_member, subject, barrier, patience, work, share) for share in shares]
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


def _member(subject: Subject, barrier: Barrier, patience: float, work: Callable[..., T], share: tuple[Any, ...]) -> T:
    subject.ready()
    try:
        return work(lambda: barrier.wait(patience), *share)
    except BaseException:
        barrier.abort()
        raise
