"""Many steps that are ended together: all processes are looked through for several of them, not for each."""

import os
import signal
import subprocess

import pytest

from penstock_local import processes, signals
from penstock_local.clock import Clock
from penstock_local.jobs import Step
from penstock_local.signals import Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_many_steps_are_signalled_together_and_between_some_of_them_others_are_heard(monkeypatch, number):
    sent, swept, clock = [], [], Clock()
    steps = {f"t{count}": Step(None, count, {}, token=f"t{count}") for count in range(2 * signals.AT_ONCE + 1)}
    monkeypatch.setattr(processes, "signal_tokens", lambda tokens, *_: sent.append(tokens) or [])
    some = Signals(clock, steps, lambda: swept.append(1))
    for token in steps:
        some.soon(token, number)
    rounds = 0
    while clock.next() is not None:
        clock.run(lambda act: act())
        rounds += 1
        assert len(sent) <= rounds
    assert [len(tokens) for tokens in sent] == [signals.AT_ONCE, signals.AT_ONCE, 1]
    assert set().union(*sent) == set(steps)
    assert bool(swept) == (number == signal.SIGKILL)


def test_what_could_not_be_sent_is_sent_again_unless_its_step_is_over(monkeypatch):
    met, sent, clock = [OSError("no file can be opened")], [], Clock()

    def send(tokens, number, also):
        if met:
            raise met.pop()
        sent.append((tokens, number))
        return []

    monkeypatch.setattr(processes, "signal_tokens", send)
    steps = {name: Step(None, 0, {}, token=name) for name in ("one", "two")}
    some = Signals(clock, steps, lambda: None)
    for name in steps:
        some.soon(name, signal.SIGTERM)
    acts = []
    clock.run(acts.append)
    with pytest.raises(OSError, match="no file"):
        acts[0]()
    del steps["one"]
    acts[0]()
    assert sent == [({"two"}, signal.SIGTERM)]
    assert clock.next() is None


@pytest.mark.parametrize("whose", ["children", "adopted"])
def test_no_shell_goes_on_with_its_next_command_when_all_are_told_to_end(place, tmp_path, whose):
    """It would whenever its command heard of it first: no shell of so many does."""
    went_on = tmp_path / "on"
    script = f"(sleep 60; echo on >> {went_on}); echo on >> {went_on}"
    for count in range(30):
        token = f"{os.getpid()}x{count}"
        with subprocess.Popen(["sh", "-c", script], env={processes.TOKEN: token}, start_new_session=True) as shell:
            place.until(lambda: len(members(place, shell.pid)) == 3, "not all of them come up")
            also = [(shell.pid, os.getpid())] if whose == "children" else []
            for handle in processes.signal_tokens({token}, signal.SIGTERM, also):
                os.close(handle)
            place.until(lambda: not members(place, shell.pid), "not all of them end")
    assert not went_on.exists()


def members(place, session):
    """The processes of a session that have not ended."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.getsid(int(name)) == session and place.alive(int(name)):
                found.append(int(name))
        except ProcessLookupError:
            continue
    return found
