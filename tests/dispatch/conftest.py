"""A workspace with targets in this process, whose distance, moods and memory a test decides."""

from __future__ import annotations

import importlib
import sqlite3
from pathlib import Path
from types import ModuleType

import pytest

from penstock.workspace import Workspace

BACKEND = Path(__file__).parents[1] / "distributions/penstock_far/penstock_far.py"

CONFIG = """\
target: near
targets:
  near: {backend: far}
  away: {backend: far}
"""

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: flood
parameters:
  depth: {type: integer, default: 1, maximum: 99}
steps:
  measure: {command: "measure ${{ parameters.depth }} ${{ outputs.level }}", outputs: {level: number}}
outputs:
  level: "${{ steps.measure.outputs.level }}"
"""


@pytest.fixture
def far(distribution) -> ModuleType:
    """The backend `far`, new for each test; its lists and sets are what a test looks at and changes."""
    distribution("penstock-far", {"penstock.backends": {"far": "penstock_far"}}, penstock_far=BACKEND.read_text())
    return importlib.import_module("penstock_far")


@pytest.fixture
def folder(tmp_path, monkeypatch, far) -> Path:
    """A project on two such targets, the current folder."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "penstock.yaml").write_text(CONFIG)
    (project / "flood.yaml").write_text(SPEC)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def ws(folder):
    """The workspace, with one endpoint on each target."""
    with Workspace.open(folder, actor="ada") as opened:
        opened.publish("flood.yaml", endpoint="near")
        opened.publish("flood.yaml", endpoint="away", target="away")
        yield opened


@pytest.fixture
def sql(folder):
    """Ask the registry's file directly."""

    def ask(statement: str, *values: object) -> list[tuple[object, ...]]:
        with sqlite3.connect(folder / ".penstock" / "registry.db") as connection:
            return connection.execute(statement, values).fetchall()

    return ask
