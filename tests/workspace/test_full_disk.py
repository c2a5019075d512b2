"""Submits at the edge of a full disk: who is told that nothing was changed may try again, and there is one run each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter

import pytest
from tests.faulty_disk import fill, read_only, small_disk

from penstock.errors import RegistryError, WaitTimeout
from penstock.registry import RunQuery
from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: tally
parameters:
  key: {type: string}
  file: {type: string}
steps:
  count: {command: [sh, -c, 'echo "$1" >> "$2"', sh, "${{ parameters.key }}", "${{ parameters.file }}"]}
"""

FILLING = """\
apiVersion: penstock/v1
kind: Pipeline
name: filling
parameters:
  file: {type: string}
  go: {type: string, default: /}
steps:
  fill:
    command: [sh, -c, 'head -c 1G /dev/zero > "$1"; echo full; until [ -e "$2" ]; do sleep 0.1; done', sh,
      "${{ parameters.file }}", "${{ parameters.go }}"]
"""

PAGES = (0, 1, 2, 3, 5, 8, 12, 16, 20, 24, 28, 33, 40, 60)
"""How many pages of 4096 bytes are free as a submit begins; a submit needs about 30 where the log begins anew."""


@pytest.fixture
def disk(tmp_path):
    with small_disk(tmp_path / "disk", "48m") as disk:
        yield disk


@pytest.mark.parametrize("full", ["registry", "root"])
def test_every_key_has_one_run_which_runs_once(disk, tmp_path, full, engines_end):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    home, root = (disk, elsewhere / "root") if full == "registry" else (elsewhere, disk / "root")
    (home / "penstock.yaml").write_text(f"targets: {{laptop: {{backend: local, root: {root}, idle: 2s}}}}\n")
    (home / "tally.yaml").write_text(SPEC)
    tally, changed = tmp_path / "tally", {}
    with Workspace.open(home, actor="ada") as ws:
        ws.publish(home / "tally.yaml", endpoint="tally")

        def submit(key: str):
            return ws.runs.submit("tally", parameters={"key": key, "file": str(tally)}, idempotency_key=key)

        ws.run(submit("warm").run.id).wait(timeout=60)
        ws._services.outbox.give_time()
        with pytest.MonkeyPatch.context() as hasty:
            hasty.setattr("penstock.dispatch.outbox.PATIENCE", 0.3)
            for number in range(2 * len(PAGES)):
                key = f"k{number}"
                fill(disk, leave=PAGES[number % len(PAGES)] * 4096)
                try:
                    done = submit(key)
                    assert all("nothing was changed" not in said for said in done.warnings)
                    changed[key] = done.run.id
                except RegistryError as error:
                    assert error.code == "registry_disk_full"
                    assert "nothing was changed" in str(error)
        (disk / "ballast").unlink()
        there = {run.idempotency_key: run.id for run in ws._services.registry.runs.list(RunQuery(limit=500)).items}
        assert there == {"warm": there["warm"], **changed}, "what was not changed is not there"
        ws._services.registry.outbox.reached("laptop")
        with ws._services.registry.write() as tx:
            tx.run("UPDATE outbox SET due = 1")
        for number in range(2 * len(PAGES)):
            again = submit(f"k{number}").run.id
            assert changed.setdefault(f"k{number}", again) == again
        for run in changed.values():
            assert ws.runs.wait(run, timeout=60).state == "succeeded"
        assert ws.admin.check().ok
    assert Counter(tally.read_text().split()) == Counter(["warm", *changed])
    engines_end(tmp_path)


@pytest.fixture
def filling(disk, tmp_path, engines_end):
    """A workspace on a small disk, whose pipeline fills it to the last byte and succeeds."""
    (disk / "penstock.yaml").write_text(
        f"targets: {{laptop: {{backend: local, root: {tmp_path / 'root'}, idle: 2s}}}}\n"
    )
    (disk / "filling.yaml").write_text(FILLING)
    with Workspace.open(disk, actor="ada") as ws:
        ws.publish(disk / "filling.yaml", endpoint="filling")
    yield disk
    engines_end(tmp_path)


@pytest.fixture
def cli_of():
    """A command in a folder, as a process of its own."""

    def call(folder, *arguments):
        command = [sys.executable, "-m", "penstock", *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder)

    return call


def until_full(disk):
    while os.statvfs(disk).f_bavail:
        time.sleep(0.05)


def test_who_waits_for_a_run_that_fills_the_disk_sees_it_all_the_same(filling, tmp_path):
    """What its target says is shown, though it cannot be written down; that the disk is full is said, and is no end."""
    ballast, go, seen = filling / "ballast", tmp_path / "go", []
    with Workspace.open(filling, actor="ada") as ws:
        run = ws.runs.submit("filling", parameters={"file": str(ballast), "go": str(go)}).run.id
        until_full(filling)
        late = ""
        while "the disk is full" not in late:
            with pytest.raises(WaitTimeout) as timed_out:
                ws.runs.wait(run, timeout=0.5)
            late = str(timed_out.value)
        assert f"run {run} is still running" in late and "nothing was changed" not in late and "try again" not in late
        shown = ws.runs.get(run)
        assert (shown.state, shown.steps[0].state) == ("running", "running") and "not written down" in shown.stale
        assert b"full" in b"".join(part.data for part in ws.runs.logs(run))
        go.touch()
        done = ws.run(run).wait(timeout=60, watch=seen.append).record
        assert done.state == "succeeded" and done.steps[0].state == "succeeded" and "the disk is full" in done.stale
        assert ws.runs.list().items[0].state == "succeeded" and seen[-1] == done
        assert ws.runs.outputs(run) == {}
        assert ws._services.registry.runs.get(run).state in ("queued", "running")
        ballast.unlink()
        after = ws.runs.get(run)
        assert (after.state, after.stale) == ("succeeded", None)
        assert (after.started, after.ended, after.steps) == (done.started, done.ended, done.steps)
        assert ws.admin.check().ok


def test_a_submit_that_waits_says_that_the_disk_is_full_and_goes_on(filling, tmp_path):
    ballast, go = filling / "ballast", tmp_path / "go"
    given = ("-p", f"file={ballast}", "-p", f"go={go}")
    command = [sys.executable, "-m", "penstock", "submit", "filling", *given, "--wait"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=filling) as process:
        until_full(filling)
        go.touch()
        said = process.stderr.readlines()
        out = process.stdout.read()
    assert process.returncode == 0, said
    assert "succeeded" in out and len([line for line in said if "the disk is full" in line]) == 1
    assert not any("nothing was changed" in line or "try again" in line for line in said)
    ballast.unlink()
    with Workspace.open(filling) as ws:
        assert [(run.state, run.stale) for run in ws.runs.list().items] == [("succeeded", None)]


READS = ("run list", "run show {}", "run logs {}", "run outputs {}", "endpoint list", "endpoint show filling", "status",
         "history", "pipeline list", "token list", "registry check", "registry backup {elsewhere}")  # fmt: skip


def all_reads_answer(cli_of, folder, run, elsewhere) -> None:
    for line in READS:
        said = cli_of(folder, *line.format(run, elsewhere=elsewhere / "saved.db").split())
        assert said.returncode == 0, (line, said.stderr)
    assert "full" in cli_of(folder, "run", "logs", run).stdout


@pytest.mark.thorough
def test_what_only_reads_answers_on_a_full_disk(filling, tmp_path, engines_end, cli_of):
    """Where nobody has it open there is no room even for what SQLite lays beside a file that it reads."""
    (filling / "penstock.yaml").write_text("targets: {laptop: {backend: local, idle: 1s}}\n")
    with Workspace.open(filling, actor="ada") as ws:
        run = ws.runs.submit(filling / "filling.yaml", parameters={"file": "/dev/null"}).run.id
        assert ws.runs.wait(run, timeout=120).state == "succeeded"
    engines_end(filling)
    fill(filling, leave=0)
    all_reads_answer(cli_of, filling, run, tmp_path)
    said = cli_of(filling, "endpoint", "disable", "filling")
    assert said.returncode == 12 and "the disk is full; nothing was changed" in said.stderr


@pytest.fixture
def done(tmp_path, engines_end):
    """A workspace on a disk with few inodes, whose run has ended; nobody has anything open."""
    with small_disk(tmp_path / "disk", "48m", inodes=300) as disk:
        (disk / "penstock.yaml").write_text("targets: {laptop: {backend: local, idle: 1s}}\n")
        (disk / "filling.yaml").write_text(FILLING)
        with Workspace.open(disk, actor="ada") as ws:
            ws.publish(disk / "filling.yaml", endpoint="filling")
            run = ws.runs.submit(disk / "filling.yaml", parameters={"file": "/dev/null"}).run.id
            assert ws.runs.wait(run, timeout=120).state == "succeeded"
        engines_end(disk)
        yield disk, run


@pytest.mark.thorough
def test_what_only_reads_answers_without_inodes(done, tmp_path, cli_of):
    disk, run = done
    (disk / "ballast").mkdir()
    with pytest.raises(OSError, match="space"):
        for number in range(1000):
            (disk / "ballast" / f"{number}").touch()
    all_reads_answer(cli_of, disk, run, tmp_path)
    said = cli_of(disk, "endpoint", "disable", "filling")
    assert said.returncode == 12 and "no inodes left; nothing was changed" in said.stderr


@pytest.mark.thorough
def test_what_only_reads_answers_on_a_read_only_mount(done, tmp_path, cli_of):
    disk, run = done
    with read_only(disk):
        all_reads_answer(cli_of, disk, run, tmp_path)
