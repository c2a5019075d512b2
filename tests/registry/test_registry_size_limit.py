"""What is said where a process may write no larger files, and where the registry is a link to nothing."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from penstock.workspace import Workspace


def within(limit: int, folder, *words: str) -> subprocess.CompletedProcess[str]:
    """A command line that may write files of so many bytes."""
    return subprocess.run(
        [sys.executable, "-m", "penstock", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),  # no threads
    )


@pytest.mark.sampled(1)
@pytest.mark.parametrize("is_new", [True, False], ids=["a new registry", "one that is there"])
@pytest.mark.parametrize("limit", [0, 8 * 1024, 40 * 1024])
def test_the_limit_of_a_process_is_no_full_disk(project, limit, is_new):
    if not is_new:
        with Workspace.open(project, actor="ada") as opened:
            opened.publish("greet.yaml", endpoint="hello")
    done = within(limit, project, *(("token", "create", "cron", "--scope", "read") if is_new else ("submit", "hello")))
    assert done.returncode == 12, (done.stdout, done.stderr)
    assert "the limit for the size of a file (`ulimit -f`) is reached" in done.stderr
    assert "the disk is full" not in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.sampled(1)
@pytest.mark.parametrize("to", ["nowhere.db", "registry.db"], ids=["to nothing", "in a loop"])
@pytest.mark.parametrize("words", ["submit hello", "registry check", "registry backup x.db", "publish greet.yaml"])
def test_a_registry_that_is_a_broken_link_is_called_that(project, to, words):
    (project / ".penstock").mkdir(mode=0o700)
    place = project / ".penstock" / "registry.db"
    place.symlink_to(to)
    done = subprocess.run(
        [sys.executable, "-m", "penstock", *words.split()], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 12, (done.stdout, done.stderr)
    assert f"{place} is a link that leads " in done.stderr and "yet" not in done.stderr
    assert not (project / ".penstock" / "nowhere.db").exists()
