"""Ctrl-C at any moment, once or more than once: exit status 130 and one line at the most, never a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

# Says when it has come to `main`, as the script does that pip makes.
FRONT = """\
import sys
from penstock.cli import main
print("here", flush=True)
sys.exit(main())
"""

# Says when `main` has begun to hear of Ctrl-C: what comes before is told by Python itself.
HEARING = """\
import _signal, sys
from penstock.cli import main
take = _signal.signal
def tell(*given):
    taken, _signal.signal = take(*given), take
    print("here", flush=True)
    return taken
_signal.signal = tell
sys.exit(main())
"""


def said(process):
    out, err = process.communicate(timeout=60)
    assert b"Traceback" not in err, err
    return out, err.decode().splitlines()


@pytest.mark.parametrize("after", range(0, 120, 10))
def test_ctrl_c_while_a_command_starts_is_one_line(project, after):
    command = [sys.executable, "-c", HEARING, "status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        time.sleep(after / 1000)
        process.send_signal(signal.SIGINT)
        out, err = said(process)
    if process.returncode == 0:  # it was faster
        assert b"registry" in out and err == []
    else:
        assert process.returncode == 130 and err in ([], ["interrupted"])


@pytest.mark.sampled(1)
@pytest.mark.parametrize("pause", [0, 0.001, 0.01])
def test_two_at_once_are_one(workspace, project, start, pause):
    (project / "slow.yaml").write_text(
        "apiVersion: penstock/v1\nkind: Pipeline\nname: slow\n"
        "steps:\n  wait: {command: [sh, -c, 'echo here; exec sleep 60']}\n"
    )
    run = workspace.runs.submit("slow.yaml").run.id
    process = start("run", "logs", run, "--follow")
    assert process.stdout.readline() == b"here\n"
    process.send_signal(signal.SIGINT)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    assert said(process)[1] == ["interrupted"]
    assert process.returncode == 130
    workspace.runs.cancel(run)


def test_who_is_not_to_hear_of_it_does_not(project):
    command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", FRONT, "status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert said(process)[1] == [] and process.returncode == 0
