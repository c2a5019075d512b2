"""Inputs from real life that went wrong once: each is fed as it was, and what has to come out does.

The inputs lie beside the project, in `../shared/cases`; their kinds are tested where they belong, with or without them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import frozen
from tests.searching import files, holders

CASES = Path(__file__).parents[3] / "shared" / "cases"
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="needs `../shared/cases`")


@frozen
class Case:
    """A copy of what is fed, and the shell of somebody who works there."""

    folder: Path
    environment: dict[str, str]

    def run(self, *words: str, status: int | None = 0, **more: str) -> str:
        """What a command prints, both of its streams; it has to end with this status, if one is given."""
        done = subprocess.run(
            words,
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

    def submit(self, *words: str, status: int | None = 0, **more: str) -> str:
        """Submit and wait, and print the logs of what ran."""
        run = json.loads(self.run("penstock", "submit", *words, "-q", "--json", **more))["id"]
        self.run("penstock", "run", "wait", run, "-q", status=status)
        return self.run("penstock", "run", "logs", run)

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Wait for something without touching the workspace."""
        give_up = time.monotonic() + PATIENCE
        while not done():
            assert time.monotonic() < give_up, what
            time.sleep(0.05)


@pytest.fixture
def case(tmp_path, shell_environment, engines_end) -> Iterator[Callable[[str], Case]]:
    """Take a case by its name; the engines that it starts end with the test."""

    def take(name: str, below: str = "") -> Case:
        folder = tmp_path / below / name
        shutil.copytree(CASES / name, folder)
        return Case(folder, shell_environment)

    yield take
    engines_end(tmp_path)


def test_blocked_signals(case):
    one = case("blocked-signals")
    one.run("python", "call.py")
    found = one.folder / "ran.txt"
    one.until(lambda: found.exists() and found.read_text() != "", "nobody hears of the first step's end")
    assert found.read_text() == "[]"


def test_empty_folders(case):
    one = case("empty-folders")
    one.run("sh", "make.sh")
    one.submit("pipeline.yaml")


def test_engine_cannot_start(case):
    assert case("engine-cannot-start").run("sh", "try.sh").splitlines()[-1] == "exit 0"


def test_ignored_data(case):
    one = case("ignored-data")
    one.run("sh", "make.sh")
    assert "train.csv\n" in one.submit("pipeline.yaml")


def test_long_step_name(case):
    one = case("long-step-name")
    one.run("python", "make.py")
    assert "at most 251" in one.run("penstock", "validate", "pipeline.yaml", status=3)


def test_moved_project(case):
    one = case("moved-project")
    one.run("penstock", "publish", "pipeline.yaml", "--endpoint", "moved")
    assert one.submit("moved").endswith("hello\n")
    there = Case(one.folder.rename(one.folder.with_name("b")), one.environment)
    assert there.submit("moved").endswith("hello\n")


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


def test_progress_bar(case):
    one = case("progress-bar")
    run = json.loads(one.run("penstock", "submit", "pipeline.yaml", "-q", "--json"))["id"]
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


@pytest.mark.parametrize("runs_after_the_backup", ["0", "40"])
def test_wal_restore(case, runs_after_the_backup):
    one = case("wal-restore")
    said = one.run("sh", "steps.sh", runs_after_the_backup, status=None)
    assert "registry.db-wal" in said or said.splitlines()[-1] == "3", said
    assert "malformed" not in said
