"""Every durable step of a history of calls, by name, and a process that is killed right before any one of them.

Seen are: what is written by SQLite (a commit, the release of a savepoint that began a transaction, or a statement
outside of both); files and folders that are made, renamed, linked, truncated, removed, or given another mode, owner
or time; files that are written in place, by `os` or by file objects, once before the first of a row of writes and
once before the second, but not the drafts that the history makes and renames; processes that are started; and each
hook that reaches the target, when it is called and when it has answered. Not seen is what C code does without
SQLite's statements or Python's `os`: a memory map, a backup of a database, an `open` that a module bound to a name of
its own before; nor what other processes do meanwhile. But for those, between two points nothing changes that would
outlive the process.
"""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TypeVar

from attrs import frozen

from penstock.contract.hooks import hookimpl
from penstock.testing.faults.files import Files, called
from penstock.testing.faults.reaching import REACHING
from penstock.testing.faults.statements import Statements
from penstock.testing.laws import LawBroken
from penstock.testing.processes.subprocesses import Died, in_subprocess, threads

S = TypeVar("S")


@frozen
class Point:
    """The moment before a durable step: what it is, and how many steps of the same name came before it."""

    name: str
    occurrence: int = 0

    def __str__(self) -> str:
        return self.name + (f", number {self.occurrence + 1}" if self.occurrence else "")


class Points:
    """Notes the points that this process comes to while `armed`, and kills the process at `stop`.

    It listens until the process ends: make one in a process of its own (`in_subprocess`), before anything is opened.
    `plugin` has to wrap the hooks of the workspace that is watched. Unless `inside`, what a backend does in a hook is
    no point: only the call and the answer are.
    """

    def __init__(self, stop: Point | None = None, *, inside: bool = True) -> None:
        self.passed: list[Point] = []
        self.plugin = SimpleNamespace(**{hook: self._wrapper(hook) for hook in REACHING})
        self._stop = stop
        self._inside = inside
        self._armed = False
        self._counts: Counter[str] = Counter()
        # At the audit event of a new connection nothing can be set on it yet.
        sqlite3.connect = functools.partial(self._connect, sqlite3.connect)  # type: ignore[assignment]  # it is overloaded
        sys.dont_write_bytecode = True  # what the interpreter caches is no step of ours
        tempfile.gettempdir()  # to find it, a process writes files of random names there, once
        self._files = Files(self.reach)
        sys.addaudithook(self._hear)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Note what happens here, and be killed if `stop` is reached."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Note nothing here: the kit itself writes something down."""
        armed, self._armed = self._armed, False
        try:
            yield
        finally:
            self._armed = armed

    def reach(self, name: str) -> None:
        """Say that a durable step of this name is about to be taken."""
        if not self._armed:
            return
        point = Point(name, self._counts[name])
        self._counts[name] += 1
        if point == self._stop:
            os.kill(os.getpid(), signal.SIGKILL)
        self.passed.append(point)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._armed:
            return
        if event in ("subprocess.Popen", "os.posix_spawn"):
            self.reach(f"process {called(arguments[0])}")
        else:
            self._files.hear(event, arguments)

    def _connect(self, connect: Callable[..., sqlite3.Connection], *given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(Statements(self.reach, called(given[0] if given else named["database"])))
        return connection

    def _wrapper(self, hook: str) -> Any:
        def wrapper() -> Generator[None, Any, Any]:
            self.reach(f"call of {hook}")
            armed, self._armed = self._armed, self._armed and self._inside
            try:
                answer = yield
            finally:
                self._armed = armed
            self.reach(f"answer of {hook}")
            return answer

        return hookimpl(wrapper=True)(wrapper)


def points_of(
    history: Callable[[S, Points], None], scene: S, *, timeout: float = 300.0, inside: bool = True
) -> list[Point]:
    """The points of a history, from a first pass in a process of its own. The history arms them.

    Raises as it does, and TimeoutError when it takes longer than so many seconds.
    """
    return in_subprocess(_go, history, scene, None, inside, timeout=timeout)


def kill_at_each(
    points: Sequence[Point],
    history: Callable[[S, Points], None],
    after: Callable[[S, Point], None],
    scene: Callable[[], S],
    *,
    at_once: int = 2,
    timeout: float = 300.0,
    inside: bool = True,
) -> list[Point]:
    """Kill a history at each of its points, on a new scene each time, and let `after` judge, in another process.

    Answers the points at which it died; at one that a repeat does not come to again it goes on to its end, which
    `after` judges too. Everything is pickled. Raises what `after` raises, for the earliest point, and TimeoutError
    when a process takes longer than so many seconds.
    """

    def one(point: Point) -> bool:
        mine = scene()
        died = False
        try:
            in_subprocess(_go, history, mine, point, inside, timeout=timeout)
        except Died as death:
            if death.signal != signal.SIGKILL:
                raise
            died = True
        in_subprocess(_judge, after, mine, point, timeout=timeout)
        return died

    with threads(at_once) as pool:
        waiting: list[Future[bool]] = [pool.submit(one, point) for point in points]
        return [point for point, future in zip(points, waiting, strict=True) if future.result()]


def _go(history: Callable[[S, Points], None], scene: S, stop: Point | None, inside: bool) -> list[Point]:
    points = Points(stop, inside=inside)
    history(scene, points)
    return points.passed


def _judge(after: Callable[[S, Point], None], scene: S, point: Point) -> None:
    from penstock.errors import PenstockError

    try:
        after(scene, point)
    except LawBroken as error:
        raise LawBroken(error.law, f"killed before `{point}`: {error.message}") from None
    except PenstockError as error:
        raise LawBroken(12, f"killed before `{point}`: `{error.code}`: {error.message}") from None
