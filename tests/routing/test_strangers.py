"""Backends from other distributions, used from the command line; those that are broken hurt only whoever uses them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ConfigInvalid
from penstock.workspace import Workspace

CONFIG = """\
target: small
targets:
  small: {backend: tiny, folder: runs}
  broken: {backend: cracked}
  poor: {backend: needy}
  twice: {backend: shared}
  unknown: {backend: tinny}
  mute: {backend: mute, folder: muted}
"""
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: nothing
steps:
  one: {command: ["true"]}
  two: {command: ["true"], after: [one]}
"""

Penstock = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def penstock(python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> Penstock:
    """Run the command line in a project whose targets use the installed distributions."""
    (tmp_path / "penstock.yaml").write_text(CONFIG)
    (tmp_path / "nothing.yaml").write_text(SPEC)
    return lambda *arguments: python("-m", "penstock", *arguments)


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def refusal(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    assert "Traceback" not in done.stdout + done.stderr
    error = json.loads(done.stdout)["error"]
    return done.returncode, error["code"], error["message"]


def test_targets_are_listed_with_where_they_come_from_and_what_is_wrong(penstock: Penstock, tmp_path: Path) -> None:
    found = {item["name"]: item for item in answer(penstock("target", "list", "--json"))["items"]}
    assert list(found) == ["small", "broken", "poor", "twice", "unknown", "mute"]
    small = found["small"]
    assert (small["backend"], small["distribution"], small["available"]) == ("tiny", "penstock-tiny 3.1", True)
    assert small["options"]["folder"] == {
        "value": str(tmp_path / "runs"),
        "origin": "penstock.yaml:3:34",
        "takes_effect": "as another place",
    }
    problems = {name: item["problem"] for name, item in found.items() if not item["available"]}
    assert problems["broken"].endswith("RuntimeError: the coil is cracked")
    assert problems["poor"].endswith("Install it with: pip install 'penstock-odd[needy]'")
    assert "penstock-tiny 3.1" in problems["twice"] and "penstock-odd 0.9" in problems["twice"]
    assert problems["unknown"] == (
        "penstock.yaml:7:22: $.targets.unknown.backend: there is no backend `tinny` (did you mean `tiny`?)"
    )


def test_a_strangers_backend_does_the_main_job_beside_broken_ones(penstock: Penstock, tmp_path: Path) -> None:
    answer(penstock("publish", "nothing.yaml", "--endpoint", "nil", "--json"))
    run = answer(penstock("submit", "nil", "--wait", "--json"))
    assert (run["state"], run["target"], run["version"]) == ("succeeded", "small", "0")
    assert [step["name"] for step in run["steps"]] == ["one", "two"]
    assert [file.name for file in (tmp_path / "runs" / "runs").iterdir()] == [run["id"]]
    assert penstock("endpoint", "list").returncode == 0


@pytest.mark.thorough
def test_a_broken_backend_hurts_only_whoever_uses_it(penstock: Penstock) -> None:
    def publish(target: str) -> tuple[int, str, str]:
        return refusal(penstock("publish", "nothing.yaml", "--target", target, "--json"))

    assert publish("broken")[:2] == (14, "backend_broken")
    assert publish("poor")[:2] == (4, "backend_unavailable")
    assert publish("twice")[:2] == (4, "backend_ambiguous")
    assert publish("unknown")[:2] == (4, "backend_unknown")
    status, code, message = publish("smal")
    assert (status, code) == (4, "target_unknown")
    assert "did you mean `small`?" in message
    assert answer(penstock("pipeline", "list", "--json"))["items"] == []


@pytest.mark.parametrize(
    ("written", "named", "place"),
    [
        ("plugins: [audit,\n  audits]\n", {}, "penstock.yaml:10:3: $.plugins[1]: "),
        ("plugins:\n  audit: {}\n  audits: {}\n", {}, "penstock.yaml:11:3: $.plugins.audits: "),
        ("plugins: [audit]\n", {"PENSTOCK_PLUGINS": "audit,audits"}, "PENSTOCK_PLUGINS: "),
    ],
)
def test_a_plugin_that_is_not_there_is_told_with_where_it_is_named(tmp_path, monkeypatch, written, named, place):
    (tmp_path / "penstock.yaml").write_text(CONFIG + written)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigInvalid) as refused:
        Workspace.open(env=named)
    assert refused.value.code == "plugin_unknown"
    assert str(refused.value) == f"{place}there is no plugin `audits` (did you mean `audit`?)"


@pytest.mark.thorough
def test_what_a_target_lacks_is_said_and_what_it_has_works(penstock: Penstock) -> None:
    run = answer(penstock("submit", "nothing.yaml", "--target", "mute", "--wait", "--json"))
    assert refusal(penstock("run", "logs", run["id"], "--json"))[:2] == (9, "target_unsupported")
    assert answer(penstock("target", "check", "mute", "--json"))["ok"] is True
