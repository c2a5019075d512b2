"""What is only looked at leaves nothing, whoever is killed meanwhile: a copy of the data is as large as the data."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

KILLED = """
import os, signal, sys
from penstock import Workspace
from penstock.snapshot import packing

def die(*_, **__):
    opened = [os.path.realpath(f"/proc/self/fd/{one}") for one in os.listdir("/proc/self/fd")]
    assert any(one.startswith(os.environ["TMPDIR"]) for one in opened)
    number = int(sys.argv[1])
    if number != signal.SIGKILL:  # whoever runs this may have it ignored, as `nohup` does
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

with Workspace.open() as workspace:
    workspace.publish("greet.yaml", endpoint="hello")
    packing.digest_of = die
    {call}
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
@pytest.mark.parametrize(
    "call", ["workspace.pipelines.validate('greet.yaml')", "workspace.submit('./greet.yaml', idempotency_key='a')"]
)
def test_a_look_that_is_killed_leaves_nothing(project, tmp_path, call, number):
    (project / "code").mkdir()
    (project / "code" / "large").write_bytes(os.urandom(2**20))
    text = (project / "greet.yaml").read_text()
    (project / "greet.yaml").write_text(text.replace("steps:", "defaults: {code: ./code}\nsteps:", 1))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", KILLED.replace("{call}", call), str(int(number))],
        cwd=project,
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == -number, done.stderr
    assert list(temporary.iterdir()) == []
