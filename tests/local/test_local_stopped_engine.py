"""An engine that a signal has stopped is told of, with what lets it go on, to whoever looks."""

from __future__ import annotations

import os
import signal

import pytest

from penstock.errors import TargetUnavailable
from penstock.spec import Step
from penstock_local import hooks


@pytest.fixture
def stopped(places, tmp_path):
    """A target with a run that goes on, and its engine, which is stopped."""
    place = places(idle=300.0)
    wait = f"touch {tmp_path}/up; until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": Step(command=["sh", "-c", wait])})
    place.until((tmp_path / "up").exists, "the step does not start")
    engine = place.engine()
    os.kill(engine, signal.SIGSTOP)
    yield place, run, engine
    os.kill(engine, signal.SIGCONT)


def test_whoever_looks_is_told(stopped, tmp_path):
    place, run, engine = stopped
    words = f"process {engine}, was stopped by a signal"

    def said() -> bool:  # a signal is not there at once
        health = hooks.penstock_check_target(place.target)
        return not health.ok and words in health.lines[-1] and f"`kill -CONT {engine}`" in health.lines[-1]

    place.until(said, "target check does not say so")
    with pytest.raises(TargetUnavailable, match=words) as error:
        place.get(run)
    assert error.value.code == "engine_stopped"
    other = place.submit({"one": "true"})  # which is taken, and waits
    assert hooks.penstock_list_runs(place.target, [run, other]) == {}  # each is asked for by itself
    os.kill(engine, signal.SIGCONT)
    (tmp_path / "go").touch()
    place.until(lambda: hooks.penstock_check_target(place.target).ok, "it is said for ever")
    assert place.wait(run).state == "succeeded"


def test_one_with_nothing_to_do_is_told_of_by_a_check(places):
    place = places(idle=300.0)
    run = place.submit({"one": "true"})
    place.wait(run)
    engine = place.engine()
    os.kill(engine, signal.SIGSTOP)
    try:
        place.until(lambda: not hooks.penstock_check_target(place.target).ok, "it does not say so")
        assert place.get(run).state == "succeeded"  # which is known without it
    finally:
        os.kill(engine, signal.SIGCONT)
