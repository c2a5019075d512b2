"""An emulator executes what it is sent: who may send it anything."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st


def ask(emulator: Any, verb: str, path: str, headers: dict[str, str], data: bytes = b"") -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", port_of(emulator), timeout=20)
    try:
        connection.putrequest(verb, path, skip_host=True)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def port_of(emulator: Any) -> int:
    return int(emulator.url.rpartition(":")[2])


PATHS = ["/v1/projects/p/locations/l/pipelineJobs", "/storage/v1/b", "/emulator/v1/faults", "/"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE", "PUT", "PATCH"])
def test_no_web_page_is_answered(emulator, verb: str, path: str) -> None:
    host = f"127.0.0.1:{port_of(emulator)}"
    for origin in ("http://evil.example", "null", f"http://{host}", ""):
        status, answer = ask(emulator, verb, path, {"Host": host, "Origin": origin})
        assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")


@pytest.mark.parametrize("path", PATHS)
def test_no_other_host_is_answered(emulator, path: str) -> None:
    port = port_of(emulator)
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port}.evil.example",
        f"0.0.0.0:{port}",
    ):
        status, answer = ask(emulator, "GET", path, {"Host": host})
        assert (status, answer["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert ask(emulator, "GET", path, {})[0] == 403
    for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
        assert ask(emulator, "GET", path, {"Host": host})[0] != 403


def test_only_this_machine_can_connect(emulator) -> None:
    port = port_of(emulator)
    with open("/proc/net/tcp") as table:
        listening = [line.split()[1] for line in table if line.split()[3] == "0A"]
    assert [address for address in listening if address.endswith(f":{port:04X}")] == [f"0100007F:{port:04X}"]
    with socket.socket(socket.AF_INET6) as other, pytest.raises(OSError):
        other.connect(("::1", port))


def test_it_says_what_it_does(emulator) -> None:
    said = emulator.errors.read_text()
    assert "is executed on this machine as" in said
    assert emulator.url in said


PARTS = [
    "v1",
    "ui",
    "projects",
    "p",
    "locations",
    "l",
    "pipelineJobs",
    "x:cancel",
    "x",
    "operations",
    "repositories",
    "packages",
]
PARTS += [
    "storage",
    "upload",
    "b",
    "penstock-emulator",
    "o",
    "iam",
    "testPermissions",
    "emulator",
    "faults",
    "tasks",
    "log",
    "tags",
]
PARTS += ["versions", "", "..", "%00", "%2e%2e", "%ff", "pipelineJobs:batchDelete", "download", "é"]
KEYS = [
    "pageSize",
    "pageToken",
    "filter",
    "orderBy",
    "readMask",
    "maxResults",
    "ifGenerationMatch",
    "uploadType",
    "upload_id",
]
KEYS += ["alt", "name", "prefix", "delimiter", "offset", "pipelineJobId", "generation", "tagId"]
VALUES = st.sampled_from(
    ["", "-1", "x", "1", "media", "multipart", "resumable", "a=b", "é", "1e9", "%00", "9" * 30, "((", "a.b.c"]
)
BODIES = st.sampled_from(
    [b"", b"{}", b"[]", b"null", b"{", b"\xff\xfe", b'"x"', b'{"name": 1}', b'{"names": ["x"]}', b"--x\r\n"]
)
TYPES = st.sampled_from(
    ["application/json", "multipart/related; boundary=x", "multipart/form-data; boundary=x", "", "é"]
)


@example("DELETE", "/storage/v1/b", ["penstock-emulator"], {}, b"", "")
@settings(max_examples=300)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    st.sampled_from(
        ["", "/v1/projects/p/locations/l", "/storage/v1/b", "/upload/storage/v1/b", "/emulator/v1", "/p/r/packages"]
    ),
    st.lists(st.sampled_from(PARTS), max_size=5),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    BODIES,
    TYPES,
)
def test_no_request_is_a_fault_of_the_emulator(anybodys, verb, start, parts, query, body, kind) -> None:
    path = "/".join([start, *parts]) or "/"
    if "faults" in path and verb == "POST":
        return  # asked in `test_calls`
    target = f"{path}?{'&'.join(f'{key}={value}' for key, value in query.items())}"
    head = (f"{verb} {target} HTTP/1.1", f"Host: 127.0.0.1:{port_of(anybodys)}", f"Content-Type: {kind}")
    more = ("Range: bytes=5-1", "Content-Range: bytes 0-x/y", f"Content-Length: {len(body)}", "Connection: close")
    with socket.create_connection(("127.0.0.1", port_of(anybodys)), timeout=20) as connection:
        connection.sendall("\r\n".join((*head, *more, "", "")).encode() + body)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    assert re.match(rb"HTTP/1.1 (?!500|502)\d{3} ", answer), (target, answer)
    assert "Traceback" not in anybodys.errors.read_text(), target


@pytest.mark.parametrize(
    "question",
    [
        "prefix=../../../../&delimiter=/",
        "prefix=/etc/&delimiter=/",
        "prefix=/",
        "prefix=a%00/",
        "prefix=a/../../&delimiter=/",
    ],
)
def test_a_listing_shows_nothing_but_objects(emulator, question) -> None:
    with urllib.request.urlopen(f"{emulator.url}/storage/v1/b/{emulator.bucket.name}/o?{question}") as answer:
        found = json.load(answer)
    assert (found["items"], found["prefixes"]) == ([], [])


@pytest.mark.parametrize("name", ["a" * 256, "a/" * 600, "a//b", "a/../b"])
def test_a_name_that_cannot_be_a_path_is_refused(emulator, name) -> None:
    quoted = urllib.parse.quote(name, safe="")
    request = urllib.request.Request(
        f"{emulator.url}/upload/storage/v1/b/{emulator.bucket.name}/o?uploadType=media&name={quoted}", b"x"
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as error:
        assert error.code == 400


def test_a_body_that_breaks_off_is_no_upload(emulator) -> None:
    host, port = emulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        path = f"/upload/storage/v1/b/{emulator.bucket.name}/o?uploadType=media&name=cut"
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"0123456789")
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(65536).split()[1] == b"400"
    assert not emulator.bucket.blob("cut").exists()


def test_a_cancel_that_was_answered_is_kept(emulator, emulated) -> None:
    """However early it comes: the job that can be read can be canceled."""
    spec = emulated.pipeline({"t": emulated.step("sleep 60")})
    for number in range(5):
        name = f"{emulator.parent}/pipelineJobs/early-{number}-{os.getpid()}"
        taken: list[int] = []

        def ask(name: str = name, taken: list[int] = taken) -> None:
            while not taken:
                try:
                    request = urllib.request.Request(f"{emulator.url}/v1/{name}:cancel", b"{}", method="POST")
                    with urllib.request.urlopen(request) as answer:
                        taken.append(answer.status)
                except urllib.error.HTTPError as error:
                    error.close()

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        emulator.submit(spec, job=name.rpartition("/")[2])
        for thread in threads:
            thread.join()
        assert emulator.wait(name).state.name == "PIPELINE_STATE_CANCELLED"
