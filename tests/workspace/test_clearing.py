"""`run clean` takes away what runs left that nobody needs, and nothing else."""

from __future__ import annotations

import math

import pytest

from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
steps:
  one:
    command: [sh, -c, 'echo said; echo made > "$0"', "${{ outputs.made }}"]
    outputs: {made: file}
outputs: {made: "${{ steps.one.outputs.made }}"}
"""
HELD = """\
apiVersion: penstock/v1
kind: Pipeline
name: held
steps: {one: {command: [sh, -c, 'echo said; until [ -e "$0" ]; do sleep 0.02; done', "GO"]}}
"""


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "made.yaml").write_text(SPEC)
    (tmp_path / "held.yaml").write_text(HELD.replace("GO", str(tmp_path / "go")))
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        opened.publish(tmp_path / "made.yaml", endpoint="made")
        yield opened


def folder(tmp_path, run):
    return tmp_path / ".penstock" / "local" / "local" / "runs" / run


def left_behind(tmp_path, runs):
    return [folder(tmp_path, run).exists() for run in runs]


def made(workspace, count=1):
    return [workspace.submit("made").wait().id for _ in range(count)]


def test_what_ended_is_cleared_and_its_record_stays(workspace, tmp_path):
    (run,) = made(workspace)
    before = workspace.runs.get(run)
    assert workspace.runs.clean().runs == ()  # it ended a moment ago
    done = workspace.runs.clean(older_than=0, dry_run=True)
    assert (done.runs, done.freed, done.dry_run) == ((run,), 0, True)
    assert left_behind(tmp_path, [run]) == [True]
    done = workspace.runs.clean(older_than=0)
    assert done.runs == (run,) and done.freed > 0 and done.left == ()
    assert left_behind(tmp_path, [run]) == [False]
    assert workspace.runs.get(run) == before
    assert workspace.admin.history(subject=run).items[0].action == "run_cleared"
    assert workspace.runs.clean(older_than=0).runs == ()
    assert workspace.admin.check().ok


def test_the_newest_of_each_endpoint_are_kept(workspace, tmp_path):
    workspace.publish(tmp_path / "made.yaml", endpoint="other")
    first = made(workspace, 3)
    second = [workspace.submit("other").wait().id]
    assert workspace.runs.clean(older_than=0, keep=10**30).runs == ()
    assert workspace.runs.clean(older_than=1e300).runs == ()
    assert workspace.runs.clean(older_than=math.inf).runs == ()
    assert workspace.runs.clean(older_than=0, keep=1).runs == tuple(first[:2])
    assert left_behind(tmp_path, [*first, *second]) == [False, False, True, True]
    assert set(workspace.runs.clean(older_than=0).runs) == {first[2], second[0]}


def test_what_runs_is_left_alone(workspace, tmp_path):
    held = workspace.submit(tmp_path / "held.yaml")
    (run,) = made(workspace)
    assert workspace.runs.clean(older_than=0).runs == (run,)
    (tmp_path / "go").touch()
    assert held.wait().state == "succeeded"
    assert b"".join(data for _, data in held.logs()) == b"said\n"


def test_a_target_that_is_gone_is_told_and_hides_no_other(workspace, tmp_path):
    (run,) = made(workspace)
    workspace.close()
    (tmp_path / "penstock.yaml").write_text("target: new\ntargets: {new: {backend: local}}\n")
    with Workspace.open(tmp_path, env={}, actor="ada") as again:
        again.publish(tmp_path / "made.yaml", endpoint="new")
        other = again.submit("new").wait().id
        done = again.runs.clean(older_than=0)
    assert done.runs == (other,)
    assert len(done.left) == 1 and "`local`" in done.left[0]
    assert left_behind(tmp_path, [run]) == [True]
