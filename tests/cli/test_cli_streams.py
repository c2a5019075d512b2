"""What is read from elsewhere: standard input that is closed, pipes with a name, which may have no writer, and those
of a shell, which have one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

LATEST = 120
"""Seconds after which what waits is taken to wait for ever."""


def shell(project, line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A line of bash in a folder; `$p` is the command, and `$1` the first argument."""
    return subprocess.run(
        ["bash", "-c", f'p() {{ "{sys.executable}" -m penstock "$@"; }}; {line}', "bash", *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
        timeout=LATEST,
    )


def one_line(done: subprocess.CompletedProcess[str], status: int) -> str:
    assert done.returncode == status, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr and "bug" not in done.stderr
    return done.stderr


@pytest.fixture
def published(project, cli):
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    return project


@pytest.mark.thorough
@pytest.mark.sampled(1)
@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_a_closed_standard_input_is_an_empty_one(published, closed):
    done = shell(published, f"p submit greet --params - {closed}")
    assert done.returncode == shell(published, "p submit greet --params - </dev/null").returncode != 70
    for line in ("p status", "p run list --json", "p validate greet.yaml", "p submit greet -q"):
        assert shell(published, f"{line} {closed}").returncode == 0


@pytest.mark.parametrize("line", ["p status", "p run list", "p nonsense"])
def test_an_answer_that_cannot_be_written_is_no_failed_run_wherever_errors_go(published, line):
    assert shell(published, f"{line} >/dev/full 2>/dev/full").returncode == 141
    if line != "p nonsense":
        assert "could not be written" in one_line(shell(published, f"{line} >/dev/full"), 141)


def test_a_server_without_files_says_so_in_a_line(published):
    said = one_line(shell(published, "ulimit -n 6; p serve --no-auth"), 70)
    assert said.startswith("error: too many open files (`ulimit -n`); see whether")


def test_what_is_accepted_without_files_or_memory_to_hand_it_over_waits_and_fails_nothing(published, cli):
    for limit in ("-n 10", "-v 600000"):
        run = shell(published, f"ulimit {limit}; p submit greet -q").stdout.strip()
        cli("run", "wait", run).ok()


def test_much_code_is_not_asked_about_where_standard_input_is_closed(project):
    (project / "src").mkdir()
    spec = project / "greet.yaml"
    spec.write_text(spec.read_text().replace("name: greet\n", "name: greet\ndefaults: {code: ./src}\n"))
    with (project / "src" / "large").open("wb") as file:
        file.truncate(101_000_000)
    said = one_line(shell(project, "p publish greet.yaml <&-"), 3)
    assert "100 MB" in said or "--yes" in said


COMMANDS = {
    "a spec to validate": ("p validate $1", 3),
    "a spec to publish": ("p publish $1 --endpoint greet", 3),
    "a spec to try": ("p submit ./$1", 3),
    "parameters": ("p submit greet --params $1", 5),
    "a configuration": ("p --config $1 status", 4),
    "a configuration in the environment": ("PENSTOCK_CONFIG=$1; export PENSTOCK_CONFIG; p status", 4),
    "a backup": ("p registry restore $1", 12),
    "a registry": ("p --registry $1 run list", 12),
    "a certificate": ("p serve --tls-cert $1 --tls-key $1", 2),
}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("what", COMMANDS)
def test_a_pipe_that_nobody_writes_is_not_waited_for(published, what):
    line, status = COMMANDS[what]
    os.mkfifo(published / "pipe.yaml")
    said = one_line(shell(published, line, "pipe.yaml"), status)
    assert "pipe.yaml" in said and len(said.splitlines()) == 1


@pytest.mark.thorough
def test_a_pipe_of_the_shell_is_read(published):
    assert shell(published, "p validate <(cat greet.yaml)").returncode == 0
    assert shell(published, "cat greet.yaml | p validate /dev/stdin").returncode == 0
    assert shell(published, "p --config <(sleep 0.2; cat penstock.yaml) target list").returncode == 0
    name = json.loads(shell(published, "p submit greet --params <(sleep 0.2; echo '{name: eve}') --json").stdout)["id"]
    shown = json.loads(shell(published, "p run show --json $1", name).stdout)
    assert shown["parameters"]["name"] == "eve"
    assert shell(published, "echo '{name: eve}' | p submit greet --params - -q").returncode == 0
