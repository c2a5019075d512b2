"""Commands of a process that may open few files: done, or refused in a line as the machine's trouble, by its status."""

from __future__ import annotations

import errno
import json
import subprocess
import sys

import pytest

from penstock.cli import failures, progress
from penstock.cli.output import Output
from penstock.errors import PenstockError, RegistryError

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: few
parameters: {data: {type: file, default: data.txt}}
steps: {say: {code: code, inputs: {data: "${{ parameters.data }}"}, command: [cat, "${{ inputs.data }}"]}}
"""
LACKING = "error: too many open files (`ulimit -n`); see whether it was done all the same before you try again\n"
COMMANDS = (
    "publish few.yaml --endpoint few%",
    "validate few.yaml",
    "endpoint list",
    "run list",
    "run clean",
    "registry check",
    "registry backup backup%.db",
    "status",
)
# One start for all of them, which has imported most of what they need.
DRIVER = """
import json, os, resource, sys
from penstock.cli import root
shown = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
for command in sys.argv[1:]:
    root.run([*command.replace("%", "").split(), "--json"])
os.dup2(shown, 1)
for few in range(8):
    for number, command in enumerate(sys.argv[1:]):
        json_too = ["--json"] * ((few + number) % 2)
        pid = os.fork()
        if not pid:
            said = os.open("said", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
            os.dup2(said, 1), os.dup2(said, 2)
            os.closerange(3, 64)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3 + few, 3 + few))
            status = root.run([*command.replace("%", f"{few}{len(json_too)}").split(), *json_too])
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with open("said", errors="replace") as said:
            print(json.dumps([few, command, bool(json_too), status, said.read()]), flush=True)
"""


@pytest.fixture
def few(project, cli):
    (project / "few.yaml").write_text(SPEC)
    (project / "data.txt").write_text("data")
    (project / "code").mkdir()
    (project / "code" / "a.py").write_text("")
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    cli("submit", "greet").ok()
    return project


def test_a_command_without_enough_files_is_done_or_says_so_as_the_machine_s_trouble(few, cli):
    driver = [sys.executable, "-c", DRIVER, *COMMANDS]
    done = subprocess.run(driver, cwd=few, capture_output=True, text=True, check=True)
    calls = [json.loads(line) for line in done.stdout.splitlines()]
    assert {status for *_, status, _ in calls} == {0, 70}
    for number, command, as_json, status, said in calls:
        case = (number, command, as_json, status, said)
        assert not any(word in said for word in ("Traceback", "permissions", "bug", "unexpected")), case
        if status and as_json:
            error = json.loads(said)["error"]
            assert (error["code"], "ulimit -n" in error["message"]) == ("system_error", True), case
        elif status:
            assert said == LACKING, case
    done = {command.replace("%", f"{few}{int(as_json)}") for few, command, as_json, status, _ in calls if not status}
    published = {command.split()[-1] for command in done if command.startswith("publish")}
    assert {one["name"] for one in cli("endpoint", "list", "--json").json["items"]} == {"greet", "few", *published}
    backups = {command.split()[-1] for command in done if command.startswith("registry backup")}
    assert {path.name for path in few.glob("*.db")} == {"backup.db", *backups} and not list(few.glob(".*.new"))
    cli("registry", "check").ok()


DECISIONS = ("endpoint rollback greet", "endpoint disable greet", "submit greet")


@pytest.mark.sampled(1)
@pytest.mark.parametrize("command", DECISIONS)
def test_a_decision_that_was_made_without_enough_files_is_no_failure_to_be_tried_again(few, cli, command):
    for number in range(9):
        (few / "greet.yaml").write_text((few / "greet.yaml").read_text().replace("hello", f"hello {number}"))
        cli("publish", "greet.yaml", "--endpoint", "greet", "--default").ok()
    for files in range(4, 12):
        cli("endpoint", "enable", "greet").ok()
        before = decided(cli)
        line = f'ulimit -n {files}; exec "{sys.executable}" -m penstock {command}'
        done = subprocess.run(["bash", "-c", line], cwd=few, capture_output=True, text=True, check=False)
        made = decided(cli) - before
        assert (made, done.returncode) in ((1, 0), (0, 70), (0, 1)), (files, made, done)
        assert not (made and "try again" in done.stderr), done


@pytest.mark.parametrize("made", [False, True])
def test_who_can_not_wait_for_an_accepted_run_is_told_that_it_goes_on(workspace, project, monkeypatch, made):
    workspace.publish(project / "greet.yaml", endpoint="greet")
    submitted = workspace.runs.submit("greet")

    def wait(*args):
        short = OSError(errno.EMFILE, "x")
        if made:
            raise RegistryError("x", undone="nothing was changed, try again") from short
        raise short

    monkeypatch.setattr(progress, "wait_for_end", wait)
    with pytest.raises(PenstockError) as told:
        progress.answer_submitted(Output(json=True), workspace, submitted, wait=True)
    known = failures._known(told.value)
    assert known is told.value and known.code == "system_error" and "try again" not in str(known)
    assert f"run {submitted.run.id} is accepted and goes on" in str(known)


def decided(cli) -> int:
    """How much has been decided."""
    runs = cli("run", "list", "--json", "--limit", "1000").json["items"]
    return len(cli("endpoint", "history", "greet", "--json", "--limit", "1000").json["items"]) + len(runs)


@pytest.mark.parametrize("files", [6, 7, 8, 10])
def test_a_server_without_enough_files_says_one_line(few, files):
    line = f'ulimit -n {files}; exec "{sys.executable}" -m penstock serve --no-auth --port 0'
    with subprocess.Popen(["bash", "-c", line], cwd=few, stdout=-1, stderr=-1, text=True) as server:
        assert server.stdout is not None
        came_up = server.stdout.readline()
        server.terminate()
        _, said = server.communicate()
    assert "Traceback" not in said
    assert came_up or (server.returncode, said) == (70, LACKING)
    assert files > 8 or not came_up
