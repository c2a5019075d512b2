"""An engine that a signal has stopped is told of, with what lets it go on, to whoever looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from penstock.errors import TargetUnavailable
from penstock.spec import Step
from penstock_local import hooks, starting


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


def test_one_that_is_stopped_while_it_comes_up_is_told_of(places):
    """Before it has noted which process it is."""
    place = places(idle=300.0)
    place.wait(place.submit({"one": "true"}))
    publication = place.publish({"one": "true"})
    place.layout.trouble.unlink()
    engine = place.engine()
    os.kill(engine, signal.SIGSTOP)
    try:
        run = place.start(publication)
        place.until(lambda: not hooks.penstock_check_target(place.target).ok, "it does not say so")
        with pytest.raises(TargetUnavailable, match=f"process {engine}, was stopped by a signal"):
            place.get(run)
    finally:
        os.kill(engine, signal.SIGCONT)
    assert place.wait(run).state == "succeeded"


def test_who_is_stopped_while_it_starts_one_is_told_of(places):
    place = places(idle=300.0)
    place.publish({"one": "true"})
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from penstock_local import wake\n"
        "from penstock_local.layout import Layout\n"
        "claimed = wake.claim(Layout(Path(sys.argv[1])))\n"
        "os.kill(os.getpid(), signal.SIGSTOP)\n"
        "wake._start(Layout(Path(sys.argv[1])), claimed)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, place.layout.root]) as starter:
        assert os.waitid(os.P_PID, starter.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT).si_code == os.CLD_STOPPED
        run = place.submit({"one": "true"})
        with pytest.raises(TargetUnavailable, match=f"what starts the engine of .* {starter.pid}, was stopped"):
            place.get(run)
        assert not hooks.penstock_check_target(place.target).ok
        os.kill(starter.pid, signal.SIGCONT)
        assert starter.wait() == 0
        assert place.wait(run).state == "succeeded"


def test_a_start_that_takes_long_is_told_of_when_it_is_stopped(places, monkeypatch):
    """Who starts an engine hears nothing of it, and says why."""
    started = []

    def spawn(layout, files, environment, log) -> None:
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"
        engine = [sys.executable, "-c", code, "penstock_local.engine", str(layout.root)]
        started.append(subprocess.Popen(engine, pass_fds=files))
        os.waitid(os.P_PID, started[0].pid, os.WSTOPPED | os.WNOWAIT)

    monkeypatch.setattr(starting, "_PATIENCE", 0.2)
    monkeypatch.setattr(starting, "_spawn", spawn)
    with pytest.raises(TargetUnavailable, match="was stopped by a signal"):
        places(idle=300.0).submit({"one": "true"})
    started[0].send_signal(signal.SIGCONT)
    assert started[0].wait() == 0
