"""What the machine lacks for a while is no step's failure: nothing fails or is counted, and it goes on by itself."""

import os
import re
import resource
import signal
from pathlib import Path

import pytest

from penstock.contract.run import ENDED
from penstock.errors import TargetUnavailable
from penstock.spec import Step
from penstock_local import hooks
from penstock_local.clock import Clock
from penstock_local.retrying import Retrying

FILES = 2500


def held(tmp_path) -> Step:
    """A step that says that it has begun, and ends when it may."""
    return Step(command=["sh", "-c", f"echo x >> {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.02; done"])


def begun(tmp_path) -> bool:
    return (tmp_path / "up").exists()


def paused(place, run) -> bool:
    try:
        place.get(run)
    except TargetUnavailable as error:
        assert error.code == "engine_paused"
        return True
    return False


def end_of(place, run) -> str:
    place.until(lambda: not paused(place, run) and place.get(run).state in ENDED, "the run does not end")
    return place.get(run).state


def hold_up(place, run, tmp_path, *, why: str) -> None:
    """See that the engine waits, says so, and has not ended."""
    engine = place.engine()
    place.until(lambda: paused(place, run), "the engine does not say that it waits")
    with pytest.raises(TargetUnavailable, match=rf"waits for this machine: .*{why}.*goes on by itself"):
        place.get(run)
    health = hooks.penstock_check_target(place.target)
    assert not health.ok
    assert re.search(why, health.lines[-1])
    assert place.engine() == engine


@pytest.mark.parametrize("what", ["bytes", "inodes"])
def test_a_full_disk_fails_nothing(places, small_disk, tmp_path, what):
    disk = small_disk(**({"nr_inodes": 120} if what == "inodes" else {}))
    place = places(root=disk.folder / "root", slots=2, grace=0.2)
    steps = {"first": held(tmp_path)}
    steps |= {f"s{n}": Step(command=["sh", "-c", f"echo {n} >> {tmp_path}/ran"], after=("first",)) for n in range(12)}
    run = place.submit(steps)
    place.until(lambda: begun(tmp_path), "the step does not start")
    disk.fill_inodes() if what == "inodes" else disk.fill()
    (tmp_path / "go").touch()
    hold_up(place, run, tmp_path, why="(full|No space left)")
    disk.clear()
    assert end_of(place, run) == "succeeded"
    assert {(step.state, step.attempt) for step in place.steps(run).values()} == {("succeeded", 1)}
    assert sorted((tmp_path / "ran").read_text().split(), key=int) == [str(n) for n in range(12)]
    assert (tmp_path / "up").read_text() == "x\n"
    assert hooks.penstock_check_target(place.target).ok


def test_what_runs_on_a_full_disk_can_be_canceled(places, small_disk, tmp_path):
    disk = small_disk()
    place = places(root=disk.folder / "root", grace=0.2)
    run = place.submit({"first": held(tmp_path), "second": Step(command="true", after=("first",))})
    place.until(lambda: begun(tmp_path), "the step does not start")
    disk.fill()
    (tmp_path / "go").touch()
    hold_up(place, run, tmp_path, why="(full|No space left)")
    # To ask for it takes a little room of the queue's own, which is there when there is any.
    os.kill(place.engine(), signal.SIGSTOP)
    disk.clear()
    assert place.cancel(run)
    os.kill(place.engine(), signal.SIGCONT)
    assert end_of(place, run) == "canceled"
    assert set(place.states(run).values()) <= {"canceled", "succeeded"} and place.states(run)["second"] == "canceled"


def test_a_step_that_cannot_be_prepared_keeps_the_engine_from_nothing(places, small_disk, tmp_path):
    """It is the next in line again as soon as it was put back."""
    disk = small_disk(nr_inodes=120)
    place = places(root=disk.folder / "root", slots=2, grace=0.2)
    steps = {"second": Step(command="true", after=("first",)), "third": Step(command="true", after=("second",))}
    run = place.submit({"first": held(tmp_path), **steps})  # the second may have been prepared before
    timed = place.submit({"long": Step(command=["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300"], timeout=2.0)})
    place.until(lambda: begun(tmp_path) and (tmp_path / "pid").exists(), "the steps do not start")
    disk.fill_inodes()
    (tmp_path / "go").touch()
    hold_up(place, run, tmp_path, why="No space left")
    pid = (tmp_path / "pid").read_text().strip()
    place.until(lambda: not Path(f"/proc/{pid}").exists(), "the engine does not hear of a timeout")
    disk.clear()
    assert end_of(place, run) == "succeeded"
    assert place.get(timed).error.code == "step_timeout"


def test_what_waits_for_the_end_of_a_pause_waits_once(place):
    """However much is put back: and it waits for the end of the next one too."""
    place.layout.make()
    clock = Clock()
    retrying = Retrying(place.layout, clock)
    for _ in range(1000):
        retrying.later(OSError(28, "No space left on device"))
    due = []
    clock.run(due.append)
    assert due == []
    place.until(lambda: not retrying.pauses, "the pause does not end")
    retrying.later(OSError(28, "No space left on device"))
    assert retrying.pauses
    clock.run(lambda act: due.append(act) or act())
    assert len(due) == 1 and retrying.any
    place.until(lambda: not retrying.pauses, "the pause does not end")
    clock.run(lambda act: due.append(act) or act())
    assert len(due) == 2 and not retrying.any


def test_what_comes_due_while_timers_run_waits_for_its_turn():
    """Else an action that takes long and has itself called again would leave time for nothing else."""
    clock, done = Clock(), []

    def again() -> None:
        done.append(True)
        clock.later(0.0, again)

    clock.later(0.0, again)
    clock.run(lambda act: act())
    assert len(done) == 1


def test_an_engine_without_open_files_fails_nothing(place, tmp_path):
    first = place.submit({"first": held(tmp_path)})
    place.until(lambda: begun(tmp_path), "the step does not start")
    engine = place.engine()
    usual = resource.prlimit(engine, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{engine}/fd")}
    few = min(set(range(len(used) + 1)) - used)
    resource.prlimit(engine, resource.RLIMIT_NOFILE, (few, usual[1]))
    runs = [place.submit({"one": Step(command="true", outputs={})}) for _ in range(8)]
    hold_up(place, runs[0], tmp_path, why="Too many open files|unable to open")
    resource.prlimit(engine, resource.RLIMIT_NOFILE, usual)
    (tmp_path / "go").touch()
    assert {end_of(place, run) for run in (first, *runs)} == {"succeeded"}
    assert {step.attempt for run in runs for step in place.get(run).steps} == {1}
    assert place.engine() == engine


@pytest.mark.thorough
def test_a_machine_without_processes_fails_nothing(place, tmp_path, few_processes):
    first = place.submit({"first": held(tmp_path)})
    place.until(lambda: begun(tmp_path), "the step does not start")
    engine = place.engine()
    few_processes(engine, *map(int, Path(f"/proc/{engine}/task/{engine}/children").read_text().split()))
    runs = [place.submit({"one": "true"}) for _ in range(8)]
    hold_up(place, runs[0], tmp_path, why="no process can be started")
    few_processes()
    (tmp_path / "go").touch()
    assert {end_of(place, run) for run in (first, *runs)} == {"succeeded"}
    assert {step.attempt for run in runs for step in place.get(run).steps} == {1}


def test_a_folder_of_path_that_is_no_use_does_not_hide_trouble_of_the_machine(place, tmp_path, few_processes):
    first = place.submit({"first": held(tmp_path)})
    place.until(lambda: begun(tmp_path), "the step does not start")
    engine = place.engine()
    few_processes(*map(int, Path(f"/proc/{engine}/task/{engine}/children").read_text().split()))
    (tmp_path / "loop").symlink_to("loop")
    run = place.submit({"one": Step(command="true", env={"PATH": f"{tmp_path}/loop:{os.defpath}"})})
    hold_up(place, run, tmp_path, why="no process can be started")
    few_processes()
    (tmp_path / "go").touch()
    assert {end_of(place, run) for run in (first, run)} == {"succeeded"}
    assert place.steps(run)["one"].attempt == 1


@pytest.fixture
def coded(places):
    """A target, and a publication of a step with so much code that it is prepared beside the engine's loop."""
    place = places(slots=4, grace=0.2)
    (place.spec / "src").mkdir()
    for number in range(FILES):
        (place.spec / "src" / f"f{number}.py").write_text(f"{number}")
    return place, place.publish({"one": Step(command=["true"], code="src")})


@pytest.mark.thorough
def test_an_engine_without_threads_fails_nothing(coded, tmp_path, few_processes):
    place, publication = coded
    first = place.submit({"first": held(tmp_path)})
    place.until(lambda: begun(tmp_path), "the step does not start")
    engine = place.engine()
    few_processes(engine)
    runs = [place.start(publication) for _ in range(3)]
    hold_up(place, runs[0], tmp_path, why="no process can be started")
    few_processes()
    (tmp_path / "go").touch()
    assert {end_of(place, run) for run in (first, *runs)} == {"succeeded"}
    assert {step.attempt for run in runs for step in place.get(run).steps} == {1}
    assert place.engine() == engine


@pytest.mark.thorough
def test_what_is_canceled_while_it_waits_prepared_stays_canceled(coded, tmp_path, few_processes):
    place, publication = coded
    first = place.submit({"first": held(tmp_path)})
    place.until(lambda: begun(tmp_path), "the step does not start")
    few_processes(*place.keepers())
    other = place.submit({"one": "true"})
    place.until(lambda: paused(place, other), "the engine does not say that it waits")
    run = place.start(publication)
    work = place.layout.run(run.id) / "work" / "one.1"
    place.until(lambda: work.exists() and len(os.listdir(work)) == FILES, "it is not prepared", 60.0)
    assert place.cancel(run)
    few_processes()
    (tmp_path / "go").touch()
    assert [end_of(place, one) for one in (first, other, run)] == ["succeeded", "succeeded", "canceled"]
    place.until(lambda: not work.exists(), "what was prepared stays")


def test_an_engine_does_not_end_idle_on_what_it_could_not_read(places, tmp_path):
    place = places(idle=0.5)
    place.wait(place.submit({"one": "true"}))
    engine = place.engine()
    usual = resource.prlimit(engine, resource.RLIMIT_NOFILE)
    used = {int(name) for name in os.listdir(f"/proc/{engine}/fd")}
    resource.prlimit(engine, resource.RLIMIT_NOFILE, (min(set(range(len(used) + 1)) - used), usual[1]))
    run = place.submit({"one": "true"})
    pauses = {0.0}
    # Pauses grow: one of them is longer than it would be idle for.
    place.until(lambda: pauses.add(place.layout.trouble.stat().st_mtime) or len(pauses) > 4, "it tries no more")
    assert place.engines() == [engine]
    resource.prlimit(engine, resource.RLIMIT_NOFILE, usual)
    assert end_of(place, run) == "succeeded"
    assert place.engine() == engine


def test_a_full_memory_is_tried_again(place):
    place.layout.make()
    clock, met = Clock(), []

    def act() -> None:
        met.append(1)
        if len(met) < 3:
            raise MemoryError

    Retrying(place.layout, clock).surely(act)
    place.until(lambda: clock.run(lambda due: due()) or len(met) == 3, "it is not tried again")
