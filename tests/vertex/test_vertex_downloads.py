"""Artifacts from the staging bucket: whole and as they were, from their job's own folder, and none where it is away."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from penstock.errors import NotFound, PenstockError, TargetRefused, TargetUnavailable
from penstock.workspace import Run, Workspace
from penstock_vertex import downloads, jobs
from penstock_vertex.client import Vertex, connect

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
steps:
  make:
    command: [sh, -c, 'printf abcdefghij > "$1"; mkdir -p "$2/sub/deep" "$2/empty"; echo one > "$2/one.txt";
      printf two > "$2/sub/deep/zwei ä%41#?.txt"; : > "$2/nothing"; chmod +x "$2/one.txt"; mkdir -p "$4";
      printf 3 > "$3"', sh,
      "${{ outputs.table }}", "${{ outputs.folder }}", "${{ outputs.count }}", "${{ outputs.bare }}"]
    outputs: {table: file, folder: directory, bare: directory, count: integer}
outputs:
  table: "${{ steps.make.outputs.table }}"
  folder: "${{ steps.make.outputs.folder }}"
  bare: "${{ steps.make.outputs.bare }}"
  count: "${{ steps.make.outputs.count }}"
"""
FILES = {"one.txt": b"one\n", "sub/deep/zwei ä%41#?.txt": b"two", "nothing": b""}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, emulator: dict[str, Any]) -> Path:
    """A project whose target is the emulator."""
    folder = tmp_path_factory.mktemp("downloads")
    (folder / "made.yaml").write_text(SPEC)
    (folder / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": emulator["target"]}}))
    return folder


@pytest.fixture(scope="module")
def workspace(project: Path) -> Iterator[Workspace]:
    """The project's workspace, with an endpoint `made`."""
    with Workspace.open(project, env={}, actor="ada") as opened:
        opened.publish(project / "made.yaml", endpoint="made")
        yield opened


@pytest.fixture(scope="module")
def run(workspace: Workspace) -> Run:
    """A run that has succeeded."""
    return workspace.submit("made").wait()


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_answer_that_is_lost_is_asked_for_again(run: Run, tmp_path: Path, faults, monkeypatch) -> None:
    monkeypatch.setattr(downloads, "_PIECE", 4)
    faults("storage.*", every=3, lose_answer=True)
    run.download(tmp_path / "to")
    assert (tmp_path / "to/table").read_bytes() == b"abcdefghij"
    assert files_in(tmp_path / "to/folder") == FILES


@pytest.mark.parametrize("piece", [downloads._PIECE, 4, 10])
def test_artifacts_come_as_they_were(run: Run, tmp_path: Path, monkeypatch, piece: int) -> None:
    monkeypatch.setattr(downloads, "_PIECE", piece)
    monkeypatch.setattr("penstock_vertex.client._PAGE", 2)
    done = run.download(tmp_path / "to")
    assert {(one.name, one.type, one.files, one.bytes) for one in done} == {
        ("table", "file", 1, 10),
        ("folder", "directory", 3, 7),
        ("bare", "directory", 0, 0),
    }
    assert (tmp_path / "to/table").read_bytes() == b"abcdefghij"
    assert files_in(tmp_path / "to/folder") == FILES
    assert (tmp_path / "to/bare").is_dir()
    assert sorted(path.name for path in (tmp_path / "to").iterdir()) == ["bare", "folder", "table"]


def test_a_server_fetches_what_lies_there(run: Run, project: Path, serving) -> None:
    token = serving.token(project, "reader", "read")
    server = serving.Served(project)
    try:
        path = f"/v1/runs/{run.id}/outputs"
        assert set(server.call("GET", path, token=token).json["artifacts"]) == {"table", "folder", "bare"}
        whole = server.call("GET", f"{path}/table", token=token)
        assert (whole.status, whole.body, whole.headers["content-length"]) == (200, b"abcdefghij", "10")
        part = server.call("GET", f"{path}/table", token=token, headers={"Range": "bytes=2-4"})
        assert (part.status, part.body, part.headers["content-range"]) == (206, b"cde", "bytes 2-4/10")
        head = server.call("HEAD", f"{path}/table", token=token)
        assert (head.status, head.headers["content-length"], head.body) == (200, "10", b"")
        archive = server.call("GET", f"{path}/folder", token=token)
        assert (archive.status, archive.headers["content-type"]) == (200, "application/x-tar")
        with tarfile.open(fileobj=io.BytesIO(archive.body)) as opened:
            found = {one.name: opened.extractfile(one).read() for one in opened.getmembers() if one.isfile()}
        assert found == {f"folder/{name}": data for name, data in FILES.items()}
        refused = server.call("GET", f"{path}/count", token=token)
        assert (refused.status, refused.json["code"]) == (400, "output_is_value")
    finally:
        server.stop()
    assert not [one for one in (project / ".penstock").rglob("*") if one.name.startswith("tmp")]


@pytest.mark.parametrize("method", ["*", "storage.objects.get", "storage.objects.list"])
@pytest.mark.parametrize("fault", [{"error": "UNAVAILABLE"}, {"lose_answer": True}])
def test_nothing_stays_of_what_broke_off(run: Run, tmp_path: Path, faults, monkeypatch, method: str, fault) -> None:
    monkeypatch.setattr(downloads, "_PIECE", 4)
    faults(method, call=3, times=0, **fault)
    with pytest.raises(TargetUnavailable, match=r"a fault that was asked for|reached"):
        run.download(tmp_path / "to/here")
    assert list(tmp_path.iterdir()) == []


def test_what_is_gone_is_said(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.submit("made").wait()
    options = workspace.services.targets.open("prod").target.options
    vertex = connect(options)
    path = str(run.outputs["table"]).removeprefix(vertex.uri(""))
    vertex._bucket.blob(vertex._prefix + path).delete()
    with pytest.raises(NotFound, match="is not in the bucket") as caught:
        run.download(tmp_path / "to", names=["table"])
    assert caught.value.code == "artifact_gone"
    for name in ("nonesuch", "tabel"):
        with pytest.raises(NotFound) as missing:
            run.download(tmp_path / "to", names=[name])
        assert missing.value.code == "output_not_found"
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_written_again_meanwhile_is_not_mixed(workspace: Workspace, run: Run, monkeypatch) -> None:
    vertex = connect(workspace.services.targets.open("prod").target.options)
    path = str(run.outputs["table"]).removeprefix(vertex.uri(""))
    found = next(vertex.objects(path))
    assert vertex.part(found, 2, 4) == b"cd"
    blob = vertex._bucket.blob(vertex._prefix + path)
    blob.upload_from_string(b"abcdefghij")
    assert vertex.part(found, 2, 4) is None


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a//b", "sub", "one.txt/below", "a/../../out", "a/./b", "a\0b"])
def test_names_lead_nowhere_else(workspace: Workspace, run: Run, tmp_path: Path, monkeypatch, name: str) -> None:
    """Cloud Storage takes names that the emulator, which keeps files, does not."""
    listed = Vertex.objects

    def objects(vertex, beginning):
        found = list(listed(vertex, beginning))
        return iter([*found, evolve(found[0], path=f"{beginning}{name}")])

    monkeypatch.setattr(Vertex, "objects", objects)
    with pytest.raises(TargetRefused) as caught:
        run.download(tmp_path / "in/to", names=["folder"])
    assert caught.value.code == "artifact_unsafe"
    assert list(tmp_path.iterdir()) == []


def test_a_mounted_bucket_writes_down_its_folders(run: Run, tmp_path: Path, monkeypatch) -> None:
    listed = Vertex.objects

    def objects(vertex, beginning):
        found = list(listed(vertex, beginning))
        return iter([*(evolve(found[0], path=f"{beginning}{name}", size=0) for name in ("", "x/", "x/y/")), *found])

    monkeypatch.setattr(Vertex, "objects", objects)
    run.download(tmp_path / "to", names=["folder"])
    assert files_in(tmp_path / "to/folder") == FILES
    assert (tmp_path / "to/folder/x/y").is_dir()


@pytest.mark.parametrize(
    "uri",
    ["gs://another/runs/1/penstock-{run}/x", "{staging}/code/x", "{staging}/runs/1/penstock-other/x", "/etc/passwd"],
)
def test_a_uri_that_a_step_made_up_is_not_read(workspace, run, tmp_path, monkeypatch, uri: str) -> None:
    options = workspace.services.targets.open("prod").target.options
    said = uri.format(run=run.id, staging=options.staging)
    monkeypatch.setattr("penstock_vertex.reading.run_outputs", lambda job: {"table": said})
    with pytest.raises(TargetRefused, match="not in its job's folder") as caught:
        run.download(tmp_path / "to", names=["table"])
    assert caught.value.code == "artifact_unsafe"
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_google_does_not_know_has_none(workspace: Workspace, run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(jobs, "job_id", lambda run: f"penstock-none-{run}")
    with pytest.raises(PenstockError) as caught:
        run.download(tmp_path / "to")
    assert caught.value.code == "run_gone"
