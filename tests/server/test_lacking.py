"""What the server's machine lacks for a moment is no bug: who asks is told to come again, and the log stays short."""

from __future__ import annotations

import asyncio
import errno
import logging
import threading
from types import SimpleNamespace

import pytest

from penstock.dispatch.dispatcher import Dispatcher
from penstock.errors import PenstockError, TooManyRequests
from penstock.server.health import _Writability
from penstock.server.serving import _Complaints
from penstock.server.shapes import to_penstock_error

NO_THREAD = RuntimeError("can't start new thread")
NO_FILE = OSError(errno.EMFILE, "Too many open files")


def _start(self):
    raise NO_THREAD


@pytest.mark.parametrize("error", [NO_THREAD, NO_FILE, MemoryError()])
def test_who_asks_is_told_to_come_again(error):
    told = to_penstock_error(error)
    assert isinstance(told, TooManyRequests) and "try again" in str(told) and "bug" not in str(told)


@pytest.mark.parametrize("error", [RuntimeError("x"), OSError(errno.ENOENT, "x"), KeyError("x")])
def test_a_bug_stays_one(error):
    told = to_penstock_error(error)
    assert type(told) is PenstockError and told.code == "internal"


def test_the_loop_complains_once_of_what_it_says_hundreds_of_times(caplog):
    async def complain() -> None:
        loop, complaints = asyncio.get_running_loop(), _Complaints()
        for _ in range(500):
            complaints(loop, {"message": "socket.accept() out of system resource", "exception": NO_FILE})
        complaints(loop, {"message": "something else", "exception": ValueError("x")})

    with caplog.at_level(logging.WARNING):
        asyncio.run(complain())
    said = [one.getMessage() for one in caplog.records]
    assert said[0] == "socket.accept() out of system resource: too many open files (`ulimit -n`)"
    assert len(said) == 2 and said[1].startswith("something else")


def test_health_without_a_thread_says_so_and_asks_again_later(monkeypatch):
    services = SimpleNamespace(registry=SimpleNamespace(check_writable=lambda: None))
    health = _Writability(services)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _start)
        assert health.word() == health.word() == "system_error"
    assert health.word() == "ok"


def test_a_dispatcher_without_a_thread_is_not_well_until_it_has_one(monkeypatch):
    done = threading.Event()
    outbox = SimpleNamespace(sweep_values=lambda: None, work_on=lambda target, at_once: done.set())
    registry = SimpleNamespace(
        outbox=SimpleNamespace(due_targets=lambda most=None: [] if most else ["local"]),
        runs=SimpleNamespace(targets_running=list),
    )
    dispatcher = Dispatcher(registry, outbox, None)
    monkeypatch.setattr(dispatcher, "_thread", threading.current_thread())
    dispatcher._seen = float("inf")
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", _start)
        dispatcher._round()
    assert not dispatcher.alive and not done.is_set()
    dispatcher._round()
    assert done.wait(10) and dispatcher.alive
