"""Calls made in processes of their own, so that they can be made at the same time, and killed.

The processes are forked from a server that has imported penstock and opened nothing: a few milliseconds each, and no
backend finds itself in a fork.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

from penstock.errors import one_line

T = TypeVar("T")

_PRELOADED = (
    *("penstock.testing.checks", "penstock.registry", "penstock.dispatch"),
    *("penstock.workspace.handles", "penstock.workspace.publishing", "penstock.workspace.pipelines"),
    *("penstock.workspace.endpoints", "penstock.workspace.runs", "penstock.workspace.admin"),
    *("penstock.codec.documents", "penstock.codec.structuring", "penstock.spec.problems", "penstock.snapshot.taking"),
    *("penstock.snapshot.stored", "importlib.metadata", "cattrs", "sqlite_utils"),
)

_TURNS = threading.Lock()
"""Starting a process looks at those that have ended, and of two threads that read one exit code one reads nothing."""


_LIVE: set[BaseProcess] = set()
"""The processes that go on."""


class Died(Exception):
    """The process ended without an answer. `signal` is what killed it, or None when it ended by itself."""

    def __init__(self, signal: int | None) -> None:
        super().__init__(f"killed by signal {signal}" if signal else "ended without an answer")
        self.signal = signal


class Subprocess(Generic[T]):
    """A call of an importable function, going on in a process of its own; arguments and answer are pickled.

    The process is deaf to Ctrl-C, which a terminal sends to everybody: who waits for the answer ends it.
    """

    def __init__(self, function: Callable[..., T], *arguments: Any) -> None:
        mine, its = multiprocessing.Pipe(duplex=False)
        self._answer = mine
        self.process = _context().Process(target=_serve, args=(its, function, arguments))  # type: ignore[attr-defined]  # typeshed has no Process on the base class
        try:
            # A wish that all of this ends is heard once it is known what there is to end.
            with _later(signal.SIGINT, signal.SIGTERM, signal.SIGHUP), _TURNS:
                self.process.start()
                _LIVE.add(self.process)
        except BaseException:
            mine.close()  # a process that was started all the same sees that nobody waits for it
            raise
        finally:
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
        except KeyboardInterrupt:
            self.process.kill()
            raise
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
            _LIVE.discard(self.process)


def in_subprocess(function: Callable[..., T], *arguments: Any, timeout: float = 120.0) -> T:
    """Make one call in a process of its own and wait for its answer. Raises as `Subprocess.result`."""
    return Subprocess(function, *arguments).result(timeout)


@contextmanager
def threads(at_once: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that make calls apart. What goes wrong cancels the rest; Ctrl-C ends the calls as well."""
    pool = ThreadPoolExecutor(at_once)
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        end_all()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def end_all() -> None:
    """Kill every process that goes on for a call of this one; whoever waits for it is told that it died."""
    for process in tuple(_LIVE):
        process.kill()


@functools.cache
def _context() -> BaseContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_PRELOADED))
    # What is held back when the server starts, is held back in its children from their first moment on.
    with _later(signal.SIGINT):
        forkserver.ensure_running()
    return context


@contextmanager
def _later(*numbers: signal.Signals) -> Iterator[None]:
    """Hold signals to this thread back meanwhile; they come after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_deserted(pipe: Connection) -> bool:
    """Whether nobody will ever read what is written."""
    poll = select.poll()
    poll.register(pipe.fileno(), 0)
    return any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0))


def _deaf(number: int, frame: object) -> None:
    """Do nothing."""


def _serve(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    """Call, answer, and leave at once: what is open is left as by a process that ended."""
    signal.signal(signal.SIGINT, _deaf)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))  # a mask is passed on to what is started here
    if _is_deserted(pipe):
        os._exit(1)
    try:
        said = (True, function(*arguments))
    except Exception as error:
        said = (False, error)
    try:
        pipe.send(said)
    except Exception as error:  # what cannot be pickled is told in words
        with suppress(OSError):  # nobody waits any more
            pipe.send((False, RuntimeError(f"{one_line(error)} while answering {said[1]!r}")))
    pipe.close()
    os._exit(0)
