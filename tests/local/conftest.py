"""A target of its own for every test, and no process left behind after it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from penstock import snapshot
from penstock.contract.run import ENDED, BoundParameters, RunRef, RunRequest
from penstock.contract.target import Target
from penstock.spec import Pipeline, Step
from penstock_local import hooks, processes, wake
from penstock_local.layout import Layout
from penstock_local.options import LocalOptions

PATIENCE = 20.0


def until(condition, message, patience=PATIENCE):
    """Wait for something that is to happen soon."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.01)


def alive(pid: int) -> bool:
    """Whether a process is there and not just waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


class Place:
    """A local target under a folder of the test, with the hooks as methods."""

    KILL_BOTH = "read _ _ _ engine _ < /proc/$PPID/stat; kill -9 $engine $PPID"
    """How a step kills its keeper and the engine above that."""

    until = staticmethod(until)
    alive = staticmethod(alive)

    def __init__(self, folder: Path, **options):
        self.folder = folder
        self.spec = folder / "spec"
        self.spec.mkdir(parents=True, exist_ok=True)
        options = {"slots": 4, "grace": 2.0, "idle": 5.0, **options}
        self.target = Target(name="here", backend="local", options=LocalOptions(**options), home=folder / "home")
        self.layout = Layout.of(self.target)

    def pipeline(self, steps, **more) -> Pipeline:
        made = {name: step if isinstance(step, Step) else Step(command=step) for name, step in steps.items()}
        return Pipeline(name="test", steps=made, **more)

    def snapshot(self, pipeline: Pipeline):
        return snapshot.take(pipeline, self.spec, self.folder / "archives")

    def publish(self, steps, **more):
        taken = self.snapshot(self.pipeline(steps, **more))
        compiled = hooks.penstock_compile_pipeline(self.target, taken)
        return hooks.penstock_publish_pipeline(self.target, taken, compiled)

    def submit(self, steps, *, run=None, values=None, artifacts=None, bundled=None, sensitive=(), **more) -> RunRef:
        given = {"values": values, "artifacts": artifacts, "bundled": bundled, "sensitive": sensitive}
        return self.start(self.publish(steps, **more), run=run, **given)

    def start(self, publication, *, run=None, values=None, artifacts=None, bundled=None, sensitive=()) -> RunRef:
        run = run or str(uuid.uuid4())
        request = RunRequest(
            id=run,
            publication=publication,
            pipeline="test",
            parameters=BoundParameters(
                texts=values or {}, artifacts=artifacts or {}, bundled=bundled or {}, sensitive=tuple(sensitive)
            ),
        )
        external = hooks.penstock_submit_run(self.target, request).external
        return RunRef(id=run, publication=publication, external=external)

    def get(self, run: RunRef):
        return hooks.penstock_get_run(self.target, run)

    def steps(self, run: RunRef):
        return {step.name: step for step in self.get(run).steps}

    def states(self, run: RunRef):
        return {step.name: step.state for step in self.get(run).steps}

    def wait(self, run: RunRef):
        until(lambda: self.get(run).state in ENDED, "the run does not end")
        return self.get(run)

    def log(self, run: RunRef, step: str) -> bytes:
        data, offset = b"", 0
        while True:
            chunk = hooks.penstock_read_logs(self.target, run, step, offset)
            data += chunk.data
            if chunk.complete or not chunk.data:
                return data
            offset = chunk.next_offset

    def outputs(self, run: RunRef):
        return dict(hooks.penstock_get_outputs(self.target, run).outputs)

    def cancel(self, run: RunRef) -> bool:
        return hooks.penstock_cancel_run(self.target, run)

    def engines(self) -> list[int]:
        return [pid for pid, words in _commands() if _is_engine(words) and str(self.layout.root).encode() in words]

    def keepers(self) -> list[int]:
        return [pid for pid, words in _commands() if _is_keeper(words) and str(self.layout.root).encode() in words]

    def kill(self, *pids: int) -> None:
        """KILL processes, and wait until none of them runs any more."""
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: not any(map(alive, pids)), "a killed process does not die")

    def kill_engine(self) -> None:
        self.kill(self.engine())
        # What it was about to start has its pipe open for a moment, and is taken for an engine that listens.
        until(lambda: not wake.listening(self.layout), "somebody has the pipe of the engine")

    def kill_both(self) -> None:
        """KILL the engine and then its keepers: who would know of the steps is gone."""
        self.kill(self.engine())
        self.kill(*self.keepers())

    def engine(self) -> int:
        until(lambda: len(self.engines()) == 1, "there is not one engine")
        return self.engines()[0]


def _commands():
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                yield int(entry), Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue


def _is_engine(words: list[bytes]) -> bool:
    # The shell that starts an engine has the same words for a moment.
    return b"penstock_local.engine" in words and words[0] == os.fsencode(sys.executable)


def _is_keeper(words: list[bytes]) -> bool:
    return b"penstock_local.keeper" in words


def _marked(folder: Path) -> list[int]:
    found = []
    for pid, words in _commands():
        try:
            inside = str(folder).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        named = any(str(folder).encode() in word for word in words)
        ours = named and (_is_engine(words) or _is_keeper(words))
        if ours or ((named or inside) and processes.token_of(pid)):
            found.append(pid)
    return found


@pytest.fixture
def place(tmp_path):
    """A fresh target; whatever it started is gone after the test."""
    yield Place(tmp_path)
    _clear(tmp_path)


@pytest.fixture
def places(tmp_path):
    """Targets with options of the test's choice, each in its own folder unless `name` says otherwise."""

    def make(name="place", **options) -> Place:
        return Place(tmp_path / name, **options)

    yield make
    _clear(tmp_path)


class Disk:
    """A small file system of the test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave no byte free, and no inode where those are few."""
        self.ballast.mkdir()
        with (self.ballast / "bytes").open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
            while True:
                file.write(b"x" * 4096)

    def fill_inodes(self) -> None:
        """Leave no inode free."""
        self.ballast.mkdir()
        with pytest.raises(OSError, match="space"):
            for number in itertools.count():
                (self.ballast / f"{number}").touch()

    def clear(self) -> None:
        """Give it all back."""
        shutil.rmtree(self.ballast)


@pytest.fixture
def small_disk(tmp_path):
    """Make a file system: `small_disk(size="1m")`, options as tmpfs has them."""
    made = []

    def make(**options) -> Disk:
        folder = tmp_path / "small"
        folder.mkdir()
        said = ",".join(f"{name}={value}" for name, value in {"size": "1m", **options}.items())
        command = ["mount", "-t", "tmpfs", "-o", said, "penstock-test", folder]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            pytest.skip("a small disk needs the right to mount")
        made.append(folder)
        return Disk(folder)

    yield make
    for folder in made:
        subprocess.run(["umount", "-l", folder], check=True)


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


def _clear(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := [pid for pid in _marked(folder) if alive(pid)]:
        assert time.monotonic() < deadline, f"processes left behind: {left}"
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.01)
