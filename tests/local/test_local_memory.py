"""The memory that a step asks for is a limit where the machine has control groups to use; what exceeds it says so."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.spec import Resources, Retry, Step
from penstock_local import clock, memory

USES = "import sys, time; held = bytearray(int(sys.argv[1]) << 20); print(len(held) >> 20)"

limited = pytest.mark.skipif(not memory.can_limit(), reason="needs control groups that this user may make")


def using(mebibytes: int, asks: str | None, **more) -> Step:
    resources = None if asks is None else Resources(memory=asks)
    return Step(command=[sys.executable, "-c", USES, str(mebibytes)], resources=resources, **more)


def groups(place) -> list[str]:
    found = memory.Memory(place.layout.root).group("")
    return [path.name for path in found.folder.parent.glob(f"{found.folder.name}*")]


@limited
def test_a_step_that_uses_more_than_it_asks_for_fails_and_says_why(place):
    run = place.submit({"much": using(300, "64Mi"), "less": using(20, "128Mi"), "free": using(300, None)})
    assert place.wait(run).state == "failed"
    steps = place.steps(run)
    states = {name: step.state for name, step in steps.items()}
    assert states == {"much": "failed", "less": "succeeded", "free": "succeeded"}
    error = steps["much"].error
    assert (error.code, error.message) == (
        "step_out_of_memory",
        "step `much`: ran out of the 64Mi of memory that it asks for",
    )
    assert steps["much"].exit_code == 128 + signal.SIGKILL
    assert groups(place) == []


@limited
def test_what_a_step_starts_is_limited_with_it_and_an_attempt_has_its_own_limit(place):
    command = ["sh", "-c", '"$@"; exit 3', "sh", sys.executable, "-c", USES, "300"]
    retry = Retry(attempts=2, delay=0.0)
    run = place.submit({"one": Step(command=command, resources=Resources(memory="64Mi"), retry=retry)})
    assert place.wait(run).error.code == "step_out_of_memory"
    assert place.steps(run)["one"].attempt == 2
    place.until(lambda: not groups(place), "its groups stay")


@pytest.mark.thorough
@limited
def test_a_step_that_is_adopted_keeps_its_limit_and_the_engine_is_not_limited(place, tmp_path):
    script = f'touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.02; done; exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-c", USES, "300"]
    run = place.submit({"one": Step(command=command, resources=Resources(memory="64Mi"))})
    place.until((tmp_path / "up").exists, "the step does not start")
    first = place.engine()
    assert "penstock-" not in Path(f"/proc/{first}/cgroup").read_text()
    place.kill_engine()
    place.get(run)
    place.engine()
    (tmp_path / "go").touch()
    assert place.wait(run).error.code == "step_out_of_memory"
    assert groups(place) == []


@limited
def test_a_group_in_which_something_is_still_ending_is_removed_soon(place):
    """Version 2 kills a whole group at once: its first process may be gone before the others have ended."""
    due = clock.Clock()
    held = memory.Memory(place.layout.root, due)
    door = held.limit("0", 1 << 26)
    with subprocess.Popen(
        ["sh", "-c", f"echo 0 > {door}; exec cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as one:
        one.stdin.write(b"in")
        one.stdin.flush()
        one.stdout.read(1)
        assert held.settle("0") is False
        assert len(groups(place)) == 1
    time.sleep(max(0.0, due.next() - time.monotonic()))
    due.run(lambda action: action())
    assert groups(place) == []


@pytest.fixture
def elsewhere():
    """Move to another group by `elsewhere(True)`, where version 1 has a place of its own for groups, and back again."""
    here = memory._place()
    folder = here.folder / f"elsewhere-{os.getpid()}"
    folder.mkdir()

    def move(away: bool) -> None:
        ((folder if away else here.home) / "cgroup.procs").write_text("0")

    yield move
    move(False)
    folder.rmdir()  # so there is no group in it


@pytest.mark.thorough
@limited
def test_an_engine_finds_the_group_that_an_earlier_one_made_elsewhere(place, tmp_path, elsewhere):
    script = f'touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.02; done; exec "$@"'
    command = ["sh", "-c", script, "sh", sys.executable, "-c", USES, "300"]
    elsewhere(True)
    run = place.submit({"one": Step(command=command, resources=Resources(memory="64Mi"))})
    place.until((tmp_path / "up").exists, "the step does not start")
    keepers = place.keepers()
    place.kill_engine()
    elsewhere(False)
    place.get(run)
    place.engine()
    (tmp_path / "go").touch()
    assert place.wait(run).error.code == "step_out_of_memory"
    place.until(lambda: not any(map(place.alive, keepers)), "the earlier keeper stays")


@limited
def test_a_group_that_was_tried_and_left_is_removed_but_not_while_it_is_tried(place, monkeypatch):
    left = memory._place().folder / "penstock-0123456789abcdef"
    left.mkdir()
    memory.Memory(place.layout.root).sweep()
    assert left.exists()
    monkeypatch.setattr(memory, "_LONG", -1.0)
    memory.Memory(place.layout.root).sweep()
    assert not left.exists()


@pytest.mark.parametrize(
    ("begin", "group", "folder", "home"),
    [
        ("/", "/", "", ""),
        ("/", "/a.slice/b.scope", "a.slice", "a.slice/b.scope"),
        ("/docker/one", "/docker/one/leaf", "", "leaf"),
        ("/docker/one", "/docker/two", None, None),
        ("/../..", "/", None, None),
        ("/../..", "/../../one", "", "one"),
        ("/", "/../one", None, None),
    ],
)
def test_the_place_of_groups_is_looked_for_in_what_is_mounted(tmp_path, monkeypatch, begin, group, folder, home):
    """In a container other groups may be mounted than it counts from (cgroup_namespaces(7))."""
    mounts, groups = tmp_path / "mountinfo", tmp_path / "cgroup"
    mounts.write_text(
        "22 1 0:20 / /proc rw shared:5 - proc proc rw\n"
        f"41 31 0:38 {begin} {tmp_path} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    groups.write_text(f"0::{group}\n")
    monkeypatch.setattr(memory, "MOUNTS", mounts)
    found = [(place.folder, place.home) for place in memory._places(str(groups))]
    assert found == ([] if folder is None else [(tmp_path / folder, tmp_path / home)])


def test_an_engine_starts_where_it_does_not_see_the_groups_of_who_started_it(monkeypatch):
    seen = memory._places
    monkeypatch.setattr(memory, "_places", lambda groups="self": seen() if groups == "self" else iter(()))
    memory.leave_attempt()


def test_a_plan_without_it_is_what_it_was(place):
    plain = place.layout.publication(place.publish({"one": "true"}).external).read_text()
    asking = place.publish({"one": Step(command="true", resources=Resources(memory="1Gi"))})
    assert "memory" not in plain
    assert '"memory":1073741824' in place.layout.publication(asking.external).read_text()
