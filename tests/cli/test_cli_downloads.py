"""`penstock run outputs --download`: what it writes, what it says, and what it refuses."""

from __future__ import annotations

import os
import pty

import pytest

from penstock.cli.downloads import size_text

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
parameters:
  code: {type: integer, default: 0}
steps:
  make:
    command: [sh, -c, 'printf abcdefghij > "$1"; mkdir -p "$2/sub"; printf two > "$2/sub/two";
      ln -s / "$2/out"; exit "$3"', sh, "${{ outputs.table }}", "${{ outputs.folder }}", "${{ parameters.code }}"]
    outputs: {table: file, folder: directory}
outputs:
  folder: "${{ steps.make.outputs.folder }}"
  table: "${{ steps.make.outputs.table }}"
"""


@pytest.fixture
def made(project, cli):
    """An endpoint whose runs make a file and a folder."""
    (project / "made.yaml").write_text(SPEC)
    cli("publish", "made.yaml", "--endpoint", "made").ok()
    return "made"


@pytest.fixture
def run(made, cli):
    return cli("submit", made, "--wait", "-q").ok().out.strip()


def test_what_was_written_is_told(run, project, cli):
    answer = cli("run", "outputs", run[:8], "--download", "to").ok()
    folder = project / "to"
    assert [line.split() for line in answer.out.splitlines()] == [
        ["ARTIFACT", "TYPE", "FILES", "SIZE", "PATH"],
        ["folder", "directory", "1", "3", "B", str(folder / "folder")],
        ["table", "file", "1", "10", "B", str(folder / "table")],
    ]
    assert answer.err == "warning: links in `folder` that lead out of it were left out: 1\n"
    assert (folder / "table").read_text() == "abcdefghij"
    assert (folder / "folder/sub/two").read_text() == "two"
    answer = cli("run", "outputs", run, "--download", "more", "--name", "table", "--json").ok()
    assert answer.json == {
        "id": run,
        "artifacts": [
            {
                "name": "table",
                "type": "file",
                "path": str(project / "more/table"),
                "files": 1,
                "bytes": 10,
                "left_out": 0,
            }
        ],
    }
    assert cli("run", "outputs", run, "--download", "quiet", "-q").ok().out.split() == [
        str(project / "quiet" / name) for name in ("folder", "table")
    ]


def test_what_cannot_be_downloaded_is_said_in_a_line(run, made, project, cli):
    cli("run", "outputs", run, "--download", "to", "--name", "table").ok()
    for words, status, code in (
        (["--download", "to"], 8, "file_exists"),
        (["--download", "made.yaml"], 2, "file_unwritable"),
        (["--download", "new", "--name", "tabel"], 6, "output_not_found"),
        (["--download", "new", "--name", "../table"], 6, "output_not_found"),
        (["--name", "table"], 2, "usage_error"),
    ):
        refused = cli("run", "outputs", run, *words, "--json").refused(status).json["error"]
        assert refused["code"] == code, refused
    assert cli("run", "outputs", "nobody", "--download", "new").refused(6).err.startswith("error: no run `nobody`")
    assert not (project / "new").exists()
    failed = cli("submit", made, "-p", "code=3", "--wait", "-q").refused(1).out.strip()
    assert cli("run", "outputs", failed, "--download", "new").ok().out == "no artifacts\n"
    assert cli("run", "outputs", failed, "--download", "new", "--json").ok().json == {"id": failed, "artifacts": []}


def test_a_terminal_shows_how_far_it_is_and_keeps_nothing_of_it(run, project, start):
    leader, follower = pty.openpty()
    process = start("run", "outputs", run, "--download", "to", cwd=project, stderr=follower, env={"TERM": "xterm"})
    assert process.wait(60) == 0
    os.close(follower)
    said = os.read(leader, 65536).decode()
    os.close(leader)
    assert said.startswith("\r\x1b[2K") and "were left out" in said.rpartition("\x1b[2K")[2]


@pytest.mark.parametrize("terminal", [True, False])
def test_long_work_is_told_while_it_goes_on(run, cli, monkeypatch, terminal):
    monkeypatch.setattr("penstock.cli.downloads._SECONDS", 0.0)
    monkeypatch.setattr("penstock.cli.downloads._SECONDS_OF_A_LOG", 0.0)
    for module in ("output", "downloads"):
        monkeypatch.setattr(f"penstock.cli.{module}.is_terminal", lambda stream: terminal)
    answer = cli("run", "outputs", run, "--download", "to", "--json").ok()
    assert "downloading table: 10 B" in answer.err
    assert ("\x1b[2K" in answer.err) is terminal
    assert len(answer.json["artifacts"]) == 2


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (3 * 2**30, "3.0 GiB"),
        (2**40, "1.0 TiB"), (5 * 2**50, "5120.0 TiB"),
    ],
)  # fmt: skip
def test_sizes_are_read_by_people(size, text):
    assert size_text(size) == text
