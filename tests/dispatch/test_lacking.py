"""Without a thread to be had for a moment nothing fails, and it is said."""

from __future__ import annotations

import errno
import threading

import pytest

from penstock import hookimpl, machine
from penstock.cli.failures import _known
from penstock.contract.hooks import BackendHooks
from penstock.dispatch.backoff import Patience
from penstock.errors import BackendBroken, RegistryError, SpecInvalid, TargetUnavailable
from penstock.targets.calls import HookCalls
from penstock.targets.manager import HookManager

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


@pytest.mark.parametrize("made", [RegistryError, SpecInvalid, BackendBroken])
@pytest.mark.parametrize("shown", [True, False])
def test_what_was_made_of_a_lack_is_one_whatever_it_says(made, shown):
    try:
        try:
            raise OSError(errno.EMFILE, "Too many open files")
        except OSError as error:
            raise made("check the permissions") from (error if shown else None)
    except made as error:
        known = _known(error)
    assert (known.code, known.exit_code) == ("system_error", 70) and "permissions" not in str(known)


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (BlockingIOError(errno.EAGAIN, "x"), RegistryError("busy", code="registry_busy")),
        (OSError(errno.EMFILE, "x"), RegistryError("it may hold", code="registry_undecided")),
        (OSError(errno.ENOENT, "x"), SpecInvalid("it is not there")),
    ],
)
def test_a_taken_lock_and_what_may_hold_all_the_same_stay_what_they_are(cause, error):
    error.__cause__ = cause
    assert _known(error) is error


def test_errors_that_are_made_of_each_other_have_an_end():
    one, other = ValueError("x"), ValueError("y")
    one.__cause__, other.__cause__ = other, one
    assert machine.lacked(one) == ""
    one.__cause__ = one
    assert machine.lacked(one) == ""


def test_what_one_process_lacks_closes_no_target_for_others(workspace, project):
    short = TargetUnavailable("x")
    short.__cause__ = OSError(errno.EMFILE, "x")
    workspace.publish(project / "greet.yaml", endpoint="greet")
    patience, outbox = workspace._services.outbox.patience, workspace._services.registry.outbox
    patience.leave_alone("laptop", short)
    assert outbox.breaker("laptop") is None
    patience.leave_alone("laptop", TargetUnavailable("x"))
    assert outbox.breaker("laptop") is not None


def test_who_waits_goes_on_waiting_where_something_is_lacking_for_a_while():
    error = RegistryError("x")
    assert not error.is_passing
    error.__cause__ = OSError(errno.EMFILE, "x")
    assert error.is_passing


def test_a_backend_that_lacks_something_is_not_broken():
    class Backend:
        @hookimpl
        def penstock_target_options(self):
            raise OSError(errno.EMFILE, "Too many open files")

    calls = object.__new__(HookCalls)
    calls.backend, calls._manager = "x", HookManager(BackendHooks)
    calls._who = calls._manager.add("backend", "x", Backend())
    with pytest.raises(TargetUnavailable, match="open files"):
        calls.call("penstock_target_options", type)
