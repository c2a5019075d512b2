"""Triggers and runs through the command line, on the real local backend."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import time

import pytest

from penstock.errors import RunFailed

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

RUN_KEYS = {
    *("id", "endpoint", "version", "resolved_from", "published", "pipeline", "label", "digest", "target", "experiment"),
    *("description", "tags", "state", "parameters", "by", "door", "idempotency_key", "created", "started", "ended"),
    *("steps", "outputs", "error", "external"),
}

STEPS = """\
apiVersion: penstock/v1
kind: Pipeline
name: steps
parameters:
  code: {type: integer, default: 0}
  seconds: {type: number, default: 0.0}
  data: {type: object, default: {}}
  note: {type: string, default: ""}
steps:
  prepare:
    command: [sh, -c, 'echo "prepared $1"; printf "half"; sleep "$2"', sh, "${{ parameters.note }}",
      "${{ parameters.seconds }}"]
  train:
    command: [sh, -c, 'seq 1 30; exit "$1"', sh, "${{ parameters.code }}"]
    after: [prepare]
  report:
    command: [sh, -c, 'printf "%s" "$1" > "$2"', sh, "${{ parameters.data }}", "${{ outputs.text }}"]
    outputs: {text: string}
    after: [train]
outputs:
  text: "${{ steps.report.outputs.text }}"
"""


@pytest.fixture
def greet(project, cli):
    """An endpoint with the project's spec behind it."""
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    return "greet"


@pytest.fixture
def steps(project, cli):
    """An endpoint whose pipeline has three steps in a row and can be told to fail or to take its time."""
    (project / "steps.yaml").write_text(STEPS)
    cli("publish", "steps.yaml", "--endpoint", "steps").ok()
    return "steps"


def test_submit_says_what_it_resolved_to_and_the_id(greet, cli):
    first, second = cli("submit", "greet").ok().out.splitlines()
    assert first == "greet@0 on laptop"
    assert second.startswith("run ") and UUID.fullmatch(second[4:])
    assert UUID.fullmatch(cli("submit", "greet@0", "-q").ok().out.strip())
    assert cli("submit", "greet:1").ok().out.startswith("greet:1 on laptop\n")
    assert cli("submit", "greet.yaml").ok().out.startswith("greet (trial run) on laptop\n")
    assert cli("submit", "greet.yaml", "--target", "spare").ok().out.startswith("greet (trial run) on spare\n")


def test_a_run_has_its_json_shape(greet, cli):
    answer = cli(
        *("submit", "greet", "-p", "times=2", "--experiment", "trials", "--description", "a try"),
        *("--tag", "team=a=b", "--tag", "stage=", "--idempotency-key", "k1", "--json"),
    ).ok()
    run = answer.json
    assert RUN_KEYS | {"replayed", "warnings"} <= set(run)
    assert (run["endpoint"], run["version"], run["resolved_from"], run["door"]) == ("greet", "0", "default", "cli")
    assert (run["experiment"], run["description"]) == ("trials", "a try")
    assert run["tags"] == {"team": "a=b", "stage": ""}
    assert run["parameters"] == {"name": "world", "times": 2}
    assert (run["replayed"], run["idempotency_key"]) == (False, "k1")
    pinned = cli("submit", "greet@0", "--json").ok().json
    assert (pinned["version"], pinned["resolved_from"]) == ("0", "pinned")
    trial = cli("submit", "greet.yaml", "--json").ok().json
    assert (trial["endpoint"], trial["published"], trial["resolved_from"]) == (None, None, "file")


def test_an_idempotency_key_is_one_run(greet, cli):
    once = cli("submit", "greet", "--idempotency-key", "k", "-q").ok().out
    again = cli("submit", "greet", "--idempotency-key", "k").ok().out
    assert once.strip() in again and "accepted before under this idempotency key" in again
    other = cli("submit", "greet", "--idempotency-key", "k", "-p", "times=3", "--json").refused(8)
    assert other.json["error"]["code"] == "idempotency_conflict"


def test_waiting_tells_each_step_and_ends_with_the_outputs(steps, cli):
    answer = cli("submit", "steps", "-p", 'data={"b": [1, 2], "a": "x y"}', "--wait").ok()
    first, second, last, output = answer.out.splitlines()
    assert first == "steps@0 on laptop" and second.startswith("run ")
    assert re.fullmatch(r"succeeded in (\d+ms|\d+\.\ds)", last)
    assert output.split(None, 1) == ["text", '{"a":"x y","b":[1,2]}']
    lines = answer.err.splitlines()
    for name in ("prepare", "train", "report"):
        assert any(re.fullmatch(rf"{name} succeeded (\d+ms|\d+\.\ds)", line) for line in lines), lines
    assert all(re.match(r"(prepare|train|report) (queued|running|succeeded)", line) for line in lines)


def test_waiting_with_json_answers_the_run_alone(steps, cli):
    answer = cli("submit", "steps", "--wait", "--json").ok()
    assert set(answer.json) >= RUN_KEYS and answer.json["state"] == "succeeded"
    assert "train succeeded" in answer.err
    assert [step["name"] for step in answer.json["steps"]] == ["prepare", "train", "report"]


def test_waiting_quietly_answers_the_id_alone(steps, cli):
    answer = cli("submit", "steps", "--wait", "-q").ok()
    assert UUID.fullmatch(answer.out.strip()) and answer.err == ""
    assert cli("run", "wait", answer.out.strip(), "-q").ok().out == answer.out


def test_a_failed_run_exits_1_with_its_last_lines(steps, cli):
    answer = cli("submit", "steps", "-p", "code=3", "--wait").refused(1)
    lines = answer.err.splitlines()
    assert any(line.startswith("train failed (") and "exited with code 3" in line for line in lines)
    tail = lines[lines.index("the last lines of train:") + 1 : -1]
    assert tail == [f"  {number}" for number in range(11, 31)]
    assert lines[-1].startswith("error: run ") and "failed" in lines[-1]
    run = cli("submit", "steps", "-p", "code=3", "--wait", "--json").refused(1).json
    assert run["state"] == "failed" and run["error"]["step"] == "train"
    assert {one["name"]: one["state"] for one in run["steps"]} == {
        "prepare": "succeeded", "train": "failed", "report": "skipped",
    }  # fmt: skip
    assert cli("run", "wait", run["id"]).refused(1).err.endswith(lines[-1].partition(" failed")[2] + "\n")


def test_parameters_come_from_a_file_and_from_texts_that_win(greet, project, cli):
    (project / "values.yaml").write_text("name: file\ntimes: 3\n")
    run = cli("submit", "greet", "--params", "values.yaml", "-p", "times=4", "--json").ok().json
    assert run["parameters"] == {"name": "file", "times": 4}
    (project / "values.json").write_text('{"name": "json"}')
    run = cli("submit", "greet", "--params", "values.json", "--json").ok().json
    assert run["parameters"] == {"name": "json", "times": 1}


def test_a_parameter_file_is_typed_and_its_errors_have_a_place(greet, project, cli):
    (project / "values.yaml").write_text('# values\nname: file\ntimes: "3"\nextra: 1\n')
    answer = cli("submit", "greet", "--params", "values.yaml").refused(5)
    assert "values.yaml:3:8: $.times: expected integer, got string `3`" in answer.err
    assert "values.yaml:4:" in answer.err and "$.extra" in answer.err
    (project / "values.yaml").write_text("times: 9\n")
    alone = cli("submit", "greet", "--params", "values.yaml").refused(5).err
    assert alone == "error: values.yaml:1:8: $.times: 9 is greater than the maximum 5\n"
    wins = cli("submit", "greet", "--params", "values.yaml", "-p", "times=x").refused(5)
    assert "values.yaml" not in wins.err
    (project / "values.yaml").write_text("- 1\n")
    assert "values.yaml:1:1" in cli("submit", "greet", "--params", "values.yaml").refused(5).err
    (project / "values.yaml").write_text("name: [\n")
    assert "values.yaml:" in cli("submit", "greet", "--params", "values.yaml").refused(5).err
    (project / "values.yaml").write_text("times: 1\ntimes: 2\n")
    assert "values.yaml:2:1" in cli("submit", "greet", "--params", "values.yaml").refused(5).err
    assert "gone.yaml" in cli("submit", "greet", "--params", "gone.yaml").refused(5).err
    assert "1,000,000 bytes" in cli("submit", "greet", "--params", "/dev/zero").refused(5).err
    assert cli("run", "list").ok().out == "no runs\n"


@pytest.mark.thorough
def test_parameters_come_from_standard_input(greet, start):
    """As a list of processes shows every `-p`."""

    def submit(given: bytes, *more: str) -> tuple[int, bytes, bytes]:
        process = start("submit", "greet", "--params", "-", "--json", *more, stdin=subprocess.PIPE)
        out, err = process.communicate(given, timeout=60)
        return process.returncode, out, err

    status, out, _ = submit(b"name: typed\ntimes: 3\n", "-p", "times=4")
    assert (status, json.loads(out)["parameters"]) == (0, {"name": "typed", "times": 4})
    for given, expected, said in (
        (b"times: 9\n", 5, "standard input:1:8: $.times: 9 is greater"),
        (b"- 1\n", 5, "standard input:1:1"),
        (b"\xff", 5, "standard input:1:1"),
        (b"", 5, "standard input"),
    ):
        status, out, _ = submit(given)
        assert (status, said in json.loads(out)["error"]["message"]) == (expected, True)


def test_runs_are_listed_shown_and_rerun(steps, cli):
    one = cli("submit", "steps", "--tag", "a=b", "-p", "note=x", "--wait", "-q").ok().out.strip()
    head, row = cli("run", "list").ok().out.splitlines()
    assert head.split() == ["ID", "TRIGGER", "FROM", "TARGET", "EXPERIMENT", "STATE", "STARTED", "TOOK"]
    assert row.split()[:6] == [one[:8], "steps@0", "default", "laptop", "steps", "succeeded"]
    text = cli("run", "show", one[:8]).ok().out
    assert re.search(rf"id +{one}\n", text) and "(self-declared) through cli" in text
    assert re.search(r"PARAMETER +VALUE\n", text) and re.search(r"STEP +STATE", text)
    again = cli("run", "rerun", one, "--wait", "--json").ok().json
    assert again["rerun_of"] == one and again["parameters"] == cli("run", "show", one, "--json").ok().json["parameters"]
    assert len(cli("run", "list", "--limit", "1", "-q").ok().out.split()) == 1
    assert len(cli("run", "list", "--limit", "1", "--all", "-q").ok().out.split()) == 2
    assert cli("run", "list", "--state", "failed").ok().out == "no runs\n"
    assert cli("run", "list", "--endpoint", "steps", "--json").ok().json["items"][0]["id"] == again["id"]


def test_outputs_are_values_and_paths(steps, cli):
    one = cli("submit", "steps", "-p", 'data={"a": 1}', "--wait", "-q").ok().out.strip()
    assert cli("run", "outputs", one).ok().out == 'text  {"a":1}\n'
    assert cli("run", "outputs", one, "--json").ok().json == {"id": one, "outputs": {"text": '{"a":1}'}}
    waiting = cli("submit", "steps", "-p", "seconds=30", "-q").ok().out.strip()
    refused = cli("run", "outputs", waiting, "--json").refused(8).json["error"]
    assert refused["code"] == "run_not_finished" and "penstock" not in refused["message"]
    cli("run", "cancel", waiting).ok()


def test_logs_are_bytes_of_one_step_or_lines_of_all(steps, cli):
    one = cli("submit", "steps", "-p", "note=é", "--wait", "-q").ok().out.strip()
    assert cli("run", "logs", one, "prepare").ok().out == "prepared é\nhalf"
    lines = cli("run", "logs", one).ok().out.splitlines()
    assert lines[:3] == ["prepare | prepared é", "train   | 1", "train   | 2"]
    assert lines[-1] == "prepare | half"
    assert sorted(cli("run", "logs", one, "--follow").ok().out.splitlines()) == sorted(lines)
    data = cli("run", "logs", one, "--json").ok().json
    assert data["id"] == one and data["steps"]["prepare"] == "prepared é\nhalf"
    assert set(data["steps"]) == {"prepare", "train", "report"}
    assert "did you mean `train`" in cli("run", "logs", one, "trian").refused(6).err


def test_lines_of_logs_begin_with_their_times(steps, cli):
    one = cli("submit", "steps", "-p", "note=é", "--wait", "-q").ok().out.strip()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    of_one = cli("run", "logs", one, "prepare", "--timestamps").ok()
    assert (re.sub(stamp, "", of_one.out), len(re.findall(f"(?m)^{stamp}", of_one.out))) == ("prepared é\nhalf", 2)
    of_all = cli("run", "logs", one, "--timestamps").ok().out
    assert re.sub(stamp, "", of_all) == cli("run", "logs", one).ok().out
    assert all(re.match(rf"\w+ +\| {stamp}", line) for line in of_all.splitlines())
    followed = cli("run", "logs", one, "--timestamps", "--follow").ok()
    assert (sorted(followed.out.splitlines()), followed.err) == (sorted(of_all.splitlines()), "")
    for more in ((), ("--follow",)):
        data = cli("run", "logs", one, "--timestamps", "--json", *more).ok().json
        assert data["steps"]["prepare"] == of_one.out


def test_a_target_that_keeps_no_times_says_so_once_and_its_lines_begin_alike(steps, project, cli):
    one = cli("submit", "steps", "--wait", "-q").ok().out.strip()
    for kept in (project / ".penstock").rglob("*.at"):
        kept.unlink()
    for more in ((), ("--follow",), ("--json",)):
        found = cli("run", "logs", one, "--timestamps", *more).ok()
        assert found.err == "warning: target `laptop` keeps no times of these logs\n"
    lines = cli("run", "logs", one, "--timestamps").ok().out.splitlines()
    assert lines[1:3] == [f"train   | {'-':25}1", f"train   | {'-':25}2"]
    assert cli("run", "logs", one).ok().err == ""


def test_a_run_can_be_canceled(steps, cli):
    one = cli("submit", "steps", "-p", "seconds=60", "-q").ok().out.strip()
    assert re.fullmatch(
        rf"run {one} is (canceled|asked to end)\n", cli("run", "cancel", one, "--reason", "no").ok().out
    )
    waited = cli("run", "wait", one).refused(1)
    assert f"error: run {one} was canceled" in waited.err
    assert cli("run", "cancel", one, "--json").ok().json["run"]["state"] == "canceled"
    done = cli("submit", "steps", "--wait", "-q").ok().out.strip()
    assert cli("run", "cancel", done).ok().out == f"run {done} had already ended: succeeded\n"


def test_waiting_can_give_up(steps, cli):
    one = cli("submit", "steps", "-p", "seconds=60", "-q").ok().out.strip()
    assert "it goes on" in cli("run", "wait", one, "--timeout", "200ms").refused(13).err
    error = cli("run", "wait", one, "--timeout", "100ms", "--json").refused(13).json["error"]
    assert error["code"] == "wait_timeout"
    cli("run", "cancel", one).ok()


@pytest.mark.parametrize("as_json", [False, True])
def test_ctrl_c_detaches_and_says_how_to_go_on(steps, cli, start, as_json):
    one = cli("submit", "steps", "-p", "seconds=60", "-q").ok().out.strip()
    process = start("run", "wait", one, *(["--json"] if as_json else []))
    assert b"prepare running" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert f"penstock run wait {one}" in err.decode() and b"Traceback" not in err
    if as_json:
        assert json.loads(out)["id"] == one
    assert cli("run", "show", one, "--json").ok().json["state"] == "running"
    cli("run", "cancel", one).ok()


@pytest.mark.serial
def test_a_terminal_sees_the_steps_live(steps, start):
    leader, follower = pty.openpty()
    env = {"TERM": "xterm-256color", "COLUMNS": "100"}
    process = start("submit", "steps", "-p", "seconds=1", "--wait", env=env, stderr=follower)
    os.close(follower)
    seen, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                seen += os.read(leader, 65536)
            except OSError:
                break
        elif process.poll() is not None:
            break
    os.close(leader)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"\x1b[" in seen and b"prepare" in seen and b"running" in seen and b"succeeded" in seen
    assert b"\x1b[" not in out and b"succeeded in" in out


def test_the_run_outlives_the_command_that_submitted_it(steps, start, cli):
    process = start("submit", "steps", "-p", "seconds=1", "-q")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert cli("run", "wait", out.decode().strip(), "--json").ok().json["state"] == "succeeded"


def test_a_run_whose_steps_failed_says_how_many(project, cli, workspace):
    steps = "".join(f"  s{n}: {{command: [sh, -c, 'exit {n}']}}\n" for n in (1, 2, 3))
    (project / "fails.yaml").write_text(f"apiVersion: penstock/v1\nkind: Pipeline\nname: fails\nsteps:\n{steps}")
    err = cli("submit", "fails.yaml", "--wait").refused(1).err
    assert re.search(r"error: run \S+ failed: .*exited with code \d \(2 more steps have failed\)", err)
    run = cli("run", "list", "-q").ok().out.strip()
    assert "(2 more steps have failed)" in cli("run", "show", run).ok().out
    with pytest.raises(RunFailed, match=r"\(2 more steps have failed\)"):
        workspace.run(run).wait()
