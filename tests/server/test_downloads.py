"""Artifacts and logs as bytes: whole, in ranges and as they come, and nothing that a run did not report."""

from __future__ import annotations

import errno
import http.client
import io
import os
import re
import signal
import socket
import sqlite3
import tarfile
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import NotFound
from penstock.server.artifacts import open_artifact
from penstock.workspace import Artifact, Workspace

MAKE = """\
import os, sys
table, folder = sys.argv[1:]
open(table, "wb").write(bytes(range(256)) * 4)
os.makedirs(folder + "/sub/empty")
open(folder + "/one.txt", "w").write("one")
open(folder + "/sub/zwei \\u00e4.txt", "w").write("zwei")
os.symlink("sub", folder + "/within")
os.symlink("../one.txt", folder + "/sub/up")
os.symlink("/etc", folder + "/absolute")
os.symlink("../../..", folder + "/sub/out")
os.symlink("within/../..", folder + "/tricky")
os.mkfifo(folder + "/pipe")
print("made")
"""

TABLE = bytes(range(256)) * 4

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: made
parameters:
  mode: {type: string, default: ""}
steps:
  make:
    code: ./src
    command: [python3, make.py, "${{ outputs.table }}", "${{ outputs.folder }}"]
    outputs: {table: file, folder: directory}
  say:
    after: [make]
    command: [sh, -c, 'printf 7 > "$1"; printf 0123456789; if [ "$2" ]; then until [ -e "$2" ]; do sleep 0.05; done;
      printf abc; fi', sh, "${{ outputs.count }}", "${{ parameters.mode }}"]
    outputs: {count: integer}
outputs:
  table: "${{ steps.make.outputs.table }}"
  folder: "${{ steps.make.outputs.folder }}"
  count: "${{ steps.say.outputs.count }}"
"""


@pytest.fixture(scope="module")
def live(folder, serving, tokens):
    """A server that hands over and follows, with the endpoint `made`."""
    (folder / "src").mkdir()
    (folder / "src/make.py").write_text(MAKE)
    (folder / "made.yaml").write_text(SPEC)
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "made.yaml", endpoint="made")
    server = serving.Served(folder)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def run(live, tokens) -> str:
    """A run that has succeeded."""
    made = live.call("POST", "/v1/endpoints/made/runs", {}, token=tokens["submit"]).json["id"]
    ended = live.call("GET", f"/v1/runs/{made}?wait=60", token=tokens["read"]).json
    assert ended["state"] == "succeeded", ended
    return made


@pytest.fixture
def get(live, tokens):
    def call(path, *, who="read", **headers):
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return live.call("GET", path, token=tokens[who], headers=named)

    return call


def test_a_file_comes_as_it_is(get, run, live, tokens) -> None:
    reply = get(f"/v1/runs/{run}/outputs/table")
    assert (reply.status, reply.body) == (200, TABLE)
    assert reply.headers["content-length"] == "1024"
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["content-disposition"] == 'attachment; filename="table"'
    part = get(f"/v1/runs/{run}/outputs/table", Range="bytes=250-259")
    assert (part.status, part.body) == (206, bytes([250, 251, 252, 253, 254, 255, 0, 1, 2, 3]))
    assert part.headers["content-range"] == "bytes 250-259/1024"
    head = live.call("HEAD", f"/v1/runs/{run}/outputs/table", token=tokens["read"])
    assert (head.status, head.headers["content-length"], head.body) == (200, "1024", b"")


def test_outputs_say_where_each_artifact_is_downloaded(get, run, live) -> None:
    told = get(f"/v1/runs/{run}/outputs").json
    assert set(told["outputs"]) == {"table", "folder", "count"}
    assert told["artifacts"] == {name: f"{live.url}/v1/runs/{run}/outputs/{name}" for name in ("table", "folder")}
    for url in told["artifacts"].values():
        assert get(url.removeprefix(live.url)).status == 200


def test_a_folder_comes_as_an_archive_of_what_is_in_it(get, run, tmp_path) -> None:
    reply = get(f"/v1/runs/{run}/outputs/folder")
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-tar")
    with tarfile.open(fileobj=io.BytesIO(reply.body)) as archive:
        named = set(archive.getnames())
        archive.extractall(tmp_path, filter="data")
    inside = {"one.txt", "sub", "sub/empty", "sub/zwei ä.txt", "within", "sub/up"}
    assert named == {"folder", *(f"folder/{name}" for name in inside)}
    assert (tmp_path / "folder/within/zwei ä.txt").read_text() == "zwei"
    assert (tmp_path / "folder/sub/up").read_text() == "one"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("count", 400, "output_is_value"),
        ("tabel", 404, "output_not_found"),
        ("..", 404, "output_not_found"),
        ("%2Fetc%2Fpasswd", 404, None),
        ("table%2F..%2F..%2F..%2Fqueue.db", 404, None),
        ("folder%2Fone.txt", 404, None),
        ("table%00", 404, "output_not_found"),
    ],
)
def test_only_outputs_have_a_url(get, run, name, status, code) -> None:
    reply = get(f"/v1/runs/{run}/outputs/{name}")
    assert reply.status == status
    assert code in (None, reply.json["code"])
    assert b"root:" not in reply.body


def test_who_may_not_read_the_run_gets_nothing_of_it(get, live, run) -> None:
    for path in (f"/v1/runs/{run}/outputs/table", f"/v1/runs/{run}/logs/say", f"/v1/runs/{run}/logs/say?follow=true"):
        assert get(path, who="one").json["code"] == "run_not_found"
        assert live.call("GET", path).status == 401


def test_what_a_run_has_not_made_yet_is_not_there(get, served, tokens) -> None:
    queued = served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
    reply = served.call("GET", f"/v1/runs/{queued}/outputs/text", token=tokens["read"])
    assert (reply.status, reply.json["code"]) in ((409, "run_not_finished"), (400, "output_is_value"))


@pytest.mark.parametrize(
    ("reported", "status", "code"),
    [
        ("gs://bucket/table", 200, None),  # which the place itself knows better
        ("relative/table", 200, None),
        ("file://elsewhere/table", 200, None),
        ("/nowhere/table", 404, "artifact_gone"),
        ("/etc", 404, "artifact_gone"),
        ("/dev/zero", 404, "artifact_gone"),
    ],
)
def test_what_was_reported_and_is_no_file_here_is_said(get, folder, run, reported, status, code) -> None:
    other = get(f"/v1/runs/{run}").json
    with closing(sqlite3.connect(folder / ".penstock/registry.db")) as registry:
        (kept,) = registry.execute("SELECT outputs FROM runs WHERE id = ?", (run,)).fetchone()
        try:
            with registry:
                sql = "UPDATE runs SET outputs = json_set(outputs, '$.table', ?) WHERE id = ?"
                registry.execute(sql, (reported, run))
            reply = get(f"/v1/runs/{run}/outputs/table")
        finally:
            with registry:
                registry.execute("UPDATE runs SET outputs = ? WHERE id = ?", (kept, run))
    assert other["outputs"]["table"] != reported
    assert (reply.status, reply.body if code is None else reply.json["code"]) == (status, code or TABLE)


def test_what_was_swapped_for_a_link_or_a_pipe_is_not_opened(tmp_path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "to").symlink_to(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    for name, type_ in [("link", "file"), ("to", "directory"), ("pipe", "file"), ("folder", "file"), ("none", "file")]:
        with pytest.raises(NotFound) as caught:
            open_artifact(Artifact(name=name, type=type_, path=tmp_path / name))
        assert caught.value.code == "artifact_gone"


WORDS = st.sampled_from(["..", ".", "a", "b", "to", "", "c"])


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("ab"), max_size=2), st.lists(WORDS, min_size=1, max_size=5)), max_size=6
    )
)
@example([([], ["to", "", "."])])
@example([([], ["to"]), ([], ["to", "", "."])])
def test_no_link_of_an_archive_leads_out_of_it(tmp_path_factory, links) -> None:
    place = tmp_path_factory.mktemp("links")
    top = place / "made"
    for inner in ("a/a", "a/b", "b/a", "b/b"):
        (top / inner).mkdir(parents=True)
    for number, (where, words) in enumerate(links):
        name = "to" if number == 0 else f"to{number}"
        target = "/".join(words)
        if target:
            top.joinpath(*where, name).symlink_to(target)
    opened = open_artifact(Artifact(name="made", type="directory", path=top))
    with tarfile.open(fileobj=io.BytesIO(b"".join(opened.pieces()))) as archive:
        archive.extractall(place / "out", filter="data")
    inside = os.path.realpath(place / "out")
    for path in (place / "out").rglob("*"):
        try:
            path.stat()
        except OSError as error:
            if error.errno == errno.ELOOP:  # it leads nowhere, and `realpath` says any place
                continue
        assert Path(os.path.realpath(path)).is_relative_to(inside)


@pytest.mark.parametrize(
    ("asked", "status", "body", "said"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=4-", 206, b"456789", "bytes 4-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=-30", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=9-99", 206, b"9", "bytes 9-9/10"),
        ("bytes=10-", 416, None, "bytes */10"),
        ("bytes=-0", 416, None, "bytes */10"),
        ("bytes=5-2", 200, b"0123456789", None),
        ("bytes=0-1,3-4", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
        ("bytes=a-b", 200, b"0123456789", None),
    ],
)
def test_a_log_is_read_in_ranges(get, run, asked, status, body, said) -> None:
    reply = get(f"/v1/runs/{run}/logs/say", Range=asked)
    assert (reply.status, reply.headers.get("content-range")) == (status, said)
    assert reply.headers["accept-ranges"] == "bytes"
    if body is None:
        assert reply.json["code"] == "range_not_there"
    else:
        assert reply.body == body
    assert get(f"/v1/runs/{run}/logs/say", Range=asked, If_Range='"x"').status == 200


@pytest.mark.parametrize("more", ["", "&follow=true"])
def test_a_log_has_times_before_its_lines_if_asked_and_no_ranges_then(get, run, more) -> None:
    whole = get(f"/v1/runs/{run}/logs/say").body
    reply = get(f"/v1/runs/{run}/logs/say?timestamps=true{more}", Range="bytes=2-3")
    assert (reply.status, reply.headers.get("accept-ranges")) == (200, None)
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z " + whole, reply.body)
    assert get(f"/v1/runs/{run}/logs/say?timestamps=maybe").json["code"] == "value_invalid"


def test_a_long_log_has_a_length(folder, run) -> None:
    """Found by asking for pieces, whatever they are like."""
    from penstock.contract.run import LogChunk
    from penstock.workspace import LogParts

    with Workspace.open(folder, env={}, actor="ada") as workspace:
        record = workspace.runs.get(run)
        for size in (0, 1, 2, 7, 8, 9, 1000, 4097):
            for piece in (1, 7, 5000):
                for ended in (True, False):
                    parts = LogParts(workspace.services, record, "say", follow=False)

                    def chunk(step, offset, size=size, piece=piece, ended=ended):
                        data = bytes(max(0, min(piece, size - offset)))
                        end = offset + len(data)
                        return LogChunk(data=data, next_offset=end, complete=ended and end >= size)

                    parts._chunk = chunk
                    assert parts.length() == (size, ended)


def follower(live, path, token, bodies) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(live.host, live.port, timeout=60)
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    bodies.append(connection.getresponse())
    return connection


@pytest.mark.thorough
def test_many_follow_a_log_to_its_end_and_hold_up_nobody(live, tokens, folder, tmp_path) -> None:
    go = tmp_path / "go"
    sent = {"parameters": {"mode": str(go)}}
    run = live.call("POST", "/v1/endpoints/made/runs", sent, token=tokens["submit"]).json["id"]
    path = f"/v1/runs/{run}/logs/say?follow=true"
    answers: list[http.client.HTTPResponse] = []
    connections = [follower(live, path, tokens["read"], answers) for _ in range(100)]
    try:
        assert [answer.read(10) for answer in answers] == [b"0123456789"] * 100
        for _ in range(20):  # nobody else waits for a thread
            assert live.call("GET", f"/v1/runs/{run}", token=tokens["read"]).json["state"] in ("queued", "running")
        growing = live.call("GET", f"/v1/runs/{run}/logs/say", token=tokens["read"], headers={"Range": "bytes=8-"})
        assert (growing.body, growing.headers["content-range"]) == (b"89", "bytes 8-9/*")
        for connection in connections[:50]:
            connection.close()  # those who leave are forgotten
        go.touch()
        assert [answer.read() for answer in answers[50:]] == [b"abc"] * 50
    finally:
        go.touch()
        for connection in connections:
            connection.close()


def test_who_follows_is_let_go_when_the_server_ends(serving, folder, tokens, tmp_path, live) -> None:
    server = serving.Served(folder, "--no-dispatch")
    run = server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
    path = f"/v1/runs/{run}/logs/write?follow=true"
    lines = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tokens['read']}\r\n\r\n"
    with socket.create_connection((server.host, server.port), timeout=60) as connection:
        connection.sendall(lines.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        stopped: list[int] = []
        ending = threading.Thread(target=lambda: stopped.append(server.stop(signal.SIGTERM)))
        time.sleep(0.2)
        ending.start()
        rest = b""
        while data := connection.recv(65536):
            rest += data
        ending.join(30)
    assert stopped == [0]
    assert rest.endswith(b"0\r\n\r\n")
