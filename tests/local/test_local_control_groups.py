"""What the control groups of one caller limit is not what the next one's steps run into."""

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from penstock.spec import Step
from penstock_local import control_groups, memory

CALLER = """
import sys
from pathlib import Path
Path(sys.argv[2]).write_text("0")
from penstock.spec import Step
from tests.local.conftest import Place

place = Place(Path(sys.argv[1]), idle=60.0)
run = place.submit({"one": Step(command=["cat", "/proc/self/cgroup"])})
assert place.wait(run).state == "succeeded"
"""


@pytest.fixture
def small_group():
    """The file by which a process enters a control group with a limit of memory."""
    like = next(memory._places(), None)
    if like is None or not memory.can_limit():
        pytest.skip("needs control groups that this user may make")
    folder = like.folder / f"test-{uuid.uuid4().hex}"
    folder.mkdir()
    (folder / like.kind.limit).write_text(str(300 << 20))
    yield folder / "cgroup.procs"
    with contextlib.suppress(OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            (like.home / "cgroup.procs").write_text(pid)
    folder.rmdir()


def test_a_caller_with_another_limit_brings_up_an_engine_of_its_own(places, small_group):
    place = places(idle=60.0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.fspath(Path(__file__).parents[2]), *sys.path])}
    subprocess.run([sys.executable, "-c", CALLER, place.folder, small_group], check=True, env=environment)
    first = place.engine()
    assert small_group.parent.name in Path(f"/proc/{first}/cgroup").read_text()
    run = place.submit({"one": Step(command=["cat", "/proc/self/cgroup"])})
    assert place.wait(run).state == "succeeded"
    assert small_group.parent.name not in place.log(run, "one").decode()
    place.until(lambda: place.engines() and first not in place.engines(), "the first engine stays")
    second = place.engine()
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert place.engine() == second


LAID = {
    "memory.max": ("max", "1000000", "max"),
    "pids.max": ("50", "max", "100"),
    "cpu.max": ("max 100000", "50000 100000", "max 100000"),
}
"""The limits of a group, of the one in it, and of that of an attempt in there, as version 2 writes them."""


@pytest.mark.parametrize("attempt", ["", "/penstock-0123456789ab-0123abcd"], ids=["a caller", "a step"])
def test_limits_are_those_of_all_groups_above_and_not_of_an_attempt(tmp_path, monkeypatch, attempt):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"41 31 0:38 / {tmp_path} rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n")
    for number, folder in enumerate(("a.slice", "a.slice/b.scope", "a.slice/b.scope/penstock-0123456789ab-0123abcd")):
        (tmp_path / folder).mkdir()
        for name, said in LAID.items():
            (tmp_path / folder / name).write_text(f"{said[number]}\n")
    monkeypatch.setattr(memory, "MOUNTS", mounts)
    control_groups._limits.cache_clear()
    found = control_groups._limits(f"0::/a.slice/b.scope{attempt}\n", 0)
    control_groups._limits.cache_clear()
    assert found == (("cpu.max", "50000 100000"), ("memory.max", "1000000"), ("pids.max", "50"))
