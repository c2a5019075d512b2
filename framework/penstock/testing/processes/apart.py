"""Calls made in processes of their own, so that they can be made at the same time, and killed.

The processes are forked from a server that has imported penstock and opened nothing: a few milliseconds each, and no
backend finds itself in a fork.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, Generic, TypeVar

from penstock.errors import one_line

T = TypeVar("T")

_PRELOADED = (
    *("penstock.testing.checks", "penstock.registry", "penstock.dispatcher"),
    *("penstock.workspace.handles", "penstock.workspace.publishing", "penstock.workspace.pipelines"),
    *("penstock.workspace.endpoints", "penstock.workspace.runs", "penstock.workspace.care"),
    *("penstock.codec.documents", "penstock.codec.structuring", "penstock.graph.problems", "penstock.snapshot.taking"),
    *("penstock.snapshot.stored", "importlib.metadata", "cattrs", "sqlite_utils"),
)

_TURNS = threading.Lock()
"""Starting a process looks at those that have ended, and of two threads that read one exit code one reads nothing."""


class Died(Exception):
    """The process ended without an answer. `signal` is what killed it, or None when it ended by itself."""

    def __init__(self, signal: int | None) -> None:
        super().__init__(f"killed by signal {signal}" if signal else "ended without an answer")
        self.signal = signal


class Apart(Generic[T]):
    """A call of an importable function, going on in a process of its own; arguments and answer are pickled."""

    def __init__(self, function: Callable[..., T], *arguments: Any) -> None:
        mine, its = multiprocessing.Pipe(duplex=False)
        self._answer = mine
        self.process = _context().Process(target=_serve, args=(its, function, arguments))  # type: ignore[attr-defined]  # typeshed has no Process on the base class
        with _TURNS:
            self.process.start()
        its.close()

    def result(self, timeout: float = 120.0) -> T:
        """What the function answered or raised. Raises Died, and TimeoutError after so many seconds."""
        try:
            if not self._answer.poll(timeout):
                self.process.kill()
                raise TimeoutError(f"no answer after {timeout:g} s")
            answered, value = self._answer.recv()
        except EOFError:
            self._join()
            code = self.process.exitcode
            raise Died(-code if code is not None and code < 0 else None) from None
        finally:
            self._answer.close()
            self._join()
        if not answered:
            raise value
        found: T = value
        return found

    def _join(self) -> None:
        wait([self.process.sentinel])
        with _TURNS:
            self.process.join()


def apart(function: Callable[..., T], *arguments: Any, timeout: float = 120.0) -> T:
    """Make one call in a process of its own and wait for its answer. Raises as `Apart.result`."""
    return Apart(function, *arguments).result(timeout)


@functools.cache
def _context() -> BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    return context


def _serve(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call, answer, and leave at once: what is open is left as by a process that ended."""
    try:
        said = (True, function(*arguments))
    except Exception as error:
        said = (False, error)
    try:
        pipe.send(said)
    except Exception as error:  # what cannot be pickled is told in words
        pipe.send((False, RuntimeError(f"{one_line(error)} while answering {said[1]!r}")))
    pipe.close()
    os._exit(0)
