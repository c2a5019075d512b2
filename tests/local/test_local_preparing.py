"""Unpacking and clearing up beside the loop: nothing waits for it, nothing is lost or doubled by it."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from penstock.contract.run import BoundParameters
from penstock.spec import Parameter, Resources, Retry, Step
from penstock_local import environments, steps, store, wake
from penstock_local.jobs import Job
from penstock_local.preparation import Preparation
from penstock_local.workers import MOST, MOST_REMOVING, Workers

SLOW = """
import sys, time
from pathlib import Path
from penstock_local import engine, unpacked
folder, extract = Path({folder!r}), unpacked.extract
def slow(archive, destination, **how):
    with (folder / "unpacking").open("a") as file:
        file.write("x\\n")
    while not (folder / "unpack").exists():
        time.sleep(0.01)
    extract(archive, destination, **how)
unpacked.extract = slow
sys.exit(engine.main(sys.argv[1:]))
"""
"""An engine whose disk is so slow that unpacking takes until the test says so."""


class SlowDisk:
    """The target of a test, its engines started by hand."""

    def __init__(self, place, folder):
        self.place, self.folder = place, folder
        (place.spec / "src").mkdir()
        (place.spec / "src" / "a.txt").write_text("code")
        self.engines = []

    def start(self):
        command = [sys.executable, "-c", SLOW.format(folder=str(self.folder)), str(self.place.layout.root)]
        self.engines.append(subprocess.Popen(command))
        engine = self.engines[-1]  # which may have come, worked and gone by the time that it is looked for
        self.place.until(lambda: engine.poll() == 0 or wake.listening(self.place.layout), "the engine does not come up")
        return self.engines[-1]

    def unpacking(self) -> int:
        path = self.folder / "unpacking"
        return len(path.read_text().split()) if path.exists() else 0

    def until_unpacking(self, count=1):
        self.place.until(lambda: self.unpacking() >= count, "nothing is unpacked")

    def go(self):
        (self.folder / "unpack").touch()


@pytest.fixture
def slow(places, tmp_path, monkeypatch):
    disk = SlowDisk(places(slots=2, grace=0.2, idle=0.0), tmp_path)
    monkeypatch.setattr(wake, "_start", lambda layout, claimed: [os.close(file) for file in claimed])
    # Who looks starts none either: where the last one has just gone, `wake` would wait for one that never comes.
    monkeypatch.setattr(wake, "heal", lambda layout, waiting: None)
    yield disk
    for engine in disk.engines:
        engine.kill()
        engine.wait()


def coded(tmp_path, name="ran", **more) -> Step:
    return Step(command=["sh", "-c", f"cat a.txt >> {tmp_path}/{name}"], code="./src", **more)


def submit(slow, steps, **more):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        run = slow.place.submit(steps, **more)
    wake.ring(slow.place.layout)
    return run


def test_ends_timeouts_and_cancels_do_not_wait_for_what_is_unpacked(slow, tmp_path):
    big = submit(slow, {"one": coded(tmp_path)})
    slow.start()
    slow.until_unpacking()
    late = submit(slow, {"one": Step(command="sleep 60", timeout=0.3)})
    report = slow.place.wait(late)
    assert report.error.code == "step_timeout"
    assert (report.ended - report.started).total_seconds() < 2
    told = submit(slow, {"one": "sleep 60"})
    slow.place.until(lambda: slow.place.get(told).state == "running", "the step does not start")
    assert slow.place.cancel(told)
    assert slow.place.wait(told).state == "canceled"
    assert slow.place.wait(submit(slow, {"a": "true", "b": Step(command="true", after=("a",))})).state == "succeeded"
    report = slow.place.get(big)
    assert (report.state, report.started, report.steps[0].state, report.steps[0].attempt) == (
        "queued",
        None,
        "queued",
        0,
    )
    slow.go()
    assert slow.place.wait(big).state == "succeeded"
    assert slow.place.steps(big)["one"].attempt == 1
    assert (tmp_path / "ran").read_text() == "code"


def test_what_is_being_unpacked_holds_its_slots(slow, tmp_path):
    big = submit(slow, {"a": coded(tmp_path, "a", resources=Resources(cpu=2)), "b": coded(tmp_path, "b")})
    small = submit(slow, {"one": "true"})
    slow.start()
    slow.until_unpacking()
    time.sleep(0.2)
    assert slow.unpacking() == 1
    assert slow.place.get(small).state == "queued"
    slow.go()
    assert slow.place.wait(big).state == slow.place.wait(small).state == "succeeded"
    assert slow.place.steps(small)["one"].started >= slow.place.steps(big)["a"].ended


def test_a_cancel_while_code_is_unpacked_ends_the_run_at_once_and_starts_nothing(slow, tmp_path):
    run = submit(slow, {"one": coded(tmp_path), "two": Step(command="true", after=("one",))})
    engine = slow.start()
    slow.until_unpacking()
    assert slow.place.cancel(run)
    report = slow.place.wait(run)
    assert (report.state, report.started, {step.state for step in report.steps}) == ("canceled", None, {"canceled"})
    assert engine.poll() is None  # it stays until nothing is left to clear up
    slow.go()
    assert engine.wait(20) == 0
    assert not (tmp_path / "ran").exists()
    assert list((slow.place.layout.run(run.id) / "work").iterdir()) == []
    assert [one.name for one in slow.place.layout.temporaries.iterdir() if one.name != ".where"] == []


@pytest.mark.thorough
def test_after_kill_of_the_engine_while_code_is_unpacked_the_attempt_is_made_once(slow, tmp_path):
    run = submit(slow, {"one": coded(tmp_path)})
    for count in range(1, 6):  # more often than a step may be cut short: nothing of it was started
        engine = slow.start()
        slow.until_unpacking(count)
        engine.kill()
        assert engine.wait() == -signal.SIGKILL
    slow.go()
    slow.start()
    report = slow.place.wait(run)
    assert (report.state, report.steps[0].attempt) == ("succeeded", 1)
    assert (tmp_path / "ran").read_text() == "code"


@pytest.mark.thorough
def test_an_engine_that_is_asked_to_end_does_not_wait_for_what_is_unpacked(slow, tmp_path):
    run = submit(slow, {"one": coded(tmp_path)})
    engine = slow.start()
    slow.until_unpacking()
    engine.terminate()
    assert engine.wait(10) == 0
    slow.go()
    slow.start()
    assert slow.place.wait(run).state == "succeeded"
    assert (tmp_path / "ran").read_text() == "code"


def test_code_that_cannot_be_unpacked_is_tried_again_and_fails_the_step(place, tmp_path):
    (place.spec / "src").mkdir()
    (place.spec / "src" / "a.txt").write_text("code")
    publication = place.publish({"one": coded(tmp_path, retry=Retry(attempts=2)), "two": "true"})
    for archive in place.layout.archives.iterdir():
        archive.unlink()
    run = place.start(publication)
    report = place.wait(run)
    assert (report.state, report.error.code, report.error.step) == ("failed", "step_not_started", "one")
    assert "is missing" in report.error.message
    assert b"attempt 2 of 2" in place.log(run, "one")
    assert place.states(run) == {"one": "failed", "two": "succeeded"}
    assert place.layout.log.read_text() == ""


def test_a_bundled_default_that_many_steps_read_is_unpacked_once(slow, tmp_path):
    (slow.place.spec / "data").mkdir()
    (slow.place.spec / "data" / "rows.csv").write_text("1,2\n")
    parameters = {"rows": Parameter("file", default="./data/rows.csv")}
    step = Step(command=["cat", "${{ inputs.rows }}"], inputs={"rows": "${{ parameters.rows }}"})
    steps = {f"s{number}": step for number in range(4)}
    run = submit(slow, steps, parameters=parameters, bundled={"rows": "./data/rows.csv"})
    slow.start()
    slow.until_unpacking()
    time.sleep(0.1)
    slow.go()
    assert slow.place.wait(run).state == "succeeded"
    assert {slow.place.log(run, name) for name in steps} == {b"1,2\n"}
    assert slow.unpacking() == 1


def test_a_full_temporary_folder_is_gone_soon_after_its_step(place):
    fill = 'mkdir "$TMPDIR/d"; for n in 1 2 3; do echo x > "$TMPDIR/d/$n"; done'
    run = place.submit({"one": Step(command=["sh", "-c", fill])})
    assert place.wait(run).state == "succeeded"
    place.until(lambda: [one.name for one in place.layout.temporaries.iterdir()] == [".where"], "the folder stays")


def test_workers_are_bounded_and_tell_everything_in_the_thread_that_collects():
    told, rung, here = [], [], threading.get_ident()
    at_once, most, lock = 0, 0, threading.Lock()

    def work(number):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.01)
        with lock:
            at_once -= 1
        if number % 5 == 0:
            raise RuntimeError(str(number))
        return number

    workers = Workers(lambda: rung.append(threading.get_ident()), 4)
    for number in range(30):
        workers.start(lambda number=number: work(number), lambda result: told.append((threading.get_ident(), result)))
    deadline = time.monotonic() + 20
    while workers.open and time.monotonic() < deadline:
        workers.collect()
        time.sleep(0.005)
    assert workers.open == 0
    assert {thread for thread, _ in told} == {here}
    assert sorted(int(str(result)) for _, result in told) == list(range(30))
    assert sum(isinstance(result, RuntimeError) for _, result in told) == 6
    assert len(rung) == 30 and here not in rung
    assert 1 < most <= 4


def test_nobody_waits_for_what_others_have_removed_or_copied(place, monkeypatch):
    """A step with a little code begins while huge folders are removed and huge archives are copied for others."""
    (place.spec / "src").mkdir()
    (place.spec / "src" / "one.py").write_text("")
    busy, begun = threading.Event(), []
    copied = steps.copy_tree

    def copy(source, destination):
        begun.append(destination)
        copied(source, destination)

    monkeypatch.setattr(steps, "copy_tree", copy)
    place.layout.make()
    ready = []
    preparation = Preparation(place.layout, lambda: None, lambda step, result: ready.append(result))
    for _ in range(MOST_REMOVING):
        preparation._removing.start(busy.wait, lambda result: None)
    for _ in range(MOST - 1):
        preparation._workers.start(busy.wait, lambda result: None)
    publication = place.publish({"one": Step(command="true", code="src")})
    plan = store.read_plan(place.layout, publication.external)
    (step,) = Job.of(1, "run", plan, BoundParameters(), {}).ready()
    step.begin("token", 1)
    preparation.start(step)
    place.until(lambda: preparation.collect() or ready, "the step waits for others")
    assert isinstance(ready[0], steps.Prepared) and len(begun) == 1
    environment = place.layout.environment_of("run")
    environments.keep(place.layout, "run", {"SECRET": "x"}, {})
    preparation.forget("run")
    place.until(lambda: not environment.exists(), "a secret waits for what others have removed")
    busy.set()
    place.until(lambda: preparation.collect() or not preparation.busy, "the workers do not end")


def test_removals_do_not_meet_in_a_folder(place):
    """A run's copies go when it is over, and an attempt's among them just before."""
    place.layout.make()
    preparation = Preparation(place.layout, lambda: None, lambda step, result: None)
    copies = place.layout.inputs_of("run")
    for _ in range(20):
        for number in range(40):
            (copies / "one.1" / "a" / f"{number}" / "b").mkdir(parents=True)
        preparation._remove([f"{copies}/one.1"])
        preparation.forget("run")
        place.until(lambda: preparation.collect() or not preparation.busy, "the workers do not end")
        assert not copies.exists()
