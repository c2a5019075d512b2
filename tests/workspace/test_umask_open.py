"""A umask that lets everybody write: what is made for a workspace only its owner can write all the same."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.demo_acts import lay_out
from penstock_emulator.serving import lock

SPEC = "apiVersion: penstock/v1\nkind: Pipeline\nname: who\nsteps: {say: {command: [id, -u]}}\n"


@pytest.fixture(params=[0o000, 0o002, 0o077], ids=oct)
def umask(request):
    """What this process and those that it starts take from what they make."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in."""
    made = tmp_path / "here"
    made.mkdir(mode=0o700)
    monkeypatch.chdir(made)
    return made


def ran(*words: str) -> None:
    done = subprocess.run([sys.executable, "-m", "penstock", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "warning" not in done.stderr, (words, done.stdout, done.stderr)


def others_write(folder: Path) -> list[str]:
    """What somebody else could write below a folder; what steps made is theirs."""
    return [str(path) for path in folder.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]


@pytest.mark.sampled(1)
def test_what_init_writes_is_used_by_the_next_command(folder, umask):
    ran("init")
    assert stat.S_IMODE((folder / "penstock.yaml").stat().st_mode) == 0o644 & ~umask
    ran("target", "list")


@pytest.mark.sampled(1)
@pytest.mark.parametrize("plugins", ["[]", "[audit]"])
def test_what_is_made_for_a_workspace_can_be_written_by_its_owner_alone(folder, umask, plugins):
    for name, text in {
        "penstock.yaml": f"registry: deep/er/.penstock/registry.db\nplugins: {plugins}\n"
        "targets: {local: {backend: local, idle: 0.2s, root: other/way/root}}\n",
        "pipeline.yaml": SPEC,
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    ran("target", "list")  # which is audited before there is a registry
    ran("publish", "pipeline.yaml", "--endpoint", "who")
    ran("submit", "who", "--wait")
    ran("registry", "backup", "backup.db")
    ran("registry", "restore", "backup.db")
    ran("status")
    assert others_write(folder) == []
    assert stat.S_IMODE((folder / "deep").stat().st_mode) == 0o755 & ~umask


def test_what_the_demo_lays_out_can_be_written_by_its_owner_alone(folder, umask):
    lay_out(folder / "some" / "where")
    assert (folder / "some/where/penstock.yaml").is_file() and (folder / "some/where/src").is_dir()
    assert others_write(folder) == []
    lay_out(folder / "some" / "where")


def test_the_folders_above_an_emulator_s_state_can_be_written_by_their_owner_alone(folder, umask):
    with lock(folder / "some" / "where" / "state"):
        assert stat.S_IMODE((folder / "some" / "where" / "state").stat().st_mode) == 0o700
        assert stat.S_IMODE((folder / "some").stat().st_mode) == 0o755 & ~umask
