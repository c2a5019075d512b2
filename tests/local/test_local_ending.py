"""An engine that is told to end while something is put off or under way: what has ended by itself is not repeated."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from penstock.errors import ConfigInvalid, TargetUnavailable
from penstock.spec import Step
from penstock_local import hooks, journal, wake

PATCHED = """
import os, sys
from penstock_local import engine, processes, recovery, steps

def lacking(real):
    def call(*given, **named):
        if os.path.exists(sys.argv[2]):
            raise OSError(12, "Cannot allocate memory")
        return real(*given, **named)
    return call

def late(real):
    def call(*given):
        if not os.path.exists(sys.argv[2]):
            real(*given)
    return call

{patch}
sys.exit(engine.main([sys.argv[1]]))
"""
OUTPUTS_UNREADABLE = "steps.open_file = lacking(steps.open_file)"
NOTHING_LEARNED = "recovery._end = lacking(recovery._end)"
LEFTOVERS_STAY = "processes.signal_child = late(processes.signal_child)"


@pytest.fixture
def patched(places, tmp_path):
    """`patched(place, patch)`: an engine of which something does not work as long as there is the file `trouble`."""
    started = []

    def start(place, patch: str) -> subprocess.Popen:
        place.layout.make()
        (tmp_path / "trouble").touch()
        words = [sys.executable, "-c", PATCHED.format(patch=patch), str(place.layout.root), str(tmp_path / "trouble")]
        started.append(subprocess.Popen(words))
        place.until(lambda: wake.listening(place.layout), "the engine does not come up")
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def traces(place):
    found = {}
    for path in place.layout.keepers.iterdir():
        found |= journal.read(path).traces
    return found.values()


def ended(place) -> int:
    """How many ends keepers have noted."""
    return sum(trace.code is not None for trace in traces(place))


def told_to_end(process, tmp_path) -> None:
    (tmp_path / "trouble").unlink()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0


def counted(tmp_path, name: str, then: str = "", **more) -> Step:
    """A step that notes that it began, and waits for a file."""
    wait = f"until test -e {tmp_path}/go.{name}; do sleep 0.02; done"
    script = f"echo x >> {tmp_path}/up.{name}; {wait}; {then} echo 5 > $0"
    return Step(command=["sh", "-c", script, "${{ outputs.n }}"], outputs={"n": "integer"}, **more)


def starts(tmp_path, name: str) -> int:
    path = tmp_path / f"up.{name}"
    return path.read_text().count("x") if path.exists() else 0


@pytest.mark.thorough
def test_an_end_of_which_the_outputs_could_not_be_read(places, patched, tmp_path):
    place = places(grace=0.2)
    process = patched(place, OUTPUTS_UNREADABLE)
    (tmp_path / "go.a").touch()
    run = place.submit({"a": counted(tmp_path, "a")})
    place.until(lambda: b"Cannot allocate" in place.layout.trouble.read_bytes(), "it does not pause")
    told_to_end(process, tmp_path)
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path, "a") == 1


def test_what_an_engine_has_not_learned_yet_of_the_one_before(places, patched, tmp_path):
    place = places(grace=0.2)
    run = place.submit({name: counted(tmp_path, name) for name in "ab"})
    place.until(lambda: [starts(tmp_path, name) for name in "ab"] == [1, 1], "the steps do not start")
    place.kill_engine()
    (tmp_path / "go.b").touch()
    place.until(lambda: ended(place) == 1, "the end is not noted")
    process = patched(place, NOTHING_LEARNED)
    place.until(lambda: b"Cannot allocate" in place.layout.trouble.read_bytes(), "it does not pause")
    told_to_end(process, tmp_path)
    (tmp_path / "go.a").touch()
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path, "b") == 1
    assert {step.attempt for step in place.get(run).steps} <= {1, 2}
    said = {name: place.log(run, name).decode() for name in "ab"}
    assert said == {
        "a": "--- begun again after: its engine was told to end ---\n" * (starts(tmp_path, "a") - 1),
        "b": "",
    }


def test_a_step_that_has_ended_and_of_which_something_is_left(places, patched, tmp_path):
    place = places(grace=0.2)
    process = patched(place, LEFTOVERS_STAY)
    (tmp_path / "go.a").touch()
    run = place.submit({"a": counted(tmp_path, "a", "setsid -f sleep 60;")})
    place.until(lambda: ended(place) == 1, "the end is not noted")
    time.sleep(0.3)  # so that the engine has heard of it, which is seen nowhere
    told_to_end(process, tmp_path)
    assert place.wait(run).state == "succeeded"
    assert starts(tmp_path, "a") == 1


@pytest.mark.parametrize("keeper", ["lives", "was killed"])
def test_steps_that_end_in_the_moment_in_which_the_engine_is_told_to(places, tmp_path, keeper):
    names = [f"s{number}" for number in range(20)]
    place = places(grace=0.2, slots=len(names))
    run = place.submit({name: counted(tmp_path, name) for name in names})
    place.until(lambda: all(starts(tmp_path, name) for name in names), "the steps do not start")
    engine = place.engine()
    if keeper == "was killed":
        place.kill(*place.keepers())
    go = threading.Thread(target=lambda: [(tmp_path / f"go.{name}").touch() for name in names])
    go.start()
    os.kill(engine, signal.SIGTERM)
    go.join()
    place.until(lambda: not place.alive(engine), "the engine does not end")
    noted = {step.name for step in place.get(run).steps if step.ended}
    report = place.wait(run)
    assert report.state == "succeeded"
    assert all(starts(tmp_path, name) == 1 for name in noted)
    assert {step.attempt for step in report.steps} <= {1, 2} and not any(step.error for step in report.steps)


def test_an_engine_that_does_not_end_is_told_of(place, monkeypatch):
    monkeypatch.setattr(wake, "_PATIENCE", 0.2)
    place.layout.make()
    lock, pipe = wake.claim(place.layout)
    os.close(pipe)  # as one that is ending
    with pytest.raises(TargetUnavailable, match=r"takes nothing more and has not ended for 0\.2 s") as caught:
        place.submit({"one": "true"})
    assert caught.value.code == "engine_not_started"
    os.close(lock)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a root to somebody else: needs root")
def test_nobody_clears_what_is_somebody_elses(place, monkeypatch):
    run = place.submit({"one": "true"})
    place.wait(run)
    place.kill_both()
    for path in (place.layout.root, *place.layout.root.rglob("*")):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    monkeypatch.setenv("PENSTOCK_TRUST", str(place.folder))
    with pytest.raises(ConfigInvalid) as caught:
        hooks.penstock_clear_run(place.target, run)
    assert caught.value.code == "not_owned" and place.layout.run(run.id).exists()
