"""Every durable step of a history of calls, by name, and a process that is killed right before any one of them.

Seen are: what is written by SQLite (a commit, or a statement outside a transaction), files and folders that are made,
renamed, linked, truncated or removed, processes that are started, and each hook that reaches the target, when it is
called and when it has answered. Between two of these points nothing changes that would outlive the process.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, TypeVar

from attrs import frozen

from penstock.hookspecs import hookimpl
from penstock.testing.laws import LawBroken
from penstock.testing.processes.apart import Died, apart

S = TypeVar("S")

REACHING: tuple[str, ...] = (
    "penstock_publish_pipeline",
    "penstock_submit_run",
    "penstock_get_run",
    "penstock_get_outputs",
    "penstock_read_logs",
    "penstock_cancel_run",
    "penstock_sync_endpoint",
    "penstock_retire_pipeline",
)
"""The hooks that reach the target; the others answer from what they are given."""

_CHANGED = {
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rmdir": 0,
    "os.truncate": 0,
}
"""Audit events of files and folders, with the argument that names what they change."""

_SHOWN = 12
"""How many changes of one transaction its name says."""

_RANDOM = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{6,}")
_TABLE = re.compile(
    r"\b(INSERT|REPLACE|UPDATE|DELETE|CREATE|DROP|ALTER)\b(?:\s+OR\s+\w+)?"
    r"(?:\s+(?:INTO|FROM|UNIQUE|TABLE|INDEX|TRIGGER|VIEW|IF|NOT|EXISTS)\b)*\s+[\"'\[`]?(\w+)",
    re.IGNORECASE,
)
_KEPT_PRAGMA = re.compile(r"PRAGMA\s+(journal_mode|user_version|application_id)\s*=", re.IGNORECASE)


@frozen
class Point:
    """The moment before a durable step: what it is, and how many steps of the same name came before it."""

    name: str
    occurrence: int = 0

    def __str__(self) -> str:
        return self.name + (f", number {self.occurrence + 1}" if self.occurrence else "")


class Points:
    """Notes the points that this process comes to while `armed`, and kills the process at `stop`.

    It listens until the process ends: make one in a process of its own (see `apart`), before anything is opened.
    `plugin` has to wrap the hooks of the workspace that is watched.
    """

    def __init__(self, stop: Point | None = None) -> None:
        self.passed: list[Point] = []
        self.plugin = SimpleNamespace(**{hook: self._wrapper(hook) for hook in REACHING})
        self._stop = stop
        self._armed = False
        self._counts: Counter[str] = Counter()
        # At the audit event of a new connection nothing can be set on it yet.
        sqlite3.connect = functools.partial(self._connect, sqlite3.connect)  # type: ignore[assignment]  # it is overloaded
        sys.dont_write_bytecode = True  # what the interpreter caches is no step of ours
        sys.addaudithook(self._hear)

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Note what happens here, and be killed if `stop` is reached."""
        self._armed = True
        try:
            yield
        finally:
            self._armed = False

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
        if event in _CHANGED:
            path = arguments[_CHANGED[event]]
            if arguments[-1] not in (-1, None) or _changes(event, path):
                self.reach(f"{event.removeprefix('os.')} {_called(path)}")
        elif event == "open" and _makes(arguments[0], arguments[2]):
            self.reach(f"open {_called(arguments[0])}")
        elif event in ("subprocess.Popen", "os.posix_spawn"):
            self.reach(f"process {_called(arguments[0])}")

    def _connect(self, connect: Callable[..., sqlite3.Connection], *given: Any, **named: Any) -> sqlite3.Connection:
        connection = connect(*given, **named)
        connection.set_trace_callback(_Statements(self, _called(given[0] if given else named["database"])))
        return connection

    def _wrapper(self, hook: str) -> Any:
        def wrapper() -> Generator[None, Any, Any]:
            self.reach(f"call of {hook}")
            answer = yield
            self.reach(f"answer of {hook}")
            return answer

        return hookimpl(wrapper=True)(wrapper)


class _Statements:
    """Hears every statement of one connection before it runs."""

    def __init__(self, points: Points, file: str) -> None:
        self._points = points
        self._file = file
        self._open = False
        self._written: dict[str, None] = {}

    def __call__(self, statement: str) -> None:
        word = statement.lstrip()[:8].upper()
        if word.startswith(("BEGIN", "ROLLBACK")):
            self._open, self._written = word.startswith("BEGIN"), {}
        elif word.startswith(("COMMIT", "END")):
            if self._written:
                more = ", ..." if len(self._written) > _SHOWN else ""
                self._points.reach(f"commit in {self._file}: {', '.join(list(self._written)[:_SHOWN])}{more}")
            self._open, self._written = False, {}
        elif (written := _written(statement)) is not None:
            if self._open:
                self._written[written] = None
            else:
                self._points.reach(f"write in {self._file}: {written}")


def points_of(history: Callable[[S, Points], None], scene: S) -> list[Point]:
    """The points of a history, from a first pass in a process of its own. The history arms them. Raises as it does."""
    return apart(_go, history, scene, None)


def kill_at_each(
    points: Sequence[Point],
    history: Callable[[S, Points], None],
    after: Callable[[S, Point], None],
    scene: Callable[[], S],
    *,
    at_once: int = 2,
    timeout: float = 300.0,
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
            apart(_go, history, mine, point, timeout=timeout)
        except Died as death:
            if death.signal != signal.SIGKILL:
                raise
            died = True
        apart(_judge, after, mine, point, timeout=timeout)
        return died

    with ThreadPoolExecutor(at_once) as pool:
        waiting: list[Future[bool]] = [pool.submit(one, point) for point in points]
        try:
            return [point for point, future in zip(points, waiting, strict=True) if future.result()]
        finally:
            pool.shutdown(cancel_futures=True)


def _go(history: Callable[[S, Points], None], scene: S, stop: Point | None) -> list[Point]:
    points = Points(stop)
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


def _called(path: Any) -> str:
    """The last part of a path without what is random in it."""
    text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else str(path)
    name = os.path.basename(text.partition("?")[0].rstrip("/"))  # noqa: PTH119  # any text
    # Drafts have random names of all kinds; they are hidden, and have a telling end at best.
    return _RANDOM.sub("*", f".*.{name.rpartition('.')[2]}" if name.startswith(".") else name)


def _changes(event: str, path: Any) -> bool:
    """Whether there is anything to do: a folder that is there is not made, a file that is not is not removed."""
    if event in ("os.rename", "os.link", "os.symlink"):
        return True
    return os.path.lexists(path) == (event != "os.mkdir")


def _makes(path: Any, flags: int) -> bool:
    """Whether an open makes or empties a file."""
    if not isinstance(path, str | bytes | os.PathLike) or not flags & (os.O_CREAT | os.O_TRUNC):
        return False
    there = os.path.lexists(path)
    return not there if not flags & os.O_TRUNC else os.path.isfile(path) or not there  # noqa: PTH113  # any text


def _written(statement: str) -> str | None:
    """What a statement changes, in two words; None when nothing that stays."""
    pragma = _KEPT_PRAGMA.search(statement)
    if pragma:
        return f"pragma {pragma[1].lower()}"
    if statement.lstrip()[:6].upper() in ("SELECT", "PRAGMA", "ATTACH", "DETACH", "EXPLAI", "VALUES"):
        return None
    found = _TABLE.search(statement)
    return f"{found[1].lower()} {found[2]}" if found else None
