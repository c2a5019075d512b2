"""The audit plugin as a project uses it: named in the configuration, and every command leaves its line."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: nothing
steps:
  one: {command: ["true"]}
"""

Penstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def penstock(tmp_path: Path) -> Penstock:
    """Run the command line in a project that uses the audit plugin."""
    (tmp_path / "penstock.yaml").write_text("plugins: [audit]\n")
    (tmp_path / "nothing.yaml").write_text(SPEC)
    env = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "penstock", *arguments],
            cwd=tmp_path,
            env={**env, "PENSTOCK_ACTOR": "ada"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.mark.thorough
def test_every_verb_leaves_a_line_refused_ones_too(penstock: Penstock, tmp_path: Path) -> None:
    for arguments in (
        ("publish", "nothing.yaml", "--endpoint", "nil"),
        ("endpoint", "disable", "nil", "--reason", "leak"),
        ("submit", "nil"),
        ("endpoint", "show", "missing"),
    ):
        penstock(*arguments)
    text = (tmp_path / ".penstock" / "audit.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert {(line["actor"], line["verified"], line["door"]) for line in lines} == {("ada", False, "cli")}
    assert [(line["subject"], line["outcome"]) for line in lines if line["verb"] == "endpoint.disable"] == [
        ("nil", "ok")
    ]
    refused = {line["outcome"]: line["subject"] for line in lines if line["outcome"] != "ok"}
    assert refused == {"endpoint_disabled": "nil", "endpoint_not_found": "missing"}
    assert len({line["request_id"] for line in lines}) == len(lines)


def test_the_state_folder_it_may_be_first_to_make_is_the_same_as_ever(penstock: Penstock, tmp_path: Path) -> None:
    penstock("endpoint", "list")
    assert penstock("publish", "nothing.yaml").returncode == 0
    state = tmp_path / ".penstock"
    assert state.stat().st_mode & 0o777 == 0o700
    assert (state / ".gitignore").read_text().strip() == "*"
    assert (state / "audit.jsonl").stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_audited_is_refused_with_its_status(penstock: Penstock, tmp_path: Path) -> None:
    (tmp_path / ".penstock" / "audit.jsonl").mkdir(parents=True)
    done = penstock("publish", "nothing.yaml", "--json")
    assert done.returncode == 15
    assert json.loads(done.stdout)["error"]["code"] == "policy_refused"
    assert not (tmp_path / ".penstock" / "registry.db").exists()
