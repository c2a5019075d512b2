"""Without a thread to be had for a moment nothing fails, and it is said."""

from __future__ import annotations

import errno
import threading

import pytest

from penstock import machine
from penstock.cli.failures import _known
from penstock.dispatch.backoff import Patience

NO_THREAD = "can't start new thread"


@pytest.fixture
def no_threads(monkeypatch):
    def start(self):
        raise RuntimeError(NO_THREAD)

    monkeypatch.setattr(threading.Thread, "start", start)


def test_a_target_that_no_thread_can_ask_is_late_and_the_others_too(no_threads):
    late = Patience(None).work(5.0, {"one": lambda: None, "two": lambda: None})
    assert set(late) == {"one", "two"}
    assert "no more threads or processes may be begun" in str(late["one"])


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError(NO_THREAD), OSError(errno.EMFILE, "x"), BlockingIOError(11, "x")]
)
def test_what_a_machine_lacks_has_words(error):
    assert machine.lacks(error)


@pytest.mark.parametrize("error", [RuntimeError("x"), ValueError(NO_THREAD), OSError(errno.ENOENT, "x"), OSError()])
def test_what_is_no_lack_has_none(error):
    assert machine.lacks(error) == ""


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(NO_THREAD), OSError(errno.EMFILE, "x")])
def test_a_command_that_lacks_something_is_no_bug(error):
    known = _known(error)
    assert known.code == "system_error" and "bug" not in str(known)
