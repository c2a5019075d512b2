"""A workspace that was copied or moved has its own artifacts, by every door, and reads nothing of where it lay."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from penstock.errors import NotFound, PenstockError
from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
steps:
  make:
    command: [sh, -c, 'echo data > "$1"; mkdir "$2"; echo one > "$2/one"; printf %s "$3" > "$3"', sh,
      "${{ outputs.table }}", "${{ outputs.folder }}", "${{ outputs.path }}"]
    outputs: {table: file, folder: directory, path: string}
outputs:
  table: "${{ steps.make.outputs.table }}"
  folder: "${{ steps.make.outputs.folder }}"
  path: "${{ steps.make.outputs.path }}"
"""
NAMES = ("table", "folder")


def penstock(folder: Path, serving, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [serving.PENSTOCK, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def own(tmp_path, engines_end):
    """A workspace with two runs that have succeeded: one of an endpoint, one of a file, whose plan is gone."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "made.yaml").write_text(SPEC)
    (folder / "penstock.yaml").write_text("targets:\n  laptop: {backend: local, idle: 0s}\n")
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "made.yaml", endpoint="made")
        runs = [workspace.submit("made").wait(), workspace.submit(folder / "made.yaml").wait()]
        assert [run.state for run in runs] == ["succeeded", "succeeded"]
    engines_end(tmp_path)  # so that nothing comes and goes while it is copied
    yield folder, [run.id for run in runs]
    engines_end(tmp_path)


def spoil(folder: Path) -> None:
    """Let what a workspace made be told from what a copy of it has."""
    for path in (folder / ".penstock/local/laptop/runs").glob("*/outputs/*/table"):
        path.write_text("the original's\n")


def copied(folder: Path) -> Path:
    to = folder.parent / "other"
    subprocess.run(["cp", "-a", folder, to], check=True)
    spoil(folder)
    return to


def moved(folder: Path) -> Path:
    return folder.rename(folder.parent / "other")


def moved_and_replaced(folder: Path) -> Path:
    to = moved(folder)
    subprocess.run(["cp", "-a", to, folder], check=True)
    spoil(folder)
    return to


@pytest.mark.thorough
@pytest.mark.sampled(1)
@pytest.mark.parametrize("change", [copied, moved, moved_and_replaced])
def test_every_door_has_the_artifacts_of_the_place_that_it_looks_at(own, change, serving, tmp_path) -> None:
    first, runs = own
    there = change(first)
    root = f"{there}/.penstock/local/laptop/"
    read = serving.token(there, "read", "read")
    server = serving.Served(there, "--no-dispatch")
    try:
        for number, run in enumerate(runs):
            paths = {name: f"{root}runs/{run}/outputs/make.1/{name}" for name in NAMES}
            paths["path"] = (
                f"{first}/.penstock/local/laptop/runs/{run}/outputs/make.1/path"  # a value stays what it was
            )
            with Workspace.open(there, env={}, actor="ada") as workspace:
                record = workspace.runs.get(run)
                assert (record.outputs, record.steps[0].outputs) == (paths, paths)
                assert workspace.runs.outputs(run) == paths
                assert [one.outputs for one in workspace.runs.list().items if one.id == run] == [paths]
                assert workspace.runs.cancel(run).run.outputs == paths
                assert workspace.runs.artifact(run, "table").path == Path(paths["table"])
                workspace.runs.download(run, tmp_path / f"python{number}")
            for command in ("show", "outputs"):
                assert json.loads(penstock(there, serving, "run", command, run, "--json").stdout)["outputs"] == paths
                assert paths["table"] in penstock(there, serving, "run", command, run).stdout
            done = penstock(there, serving, "run", "outputs", run, "--download", f"{tmp_path}/cli{number}")
            assert done.returncode == 0, done.stderr
            for door in ("python", "cli"):
                assert (tmp_path / f"{door}{number}/table").read_text() == "data\n"
                assert (tmp_path / f"{door}{number}/folder/one").read_text() == "one\n"
            shown = server.call("GET", f"/v1/runs/{run}", token=read).json
            assert (shown["outputs"], shown["steps"][0]["outputs"]) == (paths, paths)
            assert server.call("GET", f"/v1/runs/{run}/outputs", token=read).json["outputs"] == paths
            assert server.call("GET", f"/v1/runs/{run}/outputs/table", token=read).body == b"data\n"
            assert b"one\n" in server.call("GET", f"/v1/runs/{run}/outputs/folder", token=read).body
    finally:
        server.stop()


def test_the_run_that_a_key_has_is_shown_as_it_lies(own, serving) -> None:
    first, _ = own
    with Workspace.open(first, env={}, actor="ada") as workspace:
        run = workspace.runs.wait(workspace.submit("made", idempotency_key="k").id)
    there = moved(first)
    path = f"{there}/.penstock/local/laptop/runs/{run.id}/outputs/make.1/table"
    with Workspace.open(there, env={}, actor="ada") as workspace:
        again = workspace.runs.submit("made", idempotency_key="k")
    assert (again.replayed, again.run.outputs["table"]) == (True, path)
    token, server = serving.token(there, "submit", "submit"), serving.Served(there)
    try:
        for _ in range(2):
            answer = server.call("POST", "/v1/endpoints/made/runs", {}, token=token, headers={"Idempotency-Key": "k"})
            assert (answer.json["id"], answer.json["outputs"]["table"]) == (run.id, path)
    finally:
        server.stop()


@pytest.mark.thorough
@pytest.mark.sampled(1)
@pytest.mark.parametrize("lost", ["its target is gone", "its target is another", "its artifact is gone", "a link"])
def test_a_copy_never_reads_the_original_instead(own, lost, serving, tmp_path) -> None:
    first, (run, _) = own
    there = copied(first)
    made = there / f".penstock/local/laptop/runs/{run}/outputs"
    read, server = serving.token(there, "read", "read"), None
    if lost == "its target is gone":
        (there / "penstock.yaml").write_text("targets:\n  another: {backend: local}\n")
    elif lost == "its target is another":
        (there / "penstock.yaml").write_text("targets:\n  laptop: {backend: local, root: elsewhere}\n")
    else:
        shutil.rmtree(made)
        if lost == "a link":
            made.symlink_to(first / f".penstock/local/laptop/runs/{run}/outputs")
    with Workspace.open(there, env={}, actor="ada") as workspace, pytest.raises(PenstockError):
        workspace.runs.download(run, tmp_path / "taken", names=["table"])
    server = serving.Served(there, "--no-dispatch")
    try:
        reply = server.call("GET", f"/v1/runs/{run}/outputs/table", token=read)
    finally:
        server.stop()
    assert reply.status >= 400
    assert b"original" not in reply.body


@pytest.mark.thorough
def test_what_was_cleared_away_or_lost_is_said_by_a_server(own, serving) -> None:
    first, (cleared, _) = own
    with Workspace.open(first, env={}, actor="ada") as workspace:
        workspace.runs.clean(older_than=0, keep=0)
        assert workspace.runs.missing(cleared)
        kept = workspace.runs.wait(workspace.submit("made").id).id
        gone = workspace.runs.wait(workspace.submit("made").id).id
    shutil.rmtree(first / f".penstock/local/laptop/runs/{gone}")
    token, server = serving.token(first, "read", "read"), serving.Served(first, "--no-dispatch")
    try:
        seen = {
            run: [server.call("GET", f"/v1/runs/{run}/{path}", token=token) for path in ("logs/make", "outputs/table")]
            for run in (cleared, kept, gone)
        }
        assert [(reply.status, reply.json["code"]) for reply in seen[cleared]] == [(404, "run_cleared")] * 2
        assert [(reply.status, reply.json["code"]) for reply in seen[gone]] == [
            (404, "run_gone"),
            (404, "artifact_gone"),
        ]
        assert [reply.status for reply in seen[kept]] == [200, 200]
        told = {run: server.call("GET", f"/v1/runs/{run}/outputs", token=token).json for run in seen}
    finally:
        server.stop()
    assert [set(told[run]["missing"]) for run in seen] == [{"table", "folder"}, set(), {"table", "folder"}]
    assert [set(told[run]["artifacts"]) for run in seen] == [set(), {"table", "folder"}, set()]


def test_what_is_none_of_the_run_s_lies_nowhere(own) -> None:
    first, (run, other) = own
    with Workspace.open(first, env={}, actor="ada") as workspace:
        ref, placement = workspace.services.registry.runs.ref(run)
        target = workspace.services.targets.open_frozen(placement)
        foreign = [
            "/etc/passwd",
            f"/x/runs/{other}/outputs/make.1/table",
            f"/x/runs/{run}/outputs/../table",
            f"/x/runs/{run}/outputs/make.1/..",
            f"runs/{run}/outputs/make.1/table",
            f"/x/runs/{run}/logs/make.1/table",
        ]
        assert [target.locate_artifact(ref, text).text for text in foreign] == foreign
        root = target.locate_artifact(ref, foreign[0]).below
        assert target.locate_artifact(ref, f"/x/runs/{run}/outputs/make.1/table").text == (
            f"{root}/runs/{run}/outputs/make.1/table"
        )
        with pytest.raises(NotFound):
            workspace.runs.artifact(run, "nothing")
