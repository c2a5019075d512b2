"""What commands print with `--json` is what `specs/schema/output.schema.json` says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from penstock.cli.schemas import COMMANDS, output_schema

FILE = Path(__file__).parents[2] / "specs/schema/output.schema.json"

STORY = [
    ("init", ["init"], 8),
    ("status", ["status"], 0),
    ("validate", ["validate", "greet.yaml"], 0),
    ("publish", ["publish", "greet.yaml", "--endpoint", "greet"], 0),
    ("publish", ["publish", "greet.yaml", "--name", "other", "--endpoint", "greet"], 0),
    ("endpoint create", ["endpoint", "create", "second", "greet:1"], 0),
    ("endpoint add-version", ["endpoint", "add-version", "second", "other:1"], 0),
    ("endpoint set-default", ["endpoint", "set-default", "second", "1"], 0),
    ("endpoint rollback", ["endpoint", "rollback", "second"], 0),
    ("endpoint access", ["endpoint", "access", "second", "--public"], 0),
    ("endpoint disable", ["endpoint", "disable", "second", "--reason", "why"], 0),
    ("endpoint deduplicate", ["endpoint", "deduplicate", "second", "--window", "10m"], 0),
    ("endpoint list", ["endpoint", "list", "--all"], 0),
    ("endpoint show", ["endpoint", "show", "second"], 0),
    ("error", ["submit", "second"], 7),
    ("error", ["submit", "greet", "-p", "times=99", "-p", "nobody=1"], 5),
    ("endpoint enable", ["endpoint", "enable", "second"], 0),
    ("endpoint rename", ["endpoint", "rename", "second", "third"], 0),
    ("endpoint history", ["endpoint", "history", "third"], 0),
    ("endpoint history --at", ["endpoint", "history", "third", "--at", "1h"], 0),
    ("endpoint delete", ["endpoint", "delete", "third"], 0),
    ("submit", ["submit", "greet", "--tag", "a=b", "--idempotency-key", "k"], 0),
    ("submit --wait", ["submit", "greet", "--wait"], 0),
    ("run list", ["run", "list"], 0),
    ("run show", ["run", "show", "RUN"], 0),
    ("run wait", ["run", "wait", "RUN"], 0),
    ("run logs", ["run", "logs", "RUN"], 0),
    ("run outputs", ["run", "outputs", "RUN"], 0),
    ("run outputs --download", ["run", "outputs", "RUN", "--download", "downloaded"], 0),
    ("run cancel", ["run", "cancel", "RUN", "--reason", "late"], 0),
    ("run clean", ["run", "clean", "--older-than", "1h"], 0),
    ("run rerun", ["run", "rerun", "RUN"], 0),
    ("pipeline list", ["pipeline", "list"], 0),
    ("pipeline show", ["pipeline", "show", "other:1"], 0),
    ("pipeline disable", ["pipeline", "disable", "other:1"], 0),
    ("pipeline enable", ["pipeline", "enable", "other:1"], 0),
    ("publish", ["publish", "--from", "greet@0", "--name", "gone"], 0),
    ("pipeline delete", ["pipeline", "delete", "gone:1"], 0),
    ("target list", ["target", "list"], 0),
    ("target check", ["target", "check"], 0),
    ("plugin list", ["plugin", "list"], 0),
    ("token create", ["token", "create", "cron", "--scope", "submit", "--endpoint", "greet", "--expires", "90d"], 0),
    ("token list", ["token", "list"], 0),
    ("token revoke", ["token", "revoke", "cron"], 0),
    ("error", ["token", "revoke", "nobody"], 6),
    ("server show", ["server", "show"], 0),
    ("registry check", ["registry", "check"], 0),
    ("registry backup", ["registry", "backup", "copy.db"], 0),
    ("registry restore", ["registry", "restore", "copy.db"], 0),
    ("history", ["history", "--all"], 0),
    ("--version", ["--version"], 0),
]


def test_the_file_is_what_the_classes_give() -> None:
    schema = json.loads(FILE.read_text())
    Draft202012Validator.check_schema(schema)
    assert output_schema() == schema


def test_every_command_prints_what_its_schema_says(cli, project, answered) -> None:
    run = ""
    for name, words, status in STORY:
        answer = cli(*[run if word == "RUN" else word for word in words], "--json")
        assert answer.status == status, (words, answer.err)
        answered("error" if status else name, answer.json)
        run = answer.json.get("id", run) if name.startswith("submit") and not status else run
    # Those that go on are asked in `tests/server`, `tests/azureml_emulator` and `tests/vertex_emulator`.
    elsewhere = {"init", "demo", "serve", "dispatch", "emulate azureml", "emulate vertex"}
    assert {name for name, _, status in STORY} | elsewhere == set(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_schema_refuses_what_is_not_said(name: str, answered) -> None:
    with pytest.raises(AssertionError):
        answered(name, {"surprise": 1})
