"""Nothing is lost and nothing is left over: kill -9 of engine, step and submitter, cancel, processes that run away."""

import os
import signal
import subprocess
import sys
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.contract.run import RunRef
from penstock.spec import Retry, Step
from penstock_local import processes

DAEMON = (
    'setsid -f sh -c \'echo $$ > "$1.new"; mv "$1.new" "$1"; exec sleep 300\' sh "$1"; '
    'while ! test -e "$1"; do sleep 0.01; done; '
)
"""Starts a process in a session of its own whose parent is gone, and waits until its pid is in the file."""


def pid_in(path) -> int:
    return int(path.read_text())


def runaway(place, path, then="true", **more) -> Step:
    return Step(command=["sh", "-c", DAEMON + then, "sh", str(path)], **more)


def test_a_daemon_ends_with_its_step(place, tmp_path):
    run = place.submit({"one": runaway(place, tmp_path / "pid")})
    assert place.wait(run).state == "succeeded"
    assert not place.alive(pid_in(tmp_path / "pid"))


def test_a_daemon_ends_with_a_failed_step_and_with_its_own_children(place, tmp_path):
    nest = f"setsid -f sh -c 'setsid -f sh -c \"echo \\$\\$ > {tmp_path}/inner; exec sleep 300\"; sleep 300'; "
    wait = f"while ! test -s {tmp_path}/inner; do sleep 0.01; done; exit 2"
    run = place.submit({"one": runaway(place, tmp_path / "pid", nest + wait)})
    assert place.wait(run).state == "failed"
    assert not place.alive(pid_in(tmp_path / "pid"))
    assert not place.alive(pid_in(tmp_path / "inner"))


def test_a_child_in_the_background_ends_with_its_step(place, tmp_path):
    run = place.submit({"one": Step(command=["sh", "-c", f"sleep 300 & echo $! > {tmp_path}/pid"])})
    assert place.wait(run).state == "succeeded"
    assert not place.alive(pid_in(tmp_path / "pid"))


def test_a_daemon_that_threw_its_environment_away_ends_soon_after(place, tmp_path):
    script = f"setsid -f env -i /bin/sh -c 'echo $$ > {tmp_path}/pid; exec /bin/sleep 300'; sleep 0.3"
    run = place.submit({"one": Step(command=["sh", "-c", script])})
    assert place.wait(run).state == "succeeded"
    pid = pid_in(tmp_path / "pid")
    place.until(lambda: not place.alive(pid), "the daemon is still there")


def test_a_daemon_of_a_running_step_is_left_alone(place, tmp_path):
    keep = f"while ! test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"long": runaway(place, tmp_path / "pid", keep), "short": runaway(place, tmp_path / "pid2")})
    place.until(lambda: place.states(run)["short"] == "succeeded", "the short step does not end")
    place.until((tmp_path / "pid").exists, "the long step does not start")
    ended = pid_in(tmp_path / "pid2")
    # One that is met between two programs has no environment, and is looked at once more.
    place.until(lambda: not place.alive(ended), "the daemon of the short step is still there")
    assert place.states(run)["long"] == "running"
    assert place.alive(pid_in(tmp_path / "pid"))
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert not place.alive(pid_in(tmp_path / "pid"))


HELPERS = {
    "in its group": "(env -i PATH=$PATH {} &)",
    "in a session": "setsid -f sh -c '(env -i PATH=$PATH {} >/dev/null 2>&1 &); sleep 300'",
    "with its log": "env -i PATH=$PATH setsid -f {}",
    "silent": "env -i PATH=$PATH setsid -f {} >/dev/null 2>&1",
}
"""How a step starts a process that has neither its environment nor a parent, and what may tell whose it is."""


def helped(path, how, then) -> Step:
    (path.parent / "helper").write_text(f"echo $$ > {path}; exec sleep 300\n")
    start = HELPERS[how].format(f"sh {path.parent}/helper")
    return Step(command=["sh", "-c", f"{start}; until test -s {path}; do sleep 0.01; done; {then}"])


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", HELPERS)
def test_a_helper_without_an_environment_lives_for_as_long_as_its_step(place, tmp_path, how):
    keep = f"until test -e {tmp_path}/go; do sleep 0.02; done"
    run = place.submit({"one": helped(tmp_path / "pid", how, keep)})
    place.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the helper does not start")
    for _ in range(3):
        assert place.wait(place.submit({"other": "sleep 0.2"})).state == "succeeded"
    pid = pid_in(tmp_path / "pid")
    assert place.alive(pid)
    later = place.submit({"later": "sleep 300"})
    place.until(lambda: place.states(later)["later"] == "running", "the later step does not start")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    # It began before the later step, and is not taken for its own.
    place.until(lambda: not place.alive(pid), "the helper is still there")
    assert place.cancel(later)
    assert place.wait(later).state == "canceled"


@pytest.mark.parametrize(("how", "waits"), [("with its log", False), ("silent", True)])
def test_what_may_be_another_steps_waits_for_the_end_of_that_and_no_longer(place, tmp_path, how, waits):
    keep = f"until test -e {tmp_path}/go; do sleep 0.02; done"
    long = place.submit({"long": Step(command=["sh", "-c", f"touch {tmp_path}/up; {keep}"])})
    place.until((tmp_path / "up").exists, "the long step does not start")
    assert place.wait(place.submit({"one": helped(tmp_path / "pid", how, "true")})).state == "succeeded"
    pid = pid_in(tmp_path / "pid")
    if waits:
        for _ in range(2):
            assert place.wait(place.submit({"other": "sleep 0.2"})).state == "succeeded"
        assert place.alive(pid)
        (tmp_path / "go").touch()
    place.until(lambda: not place.alive(pid), "the helper is still there")
    (tmp_path / "go").touch()
    assert place.wait(long).state == "succeeded"


def test_cancel_ends_the_whole_tree_and_what_has_not_started(place, tmp_path):
    run = place.submit(
        {"one": runaway(place, tmp_path / "pid", "sleep 300"), "two": Step(command="true", after=("one",))}
    )
    place.until((tmp_path / "pid").exists, "the step does not start")
    assert place.cancel(run) is True
    report = place.wait(run)
    assert (report.state, report.error) == ("canceled", None)
    assert place.states(run) == {"one": "canceled", "two": "canceled"}
    assert not place.alive(pid_in(tmp_path / "pid"))
    assert place.cancel(run) is False
    assert place.get(run).state == "canceled"


def test_cancel_kills_what_does_not_listen(places, tmp_path):
    place = places(grace=0.3)
    deaf = "trap '' TERM; "
    run = place.submit({"one": Step(command=["sh", "-c", deaf + DAEMON + "sleep 300", "sh", str(tmp_path / "pid")])})
    place.until((tmp_path / "pid").exists, "the step does not start")
    place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert place.steps(run)["one"].exit_code == 128 + signal.SIGKILL
    assert not place.alive(pid_in(tmp_path / "pid"))


def test_a_child_has_the_time_of_grace_even_when_its_parent_goes_at_once(places, tmp_path):
    place = places(grace=10.0)
    child = (
        f"trap 'sleep 0.3; echo saved > {tmp_path}/saved; exit' TERM; touch {tmp_path}/up; while :; do sleep 0.05; done"
    )
    run = place.submit({"one": Step(command=["sh", "-c", 'sh -c "$1"; true', "sh", child])})
    place.until((tmp_path / "up").exists, "the step does not start")
    place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert (tmp_path / "saved").exists()


def test_cancel_before_the_first_step_starts(places):
    place = places(slots=1)
    first = place.submit({"one": "sleep 300"})
    second = place.submit({"one": "true"})
    assert place.cancel(second)
    assert place.wait(second).state == "canceled"
    report = place.get(second)
    assert (report.started, report.steps[0].attempt) == (None, 0)
    place.cancel(first)
    assert place.wait(first).state == "canceled"


def test_cancel_while_a_step_waits_to_be_tried_again(place):
    run = place.submit({"one": Step(command="false", retry=Retry(attempts=2, delay=60.0))})
    place.until(lambda: b"attempt 2 of 2" in place.log(run, "one"), "the first attempt does not fail")
    assert place.states(run) == {"one": "running"}
    place.cancel(run)
    assert place.wait(run).state == "canceled"


def test_kill_of_a_step_fails_it(place, tmp_path):
    run = place.submit({"one": Step(command=["sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 300"])})
    place.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the step does not start")
    os.kill(pid_in(tmp_path / "pid"), signal.SIGKILL)
    report = place.wait(run)
    assert report.error.message == "step `one`: ended by signal SIGKILL"


def interruptible(tmp_path) -> dict[str, Step]:
    """A step that notes every start and goes on once `go` is there, with a daemon; one before, one after it."""
    script = f'rm -f "$1"; {DAEMON} echo x >> {tmp_path}/starts; while ! test -e {tmp_path}/go; do sleep 0.02; done'
    return {
        "before": Step(command=["sh", "-c", f"echo x >> {tmp_path}/before"]),
        "one": Step(command=["sh", "-c", script, "sh", str(tmp_path / "pid")], after=("before",)),
        "then": Step(command="true", after=("one",)),
    }


def starts(tmp_path) -> int:
    return (tmp_path / "starts").read_text().count("x") if (tmp_path / "starts").exists() else 0


def test_after_kill_of_engine_and_keeper_the_next_one_ends_what_is_left_and_goes_on(place, tmp_path):
    run = place.submit(interruptible(tmp_path))
    place.until(lambda: starts(tmp_path) == 1, "the step does not start")
    daemon = pid_in(tmp_path / "pid")
    place.kill_both()
    assert place.alive(daemon)
    assert place.get(run).state == "running"  # this look starts the next engine
    place.until(lambda: starts(tmp_path) == 2, "the step is not started again")
    assert not place.alive(daemon)
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert (tmp_path / "before").read_text() == "x\n"
    one = place.steps(run)["one"]
    assert (one.attempt, one.error) == (2, None)


@pytest.mark.thorough
def test_a_step_that_is_cut_short_again_and_again_is_given_up(place, tmp_path):
    run = place.submit(interruptible(tmp_path))
    for count in (1, 2, 3):
        place.until(lambda count=count: place.get(run) and starts(tmp_path) == count, "the step does not start")
        place.kill_both()
    report = place.wait(run)
    assert (report.state, report.error.code) == ("failed", "step_interrupted")
    assert place.states(run) == {"before": "succeeded", "one": "failed", "then": "skipped"}
    assert not place.alive(pid_in(tmp_path / "pid"))


def test_an_engine_that_is_asked_to_end_takes_its_steps_along_and_they_lose_nothing(place, tmp_path):
    run = place.submit(interruptible(tmp_path))
    for count in (1, 2, 3, 4):
        place.until(lambda count=count: place.get(run) and starts(tmp_path) == count, "the step does not start")
        engine = place.engine()
        os.kill(engine, signal.SIGTERM)
        place.until(lambda engine=engine: not place.alive(engine), "the engine does not end")
        assert not place.alive(pid_in(tmp_path / "pid"))
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"


def test_a_cancel_while_no_engine_runs_is_acted_on_by_the_next(place, tmp_path):
    run = place.submit(interruptible(tmp_path))
    place.until(lambda: starts(tmp_path) == 1, "the step does not start")
    engine = place.engine()
    os.kill(engine, signal.SIGKILL)
    place.until(lambda: not place.alive(engine), "the engine does not die")
    assert place.cancel(run) is True
    assert place.wait(run).state == "canceled"
    assert not place.alive(pid_in(tmp_path / "pid"))
    assert starts(tmp_path) == 1


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.lists(st.sets(st.integers(0, 5), max_size=2), min_size=2, max_size=6),
    waits=st.lists(st.floats(0.0, 0.25), min_size=1, max_size=2),
)
def test_whenever_the_engine_is_killed_no_run_is_lost_and_no_finished_step_runs_again(place, shape, waits):
    starts = place.folder / str(uuid.uuid4())
    steps = {}
    for number, after in enumerate(shape):
        script = f"echo s{number} >> {starts}; sleep 0.03; printf {number} > $1"
        steps[f"s{number}"] = Step(
            command=["sh", "-c", script, "sh", "${{ outputs.x }}"],
            outputs={"x": "integer"},
            after=tuple(f"s{other}" for other in sorted(after) if other < number),
        )
    run = place.submit(steps)
    finished: dict[str, int] = {}
    for seconds in waits:
        time.sleep(seconds)
        for pid in place.engines():
            os.kill(pid, signal.SIGKILL)
            place.until(lambda pid=pid: not place.alive(pid), "the engine does not die")
        lines = starts.read_text().split() if starts.exists() else []
        for name, state in place.states(run).items():
            if state == "succeeded":
                finished.setdefault(name, lines.count(name))
    report = place.wait(run)
    assert report.state == "succeeded", report.error
    assert {step.name: step.outputs["x"] for step in report.steps} == {f"s{n}": str(n) for n in range(len(shape))}
    lines = starts.read_text().split()
    assert {name: lines.count(name) for name in finished} == finished
    assert set(lines) == set(steps)


def test_every_child_is_found_though_the_kernel_tells_of_no_more_than_a_page_of_them_at_once():
    begun = {os.posix_spawn("/bin/sleep", ["sleep", "300"], {}) for _ in range(1200)}
    try:
        assert begun <= set(processes.children())
    finally:
        for pid in begun:
            os.kill(pid, signal.SIGKILL)
        for pid in begun:
            os.waitpid(pid, 0)


def test_children_are_found_without_help_of_the_kernel(monkeypatch):
    with subprocess.Popen(["sleep", "300"]) as child:
        found = processes.children()
        monkeypatch.setattr(processes, "_CHILDREN", "/proc/self/absent")
        assert child.pid in found
        assert set(processes.children()) == set(found)
        child.kill()


SUBMIT = """
import os, signal, sys
from pathlib import Path
from penstock.contract.run import RunRequest
from penstock.contract.target import Publication, Target
from penstock_local import hooks, wake
from penstock_local.options import LocalOptions
target = Target(name="here", backend="local", options=LocalOptions(), home=Path(sys.argv[1]))
if sys.argv[4] == "before":
    wake.wake = lambda layout: os.kill(os.getpid(), signal.SIGKILL)
hooks.penstock_submit_run(
    target, RunRequest(id=sys.argv[2], publication=Publication(external=sys.argv[3]), pipeline="test")
)
os.kill(0, signal.SIGKILL)
"""


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_outlives_whoever_submitted_it(place, when):
    publication = place.publish({"one": "sleep 0.1"})
    submitter = subprocess.run(
        [sys.executable, "-c", SUBMIT, str(place.target.home), "run-1", publication.external, when],
        check=False,
        start_new_session=True,
    )
    assert submitter.returncode == -signal.SIGKILL
    again = place.start(publication, run="run-2")
    first = RunRef(id="run-1", publication=publication)
    assert place.wait(first).state == "succeeded"
    assert place.steps(first)["one"].attempt == 1
    assert place.wait(again).state == "succeeded"
