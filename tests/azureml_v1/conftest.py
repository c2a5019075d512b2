"""A server with the door for Azure ML v1 callers, mapped data, and an endpoint whose parameters have every type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: forecast
parameters:
  1: {type: integer, default: 1}
  rate: {type: number, default: 0.5}
  fast: {type: boolean, default: false}
  word: {type: string, default: x}
  table: {type: file, default: ./table.csv}
  folder: {type: directory, default: ./data}
  folds: {type: integer, default: null}
  extra: {type: file, default: null}
steps:
  run:
    inputs: {table: "${{ parameters.table }}", folder: "${{ parameters.folder }}", extra: "${{ parameters.extra }}"}
    command: [sh, -c, 'printf "%s|%s|%s|%s|" "$1" "$2" "$3" "$4" > "$7"; cat "$5" "$6"/* >> "$7"; shift 7;
      printf "%s" "$@" >> "$OUT"', sh,
      "${{ parameters.1 }}", "${{ parameters.rate }}", "${{ parameters.fast }}", "${{ parameters.word }}",
      "${{ inputs.table }}", "${{ inputs.folder }}", "${{ outputs.text }}",
      "--folds=${{ parameters.folds }}", "${{ inputs.extra }}"]
    env: {OUT: "${{ outputs.text }}"}
    outputs: {text: string}
outputs: {text: "${{ steps.run.outputs.text }}"}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, engines_end) -> Iterator[Path]:
    """A project with the endpoint `forecast`, a datastore `blob` with data in it, and a secret beside it."""
    place = tmp_path_factory.mktemp("v1")
    (place / "forecast.yaml").write_text(SPEC)
    (place / "table.csv").write_text("bundled")
    (place / "data").mkdir()
    (place / "data/one").write_text("bundled")
    (place / "blob/monday").mkdir(parents=True)
    (place / "blob/monday/table.csv").write_text("monday")
    (place / "secret.txt").write_text("secret")
    (place / "blob/link").symlink_to(place / "secret.txt")
    (place / "penstock.yaml").write_text(
        f"targets:\n  laptop: {{backend: local, idle: 2s, slots: 4}}\n"
        "plugins:\n  azureml_v1:\n"
        f"    datastores: {{blob: {place / 'blob'}, cloud: 'gs://bucket/root'}}\n"
        f"    datasets: {{ds-1: {place / 'blob/monday/table.csv'}, 'sales:3': {place / 'blob/monday'}}}\n"
    )
    with Workspace.open(place, env={}, actor="ada") as workspace:
        workspace.publish(place / "forecast.yaml", endpoint="forecast")
    yield place
    engines_end(place)


@pytest.fixture(scope="module")
def served(folder, serving) -> Iterator:
    """A server that hands its runs over."""
    server = serving.Served(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def key(folder, serving) -> str:
    """A token for everything."""
    return serving.token(folder, "all", "admin")


@pytest.fixture(scope="module")
def ws() -> str:
    """The path of the workspace."""
    return (
        "/pipelines/v1.0/subscriptions/s-1/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/w"
    )


@pytest.fixture(scope="module")
def call(served, key, ws):
    """One call below the workspace, with every right."""

    def one(method, path, data=None, **more):
        return served.call(method, ws + path, data, token=key, **more)

    return one
