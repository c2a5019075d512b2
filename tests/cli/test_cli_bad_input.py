"""Bad input at the command line: one clear line, a code and an exit status of its own, and nothing changed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.cli.demo_acts import lay_out
from penstock.errors import UsageError

HEAD = "apiVersion: penstock/v1\nkind: Pipeline\nname: bad\n"
STEP = 'steps: {a: {command: ["true"]}}\n'

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)

SPECS = {
    "misspelt key": (HEAD + "step: {}\n" + STEP, "did you mean `steps`?"),
    "wrong type": (HEAD + "parameters: {depth: {type: integr}}\n" + STEP, "did you mean `integer`?"),
    "duplicate key": (HEAD + STEP + STEP, "steps"),
    "tab": (HEAD + "steps:\n\ta: {command: [x]}\n", "tab"),
    "too large": (HEAD + "description: " + "x" * 1_100_000 + "\n" + STEP, "1,000,000 bytes"),
    "alias bomb": (BOMB, "alias"),
    "code outside": (HEAD + "defaults: {code: ../elsewhere}\n" + STEP, "../elsewhere"),
    "missing file": (HEAD + "defaults: {code: ./gone}\n" + STEP, "gone"),
    "shell operator": (HEAD + "steps: {a: {command: cat x | sort}}\n", "bash, -c"),
    "file in command": (
        HEAD + "parameters: {f: {type: file}}\nsteps: {a: {command: [cat, \"${{ parameters.f }}\"]}}\n", "inputs",
    ),
}  # fmt: skip


def tree(folder):
    return {
        path.relative_to(folder): path.stat().st_mtime_ns if path.is_file() and ".penstock" not in path.parts else None
        for path in folder.rglob("*")
        if not path.name.endswith(("-wal", "-shm"))
    }


def state(cli):
    return [
        cli(*line.split(), "--json").out
        for line in ("endpoint list --all", "pipeline list --all", "run list", "history")
    ]


@pytest.fixture
def two(project, cli):
    """An endpoint with two versions, the first the default."""
    (project / "second.yaml").write_text((project / "greet.yaml").read_text().replace("hello", "good day"))
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    cli("publish", "second.yaml", "--endpoint", "greet").ok()
    return project


@pytest.mark.sampled(12)
@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize("command", ["publish", "validate", "submit"])
def test_a_bad_spec_changes_nothing(project, cli, case, command):
    text, said = SPECS[case]
    (project / "bad.yaml").write_text(text)
    before = tree(project)
    answer = cli(command, "bad.yaml").refused(3)
    assert answer.out == "" and answer.err.startswith("error: ")
    assert said in answer.err and "bad.yaml" in answer.err
    error = cli(command, "bad.yaml", "--json").refused(3).json["error"]
    assert error["code"] and error["message"]
    assert {path for path in tree(project) if ".penstock" not in path.parts} == set(before)
    assert cli("status", "--json").ok().json["published"] == 0


BAD_TRIGGERS = {
    "submit greet -p nme=x": (5, "parameter_invalid", "did you mean `name`?"),
    "submit greet -p times=two": (5, "parameter_invalid", "expected integer, got `two`"),
    "submit greet -p times=9": (5, "parameter_invalid", "greater than the maximum 5"),
    "submit gret": (6, "endpoint_not_found", "did you mean `greet`?"),
    "submit greet@7": (6, "version_not_found", "7"),
    "submit gone.yaml": (3, None, "gone.yaml"),
    "submit ~nobody-here/gone.yaml": (3, None, "~nobody-here/gone.yaml"),
    "publish ~nobody-here/gone.yaml": (3, None, "~nobody-here/gone.yaml"),
    "submit greet.yaml --target moon": (4, "target_unknown", "moon"),
    "publish greet.yaml --target moon": (4, "target_unknown", "moon"),
    "publish --from nowhere": (6, None, "nowhere"),
    "endpoint show gret": (6, "endpoint_not_found", "did you mean `greet`?"),
    "endpoint set-default greet 9": (6, "version_not_found", "9"),
    "endpoint set-default greet 1 --expect 1": (8, "default_changed", "0"),
    "endpoint create greet greet:1": (8, "name_taken", "greet"),
    "endpoint rename gret x": (6, "endpoint_not_found", "greet"),
    "endpoint add-version greet greet:9": (6, None, "greet:9"),
    "pipeline delete greet:1": (8, "in_use", "greet"),
    "run show 00000000": (6, "run_not_found", "00000000"),
    "run logs 00000000": (6, "run_not_found", "00000000"),
    "target check moon": (4, "target_unknown", "moon"),
    "--config gone.yaml status": (4, "file_not_found", "gone.yaml"),
}


@pytest.mark.sampled(2)
@pytest.mark.sampled(7)
@pytest.mark.parametrize("line", BAD_TRIGGERS)
def test_a_refusal_is_one_line_with_its_code_and_changes_nothing(two, cli, line):
    status, code, said = BAD_TRIGGERS[line]
    before = state(cli)
    answer = cli(*line.split()).refused(status)
    assert answer.out == "" and answer.err.startswith("error: ")
    assert len(answer.err.splitlines()) == 1 and said in answer.err
    error = cli(*line.split(), "--json").refused(status).json["error"]
    assert code in (None, error["code"])
    assert state(cli) == before


def test_everything_wrong_with_the_parameters_is_said_at_once(two, cli):
    answer = cli("submit", "greet", "-p", "times=9", "-p", "nme=x", "-p", f"name={'x' * 30}").refused(5)
    assert [line.split(":")[0].strip() for line in answer.err.splitlines()[1:]] == ["$.name", "$.nme", "$.times"]
    details = cli("submit", "greet", "-p", "times=9", "-p", "nme=x", "--json").refused(5).json["error"]["details"]
    assert [one["path"] for one in details] == ["$.nme", "$.times"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nan", "NaN is not a value"),
        *(
            (value, "infinity, or a number that is too large, is not a value")
            for value in ("inf", "-Infinity", "1e999")
        ),
    ],
)
def test_no_number_is_not_a_number(project, cli, value, said):
    text = (project / "greet.yaml").read_text().replace("  times:", "  rate: {type: number, default: 1.0}\n  times:")
    (project / "greet.yaml").write_text(text)
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    assert said in cli("submit", "greet", "-p", f"rate={value}").refused(5).err


def test_bytes_that_are_no_text_are_refused(two, cli):
    answer = cli("submit", "greet", "-p", "name=" + os.fsdecode(b"\xff")).refused(5)
    assert "surrogate" in answer.err


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("close", "trigger", "code"),
    [
        ("endpoint disable greet", "submit greet", "endpoint_disabled"),
        ("endpoint disable greet", "submit greet@1", "endpoint_disabled"),
        ("endpoint disable greet@0", "submit greet", "version_disabled"),
        ("pipeline disable greet:1", "submit greet", "pipeline_disabled"),
        ("pipeline disable greet:1", "submit greet:1", "pipeline_disabled"),
        ("endpoint disable greet@1", "endpoint set-default greet 1", "version_disabled"),
    ],
)
def test_a_closed_gate_says_since_when_by_whom_and_why(two, cli, monkeypatch, close, trigger, code):
    monkeypatch.setenv("PENSTOCK_ACTOR", "ada")
    cli(*close.split(), "--reason", "wrong labels").ok()
    before = state(cli)
    answer = cli(*trigger.split()).refused(7)
    assert answer.err.splitlines()[1:] in [
        [f"to open it: penstock {close.replace('disable', 'enable')}{target}"] for target in ("", "@laptop")
    ]
    for said in ("ada", "wrong labels", "20"):
        assert said in answer.err
    assert cli(*trigger.split(), "--json").refused(7).json["error"]["code"] == code
    assert state(cli) == before


def test_no_message_has_a_hole(two, cli):
    for words in (["submit", "greet@"], ["endpoint", "rename", "greet", "greet"], ["endpoint", "disable", "greet@"]):
        assert "  " not in cli(*words).err.replace("\n  ", "")
    cli("endpoint", "create", "second", "greet:1").ok()
    taken = cli("endpoint", "rename", "second", "greet").refused(8).err
    assert taken == "error: there is an endpoint `greet` already; take another name\n"


def test_a_burnt_and_a_frozen_label_are_refused(two, cli):
    frozen = cli("publish", "second.yaml", "--label", "1", "--json").refused(8).json["error"]
    assert frozen["code"] == "label_frozen"
    cli("publish", "second.yaml", "--name", "lone", "--label", "7").ok()
    cli("pipeline", "delete", "lone:7").ok()
    burnt = cli("publish", "second.yaml", "--name", "lone", "--label", "7", "--json").refused(8).json["error"]
    assert burnt["code"] == "label_reserved"


def test_an_unknown_backend_names_the_known_ones(project, cli):
    (project / "penstock.yaml").write_text("targets:\n  far: {backend: locl}\n")
    answer = cli("publish", "greet.yaml").refused(4)
    assert "did you mean `local`?" in answer.err
    assert "unavailable" in cli("target", "list").ok().out
    assert not (project / ".penstock" / "registry.db").exists()


def test_a_backend_whose_sdk_is_missing_says_what_to_install(project, cli, distribution):
    distribution("penstock-sea", {"penstock.backends": {"sea": "sea_backend"}}, sea_backend="import no_such_sdk\n")
    (project / "penstock.yaml").write_text("targets:\n  far: {backend: sea}\n  near: {backend: local}\ntarget: near\n")
    answer = cli("publish", "greet.yaml", "--target", "far").refused(4)
    assert "no_such_sdk" in answer.err and "pip install" in answer.err
    cli("publish", "greet.yaml").ok()


@pytest.mark.parametrize("text", ["targt: x\n", "targets:\n  a: {backend: local, slot: 2}\n", "registry: [1]\n"])
def test_a_bad_configuration_has_a_place(project, cli, text):
    (project / "penstock.yaml").write_text(text)
    answer = cli("publish", "greet.yaml").refused(4)
    assert "penstock.yaml:" in answer.err


def test_what_a_strict_target_cannot_do_is_refused_at_publish(project, cli):
    (project / "penstock.yaml").write_text("targets:\n  laptop: {backend: local, strict: true}\n")
    text = (project / "greet.yaml").read_text().replace("steps:", "defaults: {image: 'python:3.12'}\nsteps:", 1)
    (project / "greet.yaml").write_text(text)
    error = cli("publish", "greet.yaml", "--endpoint", "greet", "--json").refused(9).json["error"]
    assert "greet.yaml:" in error["details"][0]["where"]
    assert cli("endpoint", "list").ok().out == "no endpoints\n"


def test_a_file_parameter_of_a_scheme_that_the_target_cannot_read(project, cli):
    text = (project / "greet.yaml").read_text().replace("  times:", "  data: {type: file}\n  times:")
    (project / "greet.yaml").write_text(text)
    cli("publish", "greet.yaml", "--endpoint", "greet").ok()
    for given in ("data=gs://bucket/x", "data=./gone.csv"):
        answer = cli("submit", "greet", "-p", given).refused(5)
        assert len(answer.err.splitlines()) == 1 and given.partition("=")[2] in answer.err
    assert cli("run", "list").ok().out == "no runs\n"


def test_a_registry_that_cannot_be_written_is_one_line(project, cli):
    answer = cli("--registry", "/proc/registry.db", "publish", "greet.yaml").refused(12)
    assert len(answer.err.splitlines()) == 1 and "/proc/registry.db" in answer.err


@pytest.mark.thorough
@pytest.mark.parametrize("mode", [0o500, 0o000], ids=["readable", "private"])
def test_a_registry_of_somebody_else_is_refused_and_unchanged(two, cli, bound_by_permissions, mode):
    def penstock(*arguments):
        command = [*bound_by_permissions, sys.executable, "-m", "penstock", *arguments, "--json"]
        return subprocess.run(command, cwd=two, capture_output=True, text=True)

    before = cli("endpoint", "show", "greet", "--json").ok().json
    home = two / ".penstock"
    files = [path for path in home.iterdir() if path.is_file()]
    for path in files:
        path.chmod(0o400)
    home.chmod(mode)
    try:
        for refused in (("endpoint", "disable", "greet"), ("publish", "greet.yaml"), ("submit", "greet")):
            done = penstock(*refused)
            assert (done.returncode, json.loads(done.stdout)["error"]["code"]) == (12, "registry_read_only")
            assert "Traceback" not in done.stderr
        listed = penstock("endpoint", "list")
        assert listed.returncode == (0 if mode else 12), listed.stderr
    finally:
        home.chmod(0o700)
        for path in files:
            path.chmod(0o600)
    assert cli("endpoint", "show", "greet", "--json").ok().json == before


@pytest.mark.parametrize("name", ["greet@0", "x@12", "greet:1", "./greet", "spec.yaml", "a.YML"])
def test_an_endpoint_is_not_named_like_a_version_or_a_file(two, cli, name):
    for call in (("endpoint", "create", name, "greet:1"), ("endpoint", "rename", "greet", name)):
        assert cli(*call, "--json").refused(2).json["error"]["code"] == "name_invalid"
    assert cli("publish", "greet.yaml", "--endpoint", name, "--json").refused(2).json["error"]["code"] == "name_invalid"


def test_only_a_file_can_be_sent_to_another_target(two, cli):
    answer = cli("submit", "greet", "--target", "laptop").refused(2)
    assert "publish --from greet --target laptop" in answer.err


def test_an_empty_idempotency_key_is_no_key(two, cli):
    code = cli("submit", "greet", "--idempotency-key", "", "--json").refused(2).json["error"]["code"]
    assert code == "idempotency_key_invalid"


@pytest.mark.parametrize("redirect", [">/dev/full", ">&-"])
def test_an_answer_that_cannot_be_written_is_no_traceback(two, redirect):
    command = f"{sys.executable} -m penstock endpoint list --json {redirect}"
    done = subprocess.run(["bash", "-c", command], cwd=two, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    if redirect == ">/dev/full":
        assert done.returncode == 141 and "could not be written" in done.stderr


def test_what_cannot_be_written_is_said_with_its_code(cli, monkeypatch):
    # Nobody writes here, root neither.
    monkeypatch.chdir("/proc")
    error = cli("init", "--json").refused(4).json["error"]
    assert error["code"] == "file_unwritable" and "/proc/penstock.yaml" in error["message"]
    with pytest.raises(UsageError, match="choose another folder") as caught:
        lay_out(Path("/proc/demo"))
    assert caught.value.code == "file_unwritable"
