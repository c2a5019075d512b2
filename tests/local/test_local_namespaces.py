"""Two containers on one root: pids mean nothing in the other one, and nobody signals what he does not mean."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

UNSHARE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
INSIDE = """
import json, os, sys, time
from pathlib import Path
from penstock.contract.run import RunRef
from penstock.errors import PenstockError
from tests.local.conftest import Place

place = Place(Path(sys.argv[1]), grace=0.3, idle=30.0)

def told(run):
    try:
        return place.get(run).state
    except PenstockError as error:
        return str(error)

def ref(name):
    return RunRef(id=name, publication=None, external=name)

def script(name):
    waits = f"until test -e {place.folder}/go.{name}; do sleep 0.02; done"
    return ["sh", "-c", f"echo x >> {place.folder}/up.{name}; {waits}"]

for line in sys.stdin:
    word, *given = json.loads(line)
    try:
        said = {
            "submit": lambda name: place.submit({"one": script(name)}, run=name).id,
            "state": lambda name: told(ref(name)),
            "cancel": lambda name: place.cancel(ref(name)),
            "kill": lambda: place.kill_engine(),
            "engines": lambda: len(place.engines()),
        }[word](*given)
    except PenstockError as error:
        said = str(error)
    print(json.dumps(said), flush=True)
"""


class Container:
    """A process in a PID namespace of its own that does what it is told."""

    def __init__(self, folder: Path):
        root = os.fspath(Path(__file__).parents[2])
        command = [*UNSHARE, sys.executable, "-c", INSIDE, os.fspath(folder)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, *sys.path])}
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)

    def do(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        """End it and all that runs in it."""
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def containers(tmp_path):
    """Two of them on one folder."""
    if subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs the right to make a PID namespace")
    made = [Container(tmp_path / "place") for _ in range(2)]
    yield made
    for one in made:
        one.end()


def up(place: Path, name: str, count: int = 1, look=lambda: None) -> None:
    deadline = time.monotonic() + 30
    path = place / f"up.{name}"
    while not path.exists() or path.read_text().count("x") < count:
        look()  # what is dying may still be there for the first one
        assert time.monotonic() < deadline, f"{name} does not start"
        time.sleep(0.01)


def ends(container, name: str) -> str:
    deadline = time.monotonic() + 30
    while (state := container.do("state", name)) in ("queued", "running"):
        assert time.monotonic() < deadline, f"{name} does not end"
    return state


def left_running(containers, tmp_path):
    """Both containers and their folder, with a step in the first of which the engine was killed."""
    here, there = containers
    place = tmp_path / "place"
    assert here.do("submit", "a") == "a"
    up(place, "a")
    here.do("kill")
    return here, there, place


@pytest.mark.thorough
def test_nothing_of_another_container_is_taken_over_or_ended(containers, tmp_path):
    here, there, place = left_running(containers, tmp_path)
    assert "another PID namespace" in there.do("state", "a")
    assert "another PID namespace" in there.do("submit", "b")  # it waits in the queue
    assert there.do("cancel", "a") is not True and there.do("engines") == 0
    (place / "go.b").touch()
    assert ends(here, "a") == "canceled"
    assert ends(here, "b") == "succeeded"
    assert ends(there, "b") == "succeeded"


@pytest.mark.thorough
def test_what_ended_in_a_container_is_worked_out_by_the_next(containers, tmp_path):
    _, there, place = left_running(containers, tmp_path)
    (place / "go.a").touch()
    deadline = time.monotonic() + 30
    while "another PID namespace" in (state := there.do("state", "a")) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert state == "succeeded" or ends(there, "a") == "succeeded"
    assert (place / "up.a").read_text() == "x\n"


@pytest.mark.thorough
def test_what_a_container_took_along_is_run_again(containers, tmp_path):
    here, there = containers
    place = tmp_path / "place"
    assert here.do("submit", "a") == "a"
    up(place, "a")
    here.end()
    up(place, "a", 2, lambda: there.do("state", "a"))
    (place / "go.a").touch()
    assert ends(there, "a") == "succeeded"
