"""One server for the tests of a file, with endpoints and a token of each kind; nothing is handed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: greet
parameters:
  name: {type: string, default: world, maxLength: 20}
  times: {type: integer, default: 1, minimum: 1, maximum: 5}
  table: {type: file, default: ./table.csv}
steps:
  write:
    inputs: {table: "${{ parameters.table }}"}
    command: [sh, -c, 'printf "hello %s x%s" "$1" "$2" > "$3"; echo written', sh, "${{ parameters.name }}",
      "${{ parameters.times }}", "${{ outputs.text }}", "${{ inputs.table }}"]
    outputs: {text: string}
outputs:
  text: "${{ steps.write.outputs.text }}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, engines_end) -> Iterator[Path]:
    """A project with the endpoints `hello` and `hidden`."""
    place = tmp_path_factory.mktemp("served")
    (place / "greet.yaml").write_text(SPEC)
    (place / "table.csv").write_text("a,b\n")
    (place / "penstock.yaml").write_text("targets:\n  laptop: {backend: local, idle: 2s, slots: 4}\n")
    with Workspace.open(place, env={}, actor="ada") as workspace:
        for endpoint in ("hello", "hidden"):
            workspace.publish(place / "greet.yaml", endpoint=endpoint)
    yield place
    engines_end(place)


@pytest.fixture(scope="module")
def served(folder, serving) -> Iterator:
    """A server that hands nothing over."""
    server = serving.Served(folder, "--no-dispatch")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def tokens(folder, serving) -> dict[str, str]:
    """A token of each scope on everything, and `one`, which may trigger `hello` and nothing else."""
    made = {scope: serving.token(folder, scope, scope) for scope in ("read", "submit", "publish", "admin")}
    return {**made, "one": serving.token(folder, "one", "submit", ["hello"])}


@pytest.fixture(scope="session")
def issuing(importing):
    """The module of `tests/server/issuing.py`; without the extra `server` its tests are skipped by name."""
    pytest.importorskip("joserfc", reason="needs the extra `server`")
    return importing(Path(__file__).with_name("issuing.py"))
