"""What the machine lacks for a while is no step's failure: nothing fails or is counted, and it goes on by itself."""

import os
import re
import resource
import subprocess
from pathlib import Path

import pytest

from penstock.contract.run import ENDED
from penstock.errors import TargetUnavailable
from penstock.spec import Step
from penstock_local import hooks


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
    disk.clear()
    asked = place.cancel(run)
    assert end_of(place, run) == ("canceled" if asked and place.states(run)["second"] == "canceled" else "succeeded")


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


@pytest.fixture
def few_processes():
    """Let some processes start no other: `few_processes(*pids)`, and `few_processes()` to let them again."""
    mounted = re.search(r"^\S+ (\S+) cgroup \S*\bpids\b", Path("/proc/self/mounts").read_text(), re.MULTILINE)
    group = Path(mounted[1] if mounted else "/sys/fs/cgroup") / f"penstock-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "pids.max").write_text("max")
    except OSError:
        pytest.skip("few processes need the right to make a control group")

    def limit(*pids: int) -> None:
        for pid in pids:
            (group / "cgroup.procs").write_text(f"{pid}")
        (group / "pids.max").write_text("1" if pids else "max")

    yield limit
    (group / "pids.max").write_text("max")
    for pid in (group / "cgroup.procs").read_text().split():
        (group.parent / "cgroup.procs").write_text(pid)
    subprocess.run(["rmdir", group], check=False)


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
