"""A umask that takes rights from the owner: what is made can be used all the same and by nobody else, or nothing is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

USER = 65534
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
# So that it reaches this Python wherever it lies; what it may write, and the modes, say the rest.
AS_USER += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: who
parameters: {word: {type: string, sensitive: true}}
defaults: {code: ./src}
steps:
  say:
    command: [cat, said]
    env: {WORD: "${{ parameters.word }}"}
"""
CONFIG = "plugins: [audit]\nregistry: deep/er/.penstock/registry.db\ntargets: {local: {backend: local, idle: 0.2s}}\n"
FROM_PYTHON = """\
import sys
from penstock import PenstockError, Workspace
try:
    with Workspace.open() as workspace:
        workspace.publish("pipeline.yaml", endpoint="who")
except PenstockError as error:
    sys.exit(print(error.code, error) or 1)
"""
FROM_THE_COMMAND_LINE = """\
set -e
"$0" -m penstock publish pipeline.yaml --endpoint who
"$0" -m penstock submit who -p word=x --wait
"$0" -m penstock registry backup backup.db
"$0" -m penstock registry restore backup.db
"$0" -m penstock run list
"""


@pytest.fixture
def place(engines_end):
    """A folder of a user who is not root, for whom modes hold; skips where none can be had."""
    user = AS_USER if os.geteuid() == 0 else []
    if subprocess.run([*user, sys.executable, "-c", "import penstock"], capture_output=True, check=False).returncode:
        pytest.skip("acts as another user: needs setpriv and a Python that one can start")
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        place = Path(folder)
        (place / "src").mkdir()
        (place / "src" / "said").write_text("hello\n")
        (place / "pipeline.yaml").write_text(SPEC)
        (place / "penstock.yaml").write_text(CONFIG)
        for path in (place, *place.rglob("*")):
            os.chown(path, USER if user else -1, USER if user else -1)
        yield place, user
        engines_end(place)


@pytest.mark.thorough
@pytest.mark.parametrize("umask", [0o777, 0o322])
def test_what_the_command_line_makes_under_any_umask_can_be_used(place, umask):
    folder, _ = place
    done = _run(place, ["sh", "-c", FROM_THE_COMMAND_LINE, sys.executable], umask)
    assert done.returncode == 0, (done.stdout, done.stderr)
    state = folder / "deep" / "er" / ".penstock"
    for path in (state, *state.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode & 0o400, (path, oct(mode))
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert not [path for path in state.iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]


@pytest.mark.sampled(1)
@pytest.mark.parametrize(("umask", "refused"), [(0o777, True), (0o322, True), (0o077, False), (0, False)])
def test_a_program_with_such_a_umask_is_refused(place, umask, refused):
    done = _run(place, [sys.executable, "-c", FROM_PYTHON], umask)
    assert done.returncode == (1 if refused else 0), (done.stdout, done.stderr)
    assert ("config_invalid" in done.stdout and f"umask of this process (0{umask:o})" in done.stdout) == refused
    assert (place[0] / "deep").exists() != refused


def _run(place, command, umask):
    folder, user = place
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
    return subprocess.run(
        [*user, *command], cwd=folder, env=environment, umask=umask, capture_output=True, text=True, check=False
    )
