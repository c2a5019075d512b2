"""A workspace on targets in this process, whose distance, moods and memory a test decides."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from penstock.workspace import Workspace

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
def folder(tmp_path, monkeypatch, far) -> Path:
    """A project on two such targets, the current folder."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "penstock.yaml").write_text(CONFIG)
    (project / "flood.yaml").write_text(SPEC)
    monkeypatch.chdir(project)
    return project


@pytest.fixture
def ws(folder, far):
    """The workspace, with one endpoint on each target."""
    with Workspace.open(folder, actor="ada") as opened:
        opened.publish("flood.yaml", endpoint="near")
        opened.publish("flood.yaml", endpoint="away", target="away")
        far.calls.clear()
        yield opened


@pytest.fixture
def other_spec(folder):
    """The file of a pipeline that is published nowhere."""
    file = folder / "other.yaml"
    file.write_text(SPEC.replace("maximum: 99", "maximum: 98"))
    return file


@pytest.fixture
def later(ws, folder):
    """The next command, of somebody else: another opening of the same workspace."""
    opened = []

    def again() -> Workspace:
        opened.append(Workspace.open(folder, actor="bo"))
        return opened[-1]

    yield again
    for one in opened:
        one.close()


@pytest.fixture
def sql(folder):
    """Ask, or change, the registry's file directly."""

    def ask(statement: str, *values: object) -> list[tuple[object, ...]]:
        with sqlite3.connect(folder / ".penstock" / "registry.db") as connection:
            return connection.execute(statement, values).fetchall()

    return ask


@pytest.fixture
def all_due(sql):
    """Let time pass: whatever was put off is due, and no target is left alone any more."""

    def pass_by() -> None:
        sql("UPDATE outbox SET due = 1")
        sql("DELETE FROM breakers")

    return pass_by


@pytest.fixture
def impatient(monkeypatch):
    """A submit tries to hand its run over for a moment only."""
    monkeypatch.setattr("penstock.dispatch.outbox.PATIENCE", 0.2)


@pytest.fixture
def touch():
    """A verb that writes something that concerns `near` alone; whatever is due gets time by it."""

    def describe(workspace: Workspace) -> None:
        workspace.endpoints.update("near", description=f"touched at {time.monotonic()}")

    return describe


@pytest.fixture
def in_time():
    """Wait until something is true; `work` is done again and again meanwhile."""

    def wait(true, work=lambda: None) -> None:
        deadline = time.monotonic() + 20
        while not true():
            assert time.monotonic() < deadline
            time.sleep(0.02)
            work()

    return wait
