"""A pipeline on Vertex as users meet it: the commands, what they print, and what Google's errors become."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Conflict, ParameterInvalid, TargetRefused
from penstock.workspace import Workspace

PENSTOCK = Path(sys.executable).with_name("penstock")
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: greet
parameters:
  name: {type: string, default: world}
  times: {type: integer, default: 1, minimum: 1}
steps:
  write:
    command: [sh, -c, 'printf "hello %s x%s" "$1" "$2" > "$3"; echo "wrote $1"', sh, "${{ parameters.name }}",
      "${{ parameters.times }}", "${{ outputs.text }}"]
    outputs: {text: string}
outputs:
  text: "${{ steps.write.outputs.text }}"
"""


@pytest.fixture
def project(tmp_path: Path, target: dict[str, Any]) -> Path:
    """A folder whose default target is the emulator."""
    _configure(tmp_path, target)
    (tmp_path / "greet.yaml").write_text(SPEC)
    return tmp_path


def _configure(folder: Path, options: dict[str, Any]) -> None:
    (folder / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": options}}))


def test_a_run_comes_to_its_outputs_and_its_log(project: Path) -> None:
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "greet.yaml", endpoint="greet")
        run = workspace.submit("greet", parameters={"name": "$(X) {{$.y}} 'ä'\n", "times": 2}).wait()
        assert run.outputs == {"text": "hello $(X) {{$.y}} 'ä'\n x2"}
        record = workspace.runs.get(run.id)
        assert (record.steps[0].state, record.steps[0].exit_code, record.steps[0].attempt) == ("succeeded", 0, 1)
        assert (
            b"".join(part.data for part in workspace.runs.logs(run.id, step="write"))
            == "wrote $(X) {{$.y}} 'ä'\n\n".encode()
        )
        assert record.details["console"].startswith("https://console.cloud.google.com/vertex-ai/pipelines/")


def test_the_demo_scores_the_same_on_vertex_as_here(tmp_path: Path, target: dict[str, Any]) -> None:
    pytest.importorskip("sklearn")
    _configure(tmp_path, target)
    scores = {}
    for name, options in (("there", ["--target", "prod"]), ("here", [])):
        command = [PENSTOCK, "demo", "--json", "--folder", tmp_path / name, *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        scores[name] = [(run["version"], run["outputs"]["accuracy"]) for run in said["runs"]]
        assert {run["target"] for run in said["runs"]} == {"prod" if options else "laptop"}
    assert scores["there"] == scores["here"] and len(scores["here"]) == 5
    # The folder is a workspace to go on with, on the target that was played on.
    for command in (["target", "check"], ["submit", "digits", "-p", "max_depth=2", "--wait"], ["demo", "--help"]):
        done = subprocess.run([PENSTOCK, *command], cwd=tmp_path / "there", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
    listed = json.loads(subprocess.check_output([PENSTOCK, "run", "list", "--json"], cwd=tmp_path / "there", text=True))
    assert [run["target"] for run in listed["items"]] == ["prod"] * 6


def test_nothing_is_overwritten_when_it_is_published_again(project: Path) -> None:
    from penstock_vertex.client import connect

    with Workspace.open(project, env={}, actor="ada") as workspace:
        first = workspace.publish(project / "greet.yaml")
        vertex = connect(workspace.services.targets.open("prod").target.options)
        before = vertex.files("compiled/")
        assert workspace.publish(project / "greet.yaml").id == first.id
        assert vertex.files("compiled/") == before


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_who_cannot_be_reached_is_unavailable(project: Path, target: dict[str, Any], transport: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    _configure(project, {**target, "api_endpoint": nobody, "transport": transport, "poll_timeout": "2s"})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        opened = workspace.services.targets.open("prod")
        health = opened.check()
        said = [line for line in health.lines if f"{nobody} cannot be reached" in line]
        assert not health.ok and len(said) == 1, health.lines
        assert "is the emulator running?" in said[0] or "is `transport: grpc` right?" in said[0]
        assert not any("Traceback" in line or "\n" in line for line in health.lines)


def test_it_is_storage_that_cannot_be_reached_and_not_the_jobs(project: Path, target: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    _configure(project, {**target, "storage_endpoint": nobody})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        health = workspace.services.targets.open("prod").check()
        assert [target["api_endpoint"] in line for line in health.lines] == [False] * len(health.lines)
        assert any(f"{nobody} cannot be reached" in line for line in health.lines), health.lines


def test_an_address_without_its_scheme_is_told_which_one(project: Path, target: dict[str, Any]) -> None:
    _configure(project, {**target, "api_endpoint": target["api_endpoint"].removeprefix("http://")})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        health = workspace.services.targets.open("prod").check()
        assert any("an emulator's address begins with `http://`" in line for line in health.lines), health.lines


def test_a_moved_target_says_what_is_another(project: Path, target: dict[str, Any]) -> None:
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "greet.yaml", endpoint="greet")
    _configure(project, {**target, "staging": "gs://penstock-emulator/other"})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        said = "`staging` was `gs://penstock-emulator` and is `gs://penstock-emulator/other`"
        with pytest.raises(Conflict, match=said) as caught:
            workspace.submit("greet")
        assert caught.value.code == "target_changed" and "{" not in str(caught.value)


def test_a_bucket_that_is_not_there_is_said_at_publish(project: Path, target: dict[str, Any]) -> None:
    _configure(project, {**target, "staging": "gs://penstock-nowhere"})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        with pytest.raises(
            TargetRefused, match="gcloud storage buckets create gs://penstock-nowhere --project="
        ) as caught:
            workspace.publish(project / "greet.yaml")
        assert caught.value.code == "target_not_there"
        assert "http" not in str(caught.value) and "{" not in str(caught.value)
        health = workspace.services.targets.open("prod").check()
        assert any("the bucket `penstock-nowhere` is not there" in line for line in health.lines), health.lines
        assert workspace.pipelines.list().items == ()


def test_an_image_that_does_not_exist_is_said_by_its_step(project: Path) -> None:
    """Nobody here can know it before: the registry is asked by Google, when the step begins."""
    spec = SPEC.replace("  write:\n", "  write:\n    image: registry.invalid/team/greet:1\n", 1)
    (project / "greet.yaml").write_text(spec)
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "greet.yaml", endpoint="greet")
        run = workspace.submit("greet")
        record = workspace.runs.wait(run.id)
        assert (record.state, record.error.code) == ("failed", "step_failed")
        assert record.error.message.startswith("step `write`: ")
        assert "registry.invalid/team/greet:1" in record.error.message
        assert "\n" not in record.error.message


def test_a_path_of_this_machine_is_refused(project: Path) -> None:
    spec = SPEC.replace("parameters:\n", "parameters:\n  table: {type: file}\n", 1)
    spec = spec.replace("    command:", '    inputs: {table: "${{ parameters.table }}"}\n    command:', 1)
    (project / "table.yaml").write_text(spec.replace("name: greet", "name: table"))
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "table.yaml", endpoint="table")
        with pytest.raises(ParameterInvalid, match="gs://"):
            workspace.submit("table", parameters={"table": "/etc/hostname"})
