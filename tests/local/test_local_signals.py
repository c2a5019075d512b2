"""Many steps that are ended together: all processes are looked through for several of them, not for each."""

import signal

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
