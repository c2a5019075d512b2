"""A pipeline on Vertex as users meet it: the commands, what they print, and what Google's errors become."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import ParameterInvalid, TargetRefused, TargetUnavailable
from penstock.workspace import Workspace

DIGITS = Path(__file__).parents[2] / "specs" / "digits"

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


def test_the_digits_come_to_the_same_as_on_this_machine(tmp_path: Path, target: dict[str, Any]) -> None:
    pytest.importorskip("sklearn")
    for name in ("src", "pipeline.yaml"):
        (shutil.copytree if name == "src" else shutil.copy)(DIGITS / name, tmp_path / name)
    both = {"prod": target, "laptop": {"backend": "local"}}
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": both}))
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        found = {}
        for name in both:
            workspace.publish(tmp_path / "pipeline.yaml", target=name, endpoint=name)
            found[name] = workspace.submit(name, parameters={"max_depth": 5}).wait().outputs["accuracy"]
        assert found["prod"] == found["laptop"] > 0.5


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
        assert not health.ok and any("cannot be" in line for line in health.lines), health.lines
        assert not any("Traceback" in line or "\n" in line for line in health.lines)


def test_a_bucket_that_is_not_there_is_said_at_publish(project: Path, target: dict[str, Any]) -> None:
    _configure(project, {**target, "staging": "gs://penstock-nowhere"})
    with Workspace.open(project, env={}, actor="ada") as workspace:
        with pytest.raises((TargetRefused, TargetUnavailable), match="penstock-nowhere"):
            workspace.publish(project / "greet.yaml")
        assert workspace.pipelines.list().items == ()


def test_a_path_of_this_machine_is_refused(project: Path) -> None:
    spec = SPEC.replace("parameters:\n", "parameters:\n  table: {type: file}\n", 1)
    spec = spec.replace("    command:", '    inputs: {table: "${{ parameters.table }}"}\n    command:', 1)
    (project / "table.yaml").write_text(spec.replace("name: greet", "name: table"))
    with Workspace.open(project, env={}, actor="ada") as workspace:
        workspace.publish(project / "table.yaml", endpoint="table")
        with pytest.raises(ParameterInvalid, match="gs://"):
            workspace.submit("table", parameters={"table": "/etc/hostname"})
