"""Artifacts from a datastore: whole and as they were, within their own folder, and none where it is away."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from penstock.contract.run import RunOutputs
from penstock.errors import NotFound, PenstockError, TargetRefused, TargetUnavailable
from penstock.workspace import Run, Workspace
from penstock_azureml import downloads, places
from penstock_azureml.client import connect

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
    with Workspace.open(project, env={}, actor="ada") as opened:
        yield opened


@pytest.fixture(scope="module")
def run(workspace: Workspace, project: Path) -> Run:
    """A run that has succeeded."""
    workspace.publish(project / "made.yaml", endpoint="made")
    return workspace.submit("made").wait()


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_answer_that_is_lost_is_asked_for_again(run: Run, tmp_path: Path, faults, monkeypatch) -> None:
    monkeypatch.setattr(downloads, "_PIECE", 4)
    faults("blobs.*", every=3, lose_answer=True)
    run.download(tmp_path / "to")
    assert (tmp_path / "to/table").read_bytes() == b"abcdefghij"
    assert files_in(tmp_path / "to/folder") == FILES


@pytest.mark.parametrize("piece", [downloads._PIECE, 4, 10])
def test_artifacts_come_as_they_were(run: Run, tmp_path: Path, monkeypatch, piece: int) -> None:
    monkeypatch.setattr(downloads, "_PIECE", piece)
    monkeypatch.setattr(downloads, "_PAGE", 2)
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


@pytest.mark.parametrize("method", ["*", "blobs.get", "blobs.list"])
@pytest.mark.parametrize("fault", [{"error": "ServiceUnavailable"}, {"lose_answer": True}])
def test_nothing_stays_of_what_broke_off(run: Run, tmp_path: Path, faults, monkeypatch, method: str, fault) -> None:
    monkeypatch.setattr(downloads, "_PIECE", 4)
    faults(method, call=3, times=0, **fault)
    with pytest.raises(TargetUnavailable, match=r"a fault that was asked for|reached"):
        run.download(tmp_path / "to/here")
    assert list(tmp_path.iterdir()) == []


def blob_url(workspace: Workspace, uri: str) -> tuple[Any, str]:
    """The target's client, and the address of a blob that lets one in."""
    azure = connect(workspace.services.targets.open("prod").target.options)
    return azure, places._blob(azure, uri)[0]


def test_what_is_gone_is_said(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.submit("made").wait()
    azure, url = blob_url(workspace, str(run.outputs["table"]))
    azure.call("DELETE", url, "no delete", headers={"x-ms-version": "2021-08-06"}, audience=places._STORAGE)
    with pytest.raises(NotFound, match="is no blob") as caught:
        run.download(tmp_path / "to", names=["table"])
    assert caught.value.code == "artifact_gone"
    for name in ("nonesuch", "tabel"):
        with pytest.raises(NotFound) as missing:
            run.download(tmp_path / "to", names=[name])
        assert missing.value.code == "output_not_found"
    assert list(tmp_path.iterdir()) == []


def test_a_blob_that_is_written_again_meanwhile_is_not_mixed(workspace: Workspace, tmp_path: Path) -> None:
    azure = connect(workspace.services.targets.open("prod").target.options)
    uri = places.write(azure, "tests/again", b"abcdefghij")
    container = downloads.Container.of(azure, azure.options.datastore)
    found = next(container.blobs("tests/again", uri))
    assert (found.name, found.size, container.part(found, 2, 4, uri)) == ("tests/again", 10, b"cd")
    places.write(azure, "tests/again", b"klmnopqrst")
    assert container.part(found, 2, 4, uri) is None


def test_names_lead_nowhere_else(workspace: Workspace, tmp_path: Path) -> None:
    run = workspace.submit("made").wait()
    azure = connect(workspace.services.targets.open("prod").target.options)
    container = downloads.Container.of(azure, azure.options.datastore)
    folder = str(run.outputs["folder"]).partition("/paths/")[2].rstrip("/")
    for name in ("..%2F..%2F..%2Fout", "%2Fetc/out", "a//b", "sub", "one.txt/below"):
        url = f"{container.address}/{folder}/{name}" + (f"?{container.query}" if container.query else "")
        headers = {"x-ms-version": "2021-08-06", "x-ms-blob-type": "BlockBlob"}
        azure.call("PUT", url, "no put", b"x", headers=headers, audience=places._STORAGE)
        with pytest.raises(TargetRefused) as caught:
            run.download(tmp_path / "in/to", names=["folder"])
        assert caught.value.code == "artifact_unsafe"
        azure.call("DELETE", url, "no delete", headers=headers, audience=places._STORAGE)
    assert list(tmp_path.iterdir()) == []
    run.download(tmp_path / "in/to", names=["folder"])
    assert files_in(tmp_path / "in/to/folder") == FILES


def test_folders_of_a_data_lake_are_folders() -> None:
    """As Azure lists them, with the names that XML does not hold as they are."""
    listed = """<EnumerationResults><Blobs>
      <Blob><Name>a/empty</Name><Properties><Etag>"0x1"</Etag><Content-Length>0</Content-Length></Properties>
        <Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>
      <Blob><Name>a/b</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>
      <Blob><Name Encoded="true">a/%01%25</Name><Properties><Etag>0x2</Etag><Content-Length>7</Content-Length>
        <ResourceType>file</ResourceType></Properties></Blob></Blobs></EnumerationResults>"""
    found = [downloads._blob(one) for one in ElementTree.fromstring(listed).iterfind("Blobs/Blob")]
    assert [(one.name, one.size, one.etag, one.is_folder) for one in found] == [
        ("a/empty", 0, "0x1", True),
        ("a/b", 0, "", True),
        ("a/\x01%", 7, "0x2", False),
    ]


def test_a_value_is_no_artifact(workspace: Workspace, run: Run, tmp_path: Path, monkeypatch) -> None:
    for said in ("/etc/passwd", "https://example.org/x", "azureml://datastores/workspaceblobstore/paths/"):
        outputs = RunOutputs(outputs={"table": said})
        monkeypatch.setattr("penstock_azureml.jobs.outputs", lambda target, run, outputs=outputs: outputs)
        with pytest.raises(PenstockError) as caught:
            run.download(tmp_path / "to", names=["table"])
        assert caught.value.code in ("output_not_found", "artifact_unsafe")
    assert list(tmp_path.iterdir()) == []
