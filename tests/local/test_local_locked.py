"""Somebody else has the queue's write lock and does not let it go: what runs is looked after all the same."""

import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys

import pytest

from penstock.errors import TargetUnavailable
from penstock.spec import Step
from penstock.testing.processes.killing import kill_naming
from penstock_local import hooks, troubles
from penstock_local.layout import Layout

LOCK = """
import os, signal, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("locked", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@contextlib.contextmanager
def locked(place):
    """Somebody begins to write to the queue and is stopped then; gives its pid."""
    command = [sys.executable, "-c", LOCK, str(place.layout.queue)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "locked\n"
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            yield process.pid
        finally:
            process.kill()


def told(place, run) -> str:
    try:
        place.get(run)
    except TargetUnavailable as error:
        return f"{error.code}: {error}"
    return ""


@pytest.mark.thorough
def test_timeouts_and_cancels_go_on_and_it_is_said_who_has_the_lock(places, tmp_path):
    place = places(grace=0.5)
    go, up = tmp_path / "go", tmp_path / "up"
    end = f"trap 'touch {tmp_path}/term.$0; exit 1' TERM; touch {up}.$0; while :; do sleep 0.05; done"
    other = place.submit({"first": f"sh -c 'until test -e {go}; do sleep 0.02; done'", "then": Step(command="true")})
    run = place.submit({"one": Step(command=["sh", "-c", end, "one"], timeout=3.0)})
    deaf = place.submit({"two": Step(command=["sh", "-c", end, "two"])})
    place.until(lambda: (tmp_path / "up.one").exists(), "the step does not start")
    engine = place.engine()
    with locked(place) as pid:
        go.touch()  # an end that is to be written down
        place.until(lambda: "engine_paused" in told(place, other), "it is not said")
        assert re.search(rf"`queue\.db` is locked by process {pid} \(.*\), which is stopped", told(place, other))
        health = hooks.penstock_check_target(place.target)
        assert not health.ok and f"process {pid}" in "\n".join(health.lines)
        place.until(lambda: (tmp_path / "term.one").exists(), "the timeout waits for the lock")
    place.until(lambda: not any(told(place, one) for one in (run, deaf, other)), "it does not go on")
    report = place.wait(run)
    assert (report.state, report.steps[0].error.code) == ("failed", "step_timeout")
    assert place.cancel(deaf)
    assert place.wait(deaf).state == "canceled" and place.wait(other).state == "succeeded"
    assert place.engine() == engine and {step.attempt for step in place.get(other).steps} == {1}


def test_a_cancel_that_was_asked_before_is_heard(places, tmp_path):
    place = places(grace=60.0)
    script = f"trap 'touch {tmp_path}/term; exit 1' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    run = place.submit({"one": Step(command=["sh", "-c", script])})
    place.until((tmp_path / "up").exists, "the step does not start")
    os.kill(place.engine(), signal.SIGSTOP)
    assert place.cancel(run)
    with locked(place):
        os.kill(place.engine(), signal.SIGCONT)
        place.until((tmp_path / "term").exists, "the cancel waits for the lock")
    place.until(lambda: not told(place, run), "it does not go on")
    assert place.wait(run).state == "canceled"


@pytest.mark.thorough
def test_an_engine_that_is_ended_meanwhile_repeats_nothing_that_has_ended(places, tmp_path):
    place = places()
    script = f"echo x >> {tmp_path}/starts; until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": Step(command=["sh", "-c", script])})
    place.until((tmp_path / "starts").exists, "the step does not start")
    engine = place.engine()
    with locked(place):
        (tmp_path / "go").touch()
        place.until(lambda: "engine_paused" in told(place, run), "it is not said")
        os.kill(engine, signal.SIGTERM)
        place.until(lambda: not place.alive(engine), "the engine does not end", 60.0)
    place.until(lambda: not told(place, run), "it does not go on")
    assert place.wait(run).state == "succeeded"
    assert (tmp_path / "starts").read_text() == "x\n"


@pytest.mark.thorough
def test_an_engine_that_cannot_begin_for_it_says_who_has_the_lock(places, tmp_path):
    place = places()
    run = place.submit({"one": Step(command=["sh", "-c", f"until test -e {tmp_path}/go; do sleep 0.02; done"])})
    place.kill_both()
    kill_naming(tmp_path)  # a step that had begun: while one lives, the root is a copy of the one that it lives in
    with contextlib.closing(sqlite3.connect(place.layout.queue)) as database, database:
        database.execute("UPDATE root SET inode = '1'")  # as put back from a backup: the next one takes it for its own
    with locked(place) as pid:
        said = []
        place.until(lambda: said.append(told(place, run)) or said[-1], "it is not said")
        assert "engine_not_started" in said[-1] and f"`queue.db` is locked by process {pid}" in said[-1]
    (tmp_path / "go").touch()
    place.until(lambda: not told(place, run), "it does not go on")
    assert place.wait(run).state == "succeeded"


def test_the_rest_between_two_tries_stays_short_for_a_lock(tmp_path):
    layout = Layout(tmp_path)
    pause = troubles.Pause(layout)
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY
    rests = []
    for _ in range(8):
        rests.append(pause.begin(error))
        pause._until = 0.0
    assert max(rests) <= 1.0
    assert "`queue.db` is locked by another process" in str(troubles.noted(layout))
