"""`run clean` takes away what runs left that nobody needs, and nothing else."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.faulty_disk import read_only

from penstock.errors import NotFound, RegistryError
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


def test_what_was_cleared_away_is_said_with_its_time(workspace, tmp_path):
    (run,) = made(workspace)
    assert workspace.runs.missing(run) == {}
    workspace.runs.clean(older_than=0)
    when = workspace.admin.history(subject=run).items[0].at
    for call in (
        lambda: workspace.runs.logs(run),
        lambda: workspace.runs.logs(run, step="one", follow=True),
        lambda: workspace.runs.artifact(run, "made"),
        lambda: workspace.runs.download(run, tmp_path / "taken"),
    ):
        with pytest.raises(NotFound, match=f"cleared away by `run clean` on {when:%Y-%m-%d at %H:%M:%S} UTC") as error:
            call()
        assert error.value.code == "run_cleared"
    assert set(workspace.runs.outputs(run)) == set(workspace.runs.missing(run)) == {"made"}
    assert not (tmp_path / "taken").exists()


def lose_root(tmp_path, run):
    shutil.rmtree(tmp_path / ".penstock" / "local")


def lose_run(tmp_path, run):
    shutil.rmtree(folder(tmp_path, run))


@pytest.mark.parametrize(("lose", "code"), [(lose_root, "run_gone"), (lose_run, "artifact_gone")])
def test_what_somebody_removed_is_said_to_be_gone(workspace, tmp_path, lose, code):
    (run,) = made(workspace)
    lose(tmp_path, run)
    with pytest.raises(NotFound) as error:
        list(workspace.runs.logs(run))
    assert error.value.code == "run_gone" and "no step" not in str(error.value)
    with pytest.raises(NotFound) as error:
        workspace.runs.download(run, tmp_path / "taken")
    assert error.value.code == code and "made no artifact" not in str(error.value)
    assert "is gone" in workspace.runs.missing(run)["made"]


@pytest.mark.thorough
@pytest.mark.parametrize("lose", [lambda *_: None, lose_root], ids=["cleared", "removed"])
def test_the_command_line_says_it_too(workspace, tmp_path, lose):
    (run,) = made(workspace)
    workspace.runs.clean(older_than=0)
    lose(tmp_path, run)

    def penstock(*words):
        command = [Path(sys.executable).with_name("penstock"), "run", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    for words in (["logs", run], ["logs", run, "one", "--timestamps"], ["outputs", run, "--download", "taken"]):
        done = penstock(*words)
        assert (done.returncode, done.stdout) == (6, ""), done
        assert "was cleared away by `run clean`" in done.stderr
    done = penstock("outputs", run)
    assert done.returncode == 0 and "was cleared away" in done.stderr
    assert json.loads(penstock("outputs", run, "--json").stdout)["missing"].keys() == {"made"}


@pytest.mark.thorough
def test_a_target_that_could_not_be_asked_is_no_success(workspace, tmp_path):
    root = tmp_path / "root"
    (tmp_path / "penstock.yaml").write_text(f"target: far\ntargets: {{far: {{backend: local, root: {root}}}}}\n")
    with Workspace.open(tmp_path, env={}, actor="ada") as again:
        again.publish(tmp_path / "made.yaml", endpoint="far")
        run = again.submit("far").wait().id

    def clean(*words):
        command = [sys.executable, "-m", "penstock", "run", "clean", "--older-than", "0s", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    with read_only(root):
        done = clean()
        assert (done.returncode, "target `far` was left out: " in done.stdout) == (10, True), done
        done = clean("--json")
        assert (done.returncode, json.loads(done.stdout)["runs"]) == (10, [])
    done = clean("--json")
    assert (done.returncode, json.loads(done.stdout)["runs"]) == (0, [run])


def test_a_registry_that_cannot_be_written_is_said_once_and_no_target_is_blamed(workspace, tmp_path, monkeypatch):
    runs = made(workspace, 3)
    tried = []

    def fail(run, caller):
        tried.append(run)
        raise RegistryError("somebody keeps the registry busy", code="registry_busy", undone="nothing was changed")

    with monkeypatch.context() as patched:
        patched.setattr(workspace._services.registry.runs, "note_cleared", fail, raising=False)
        cleared = workspace.runs.clean(older_than=0)
    assert tried == runs[:1]  # the others would wait as long for nothing
    assert left_behind(tmp_path, runs) == [False, True, True]
    assert cleared.failed and cleared.runs == ()
    assert cleared.left == ("the rest was left alone: somebody keeps the registry busy; call it again",)
    assert workspace.runs.clean(older_than=0).runs == tuple(runs)
