"""Inputs from real life that went wrong once: each is fed as it was, and what has to come out does.

The inputs lie beside the project, in `../shared/cases`; their kinds are tested where they belong, with or without them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from attrs import evolve, frozen
from tests.environments import make_environment
from tests.searching import files, holders
from tests.users import AS_USER, USER, give_away, only_root, owners, place_of_both

CASES = Path(__file__).parents[3] / "shared" / "cases"
PATIENCE = 120.0

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs `../shared/cases`")


@frozen
class Case:
    """A copy of what is fed, and the shell of somebody who works there; `prefix` is what makes it another user's."""

    folder: Path
    environment: dict[str, str]
    prefix: Sequence[str] = ()

    def run(self, *words: str, status: int | None = 0, **more: str) -> str:
        """What a command prints, both of its streams; it has to end with this status, if one is given."""
        done = subprocess.run(
            [*self.prefix, *words],
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert status in (None, done.returncode), done.stdout
        return done.stdout

    def start(self, *words: str, **more: str) -> str:
        """Submit, and the run's id."""
        return str(json.loads(self.run("penstock", "submit", *words, "-q", "--json", **more))["id"])

    def submit(self, *words: str, status: int | None = 0, **more: str) -> str:
        """Submit and wait, and print the logs of what ran."""
        run = self.start(*words, **more)
        self.run("penstock", "run", "wait", run, "-q", status=status)
        return self.run("penstock", "run", "logs", run)

    def show(self, run: str) -> dict[str, Any]:
        """What is known of a run."""
        return dict(json.loads(self.run("penstock", "run", "show", run, "--json")))

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something without touching the workspace."""
        give_up = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < give_up, what
            time.sleep(0.05)


def copied(name: str, folder: Path) -> Path:
    """A copy of a case which can be written to, whoever may write to the case itself."""
    shutil.copytree(CASES / name, folder, dirs_exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | 0o200)
    return folder


@pytest.fixture
def case(tmp_path, shell_environment, engines_end) -> Iterator[Callable[[str], Case]]:
    """Take a case by its name; the engines that it starts end with the test."""

    def take(name: str, below: str = "") -> Case:
        return Case(copied(name, tmp_path / below / name), shell_environment)

    yield take
    engines_end(tmp_path)


def test_blocked_signals(case):
    one = case("blocked-signals")
    one.run("python", "call.py")
    found = one.folder / "ran.txt"
    one.until(lambda: found.exists() and found.read_text() != "", "nobody hears of the first step's end")
    assert found.read_text() == "[]"


@pytest.mark.thorough
def test_data_copies(case):
    one = case("data-copies")
    one.run("python", "make.py")
    one.run("penstock", "publish", "pipeline.yaml", "--endpoint", "copies")
    data, state = (one.folder / "data.bin").stat().st_size, one.folder / ".penstock"
    before = on_disk(state)
    for _ in range(10):
        one.submit("copies")
    # Where modes hold for nobody, each attempt has a copy of its own, which goes soon after it.
    one.until(lambda: on_disk(state) - before < 1.2 * data, "ten runs cost much more than their data does once")
    left = [file for file in files(state) if "runs" in file.parts]
    one.run("penstock", "run", "clean", "--older-than", "0s")
    assert left and not any(file.exists() for file in left)


def on_disk(folder: Path) -> int:
    """Bytes that a folder takes, those of a file with several names once."""
    found = {}
    for file in files(folder):
        with contextlib.suppress(FileNotFoundError):
            found[file.lstat().st_ino] = file.lstat().st_blocks * 512
    return sum(found.values())


@pytest.mark.thorough
def test_empty_folders(case):
    one = case("empty-folders")
    one.run("sh", "make.sh")
    one.submit("pipeline.yaml")


def test_engine_cannot_start(case):
    assert case("engine-cannot-start").run("sh", "try.sh").splitlines()[-1] == "exit 0"


@pytest.mark.thorough
def test_first_caller_python(case):
    one = case("first-caller-python")
    for name in ("one", "two"):
        python = make_environment(one.folder / name)
        said = json.loads(one.run(str(python), "-m", "penstock", "submit", "pipeline.yaml", "--wait", "-q", "--json"))
        assert one.run("penstock", "run", "logs", said["id"]) == f"{one.folder / name}\n"


@pytest.fixture
def user_and_root(shell_environment, engines_end) -> Iterator[Callable[[str], tuple[Case, Case]]]:
    """Take a case by its name to where it is a user's: what the user does there, and what root does."""
    with place_of_both() as place:

        def take(name: str) -> tuple[Case, Case]:
            give_away(copied(name, place))
            root = Case(place, shell_environment)
            return evolve(root, prefix=AS_USER, environment={**shell_environment, "HOME": str(place)}), root

        yield take
        engines_end(place)


@pytest.mark.thorough
@only_root
@pytest.mark.parametrize("trusts", [False, True])
def test_first_caller_root(user_and_root, trusts):
    user, root = user_and_root("first-caller-root")
    user.run("penstock", "publish", "pipeline.yaml", "--endpoint", "who")
    trust = {"PENSTOCK_TRUST": str(root.folder)} if trusts else {}
    assert "belongs to" in root.run("penstock", "submit", "who", status=12 if trusts else 4, **trust)
    assert user.submit("who") == f"{USER}\n"
    assert owners(root.folder) == {USER}


def test_ignored_data(case):
    one = case("ignored-data")
    one.run("sh", "make.sh")
    assert "train.csv\n" in one.submit("pipeline.yaml")


def test_long_step_name(case):
    one = case("long-step-name")
    one.run("python", "make.py")
    assert "at most 251" in one.run("penstock", "validate", "pipeline.yaml", status=3)


@pytest.mark.thorough
def test_moved_project(case):
    one = case("moved-project")
    one.run("penstock", "publish", "pipeline.yaml", "--endpoint", "moved")
    assert one.submit("moved").endswith("hello\n")
    there = Case(one.folder.rename(one.folder.with_name("b")), one.environment)
    assert there.submit("moved").endswith("hello\n")


@pytest.mark.thorough
def test_nested_trigger(case):
    one = case("nested-trigger")
    other = evolve(one, folder=one.folder / "other")
    other.run("penstock", "publish", "pipeline.yaml", "--endpoint", "inner")
    one.run("penstock", "submit", "pipeline.yaml", "-p", f"there={other.folder}", "--wait")
    other.until((other.folder / "done").exists, "the inner run does not end unless somebody looks at it")
    assert (other.folder / "began").read_text() == "x\n"


def test_nfd_name(case):
    one = case("nfd-name")
    one.run("python", "make.py")
    assert one.submit("pipeline.yaml").endswith("1,2\n")


def test_output_suffix(case):
    said = case("output-suffix").run("penstock", "submit", "pipeline.yaml", "--wait", status=None)
    assert "`table.npy` beside it" in said


def test_parent_gitignore(case):
    one = case("parent-gitignore")
    one.run("sh", "make.sh")
    assert one.submit("pipeline.yaml") == "a.py\n"


@pytest.mark.thorough
def test_progress_bar(case):
    one = case("progress-bar")
    run = one.start("pipeline.yaml")
    command = ["penstock", "run", "logs", run, "--follow"]
    seen = []
    with subprocess.Popen(command, cwd=one.folder, env=one.environment, stdout=subprocess.PIPE) as following:
        while chunk := os.read(following.stdout.fileno(), 65536):
            seen.append(chunk.decode())
    assert following.returncode == 0
    moving = [chunk for chunk in seen if "%" in chunk]
    assert len(moving) > 5, "the bar came all at once"
    assert all("train" in line for chunk in moving for line in chunk.splitlines() if line.endswith("%"))


def test_secret_at_rest(case):
    one = case("secret-at-rest")
    secret = "hunter2-very-secret"
    assert one.submit("pipeline.yaml", API_TOKEN=secret) == f"{len(secret)}\n"
    assert holders(one.folder / ".penstock", secret) == []
    assert len(list(files(one.folder / ".penstock"))) > 5


def test_shell_words(case):
    one = case("shell-words")
    for name in ("1.yaml", "2.yaml", "3.yaml"):
        assert "[bash, -c, " in one.run("penstock", "validate", name, status=3)


@pytest.mark.serial
@pytest.mark.thorough
@pytest.mark.parametrize("count", [5_000, 20_000])
def test_slow_unpack(case, count):
    one = case("slow-unpack")
    make = one.folder / "make.py"
    make.write_text(make.read_text().replace("20_000", f"{count}"))
    one.run("python", "make.py")
    # By the name that it has it stays behind, and there would be nothing to unpack.
    (one.folder / "src/node_modules").rename(one.folder / "src/modules")
    for name in ("big", "quick"):
        one.run("penstock", "publish", f"{name}.yaml", "--endpoint", name)

    def quick(bigs: int) -> tuple[float, bool]:
        """How long `quick` took with so many runs of `big` beside it, and whether they ended later."""
        ran, *beside = [one.start(name) for name in ("quick", *("big",) * bigs)]
        for run in (ran, *beside):
            one.run("penstock", "run", "wait", run, "-q", status=None)
        shown = one.show(ran)
        assert shown["error"]["code"] == "step_timeout"
        assert all(one.show(run)["state"] == "succeeded" for run in beside)
        begin, end = (datetime.fromisoformat(shown[name]) for name in ("started", "ended"))
        later = any(datetime.fromisoformat(one.show(run)["ended"]) > end for run in beside)
        return (end - begin).total_seconds(), later

    idle = median(quick(0)[0] for _ in range(3))
    bigs = 1
    while not (found := quick(bigs))[1]:
        bigs *= 2
    assert found[0] < 2.5 * idle


def test_socket_tmpdir(case):
    one = case("socket-tmpdir", "a" * 60)
    assert one.submit("pipeline.yaml") == "{'a': 1}\n"


def test_umask(case):
    one = case("umask")
    shared = one.folder / "shared"
    one.run("sh", "-c", 'umask 022; mkdir shared; penstock submit pipeline.yaml -p "shared=$PWD/shared" --wait')
    assert (shared / "report.txt").stat().st_mode & 0o777 == 0o644


def test_venv_in_code(case):
    one = case("venv-in-code")
    one.run(sys.executable, "-m", "venv", "--without-pip", "--symlinks", ".venv")
    (one.folder / ".venv/.gitignore").unlink(missing_ok=True)
    assert ".venv" in one.run("penstock", "validate", "pipeline.yaml")


@pytest.mark.thorough
@pytest.mark.parametrize("runs_after_the_backup", ["0", "40"])
def test_wal_restore(case, runs_after_the_backup):
    one = case("wal-restore")
    said = one.run("sh", "steps.sh", runs_after_the_backup, status=None)
    assert "registry.db-wal" in said or said.splitlines()[-1] == "3", said
    assert "malformed" not in said


def test_every_case_has_a_test():
    """Whoever lays a case there sees that nothing asks about it yet."""
    cases = {file.parent.name for file in CASES.glob("*/README.md")}
    tests = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    assert cases - tests == set()
