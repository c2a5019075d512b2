"""`registry check` reads all that was frozen, and names each thing that is not what it was."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: {name}
defaults: {{code: ./{name}}}
steps: {{a: {{command: sh go.sh}}}}
"""


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        yield opened


def publish(workspace, folder, name):
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "go.sh").write_text(f"echo {name}")
    (folder / f"{name}.yaml").write_text(SPEC.format(name=name))
    return workspace.publish(folder / f"{name}.yaml", endpoint=name)


def archive_of(folder, name):
    (found,) = [one for one in (folder / ".penstock/archives").iterdir() if f"echo {name}".encode() in one.read_bytes()]
    return found


def change(path):
    data = path.read_bytes()
    path.write_bytes(data.replace(b"echo", b"eval"))


def change_spec(folder, name):
    with closing(sqlite3.connect(folder / ".penstock/registry.db")) as connection, connection:
        connection.execute(
            "UPDATE snapshots SET spec = replace(spec, 'go.sh', 'no.sh') WHERE spec LIKE ?", [f"%{name}%"]
        )


def test_all_is_well(workspace, tmp_path):
    publish(workspace, tmp_path, "one")
    report = workspace.admin.check()
    assert "1 archive is what was published" in report.lines
    assert "1 publication on targets of this machine was looked at" in report.lines
    publish(workspace, tmp_path, "two")
    report = workspace.admin.check()
    assert report.ok, report
    assert "2 archives are what was published" in report.lines
    assert "2 publications on targets of this machine were looked at" in report.lines


def test_each_damaged_archive_is_named_and_publishing_again_heals_all_its_names(workspace, tmp_path):
    names = ["one", "two", "three"]
    for name in names:
        publish(workspace, tmp_path, name)
    damaged = [archive_of(tmp_path, name) for name in names[:2]]
    for path in damaged:
        change(path)
    report = workspace.admin.check()
    assert not report.ok
    for path, name in zip(damaged, names, strict=False):
        # One file has two names here: in the store, and below the root of the target.
        said = [line for line in report.lines if path.name in line]
        assert len(said) == 2 and all(f"({name}:1@local)" in line and "publish it again" in line for line in said)
    assert len(report.lines) == 4
    for name in names:
        publish(workspace, tmp_path, name)
    assert workspace.admin.check().ok


def test_changed_plans_and_specs_are_named_too(workspace, tmp_path):
    for name in ("one", "two", "three"):
        publish(workspace, tmp_path, name)
    plans = {json.loads(path.read_text())["name"]: path for path in tmp_path.rglob("publications/*.json")}
    plans["one"].write_text(plans["one"].read_text().replace("go.sh", "no.sh"))
    change_spec(tmp_path, "two")
    report = workspace.admin.check()
    assert not report.ok and len(report.lines) == 2
    spec, plan = report.lines
    assert "two:1@local is not what was published" in spec and "put a backup in its place" in spec
    assert str(plans["one"]) in plan and "(one:1@local)" in plan


def test_a_row_that_cannot_be_read_hides_no_other(workspace, tmp_path):
    for name in ("one", "two", "three"):
        publish(workspace, tmp_path, name)
    with closing(sqlite3.connect(tmp_path / ".penstock/registry.db")) as connection, connection:
        connection.execute("UPDATE snapshots SET archives = '{' WHERE spec LIKE '%one%'")
        connection.execute("UPDATE published SET tags = '{' WHERE name IN ('one', 'two')")
    change(archive_of(tmp_path, "three"))
    lines = workspace.admin.check().lines
    for wanted in ("of one:1@local cannot be read", "three:1@local", "tags cannot be read"):
        assert [line for line in lines if wanted in line], lines
    assert sum("tags cannot be read" in line for line in lines) == 2


def test_a_target_that_is_gone_is_left_out_and_is_no_damage(tmp_path):
    (tmp_path / "penstock.yaml").write_text("target: a\ntargets: {a: {backend: local}, b: {backend: local}}\n")
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        publish(workspace, tmp_path, "one")
    (tmp_path / "penstock.yaml").write_text("target: b\ntargets: {b: {backend: local}}\n")
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        report = workspace.admin.check()
    assert report.ok, report
    assert any(line.startswith("target `a` was left out") for line in report.lines)
