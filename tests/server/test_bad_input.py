"""Raw requests on real sockets: always an answer in our shape or a closed connection, never a 500, and it goes on."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATHS = ("/v1/endpoints", "/v1/endpoints/hello/runs", "/v1/runs/x", "/discovery", "/../../etc/passwd", "/%00", "*", "")
WS = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"

names = st.one_of(
    st.sampled_from(["Content-Length", "Transfer-Encoding", "Host", "Authorization", "Expect", "Upgrade", "If-Match"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=":"), min_size=1, max_size=20),
)
values = st.one_of(
    st.sampled_from(["chunked", "0", "5", "-1", "5, 5", "99999999999999999999", "identity", "chunked, chunked", "*"]),
    st.binary(max_size=40).map(lambda data: data.decode("latin-1")),
)
targets = st.one_of(
    st.sampled_from([*PATHS, WS + "/Pipelines", WS + "/PipelineRuns/PipelineEndpointSubmit/Name"]),
    st.binary(max_size=40).map(lambda data: "/" + data.decode("latin-1")),
    st.text(st.sampled_from("/%.25efx?&=;\\"), max_size=60).map(lambda text: "/v1/" + text),
)
bodies = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [b"5\r\nhello\r\n0\r\n\r\n", b"ffffffffffffffff\r\n", b"{}", b'{"a":' * 300, b"0\r\n\r\nGET / HTTP/1.1"]
    ),
)


def exchange(served, data: bytes, *, end: bool = True) -> bytes:
    """What comes back until the server closes or falls silent."""
    with socket.create_connection((served.host, served.port), timeout=10) as connection:
        with suppress(OSError):  # it may have answered and closed already
            connection.sendall(data)
            if end:
                connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (ConnectionResetError, TimeoutError):
            pass
        return answer


def check(served, answer: bytes) -> None:
    for piece in answer.split(b"HTTP/1.1 ")[1:]:
        status = int(piece[:3])
        assert status != 500, piece
        _, _, body = piece.partition(b"\r\n\r\n")
        if status >= 400 and body:
            data = json.loads(body)
            assert "code" in data or "Error" in data, body
    assert served.call("GET", "/healthz").status == 200


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "BREW", "get", ""]),
    target=targets,
    headers=st.lists(st.tuples(names, values), max_size=6),
    body=bodies,
    with_token=st.booleans(),
    cut=st.integers(0, 400),
)
def test_anything_on_a_socket_is_answered_or_closed(
    served, tokens, method, target, headers, body, with_token, cut
) -> None:
    lines = [f"{method} {target} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers)]
    if with_token:
        lines.append(f"Authorization: Bearer {tokens['admin']}")
    data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body
    check(served, exchange(served, data[: len(data) - cut] if cut < 200 else data))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=12,
    ),
    key=st.sampled_from(["parameters", "version", "tags", "experiment", "description", "ParameterAssignments", "Tags",
                         "DataPathAssignments", "DataSetDefinitionValueAssignments", "PipelineVersionList", "Etag"]),
    route=st.sampled_from([
        ("POST", "/v1/endpoints/hello/runs"), ("PATCH", "/v1/endpoints/hello"), ("POST", "/v1/endpoints"),
        ("POST", "/v1/pipelines"), ("POST", WS + "/PipelineRuns/PipelineEndpointSubmit/Name?name=hello"),
        ("PUT", WS + "/PipelineEndpoints/hello"), ("POST", WS + "/PipelineEndpoints/Create"),
    ]),
)  # fmt: skip
def test_any_json_is_answered_in_our_shape(served, tokens, body, key, route) -> None:
    try:
        data = json.dumps({key: body}).encode()
    except UnicodeEncodeError:
        return
    for sent in (data, json.dumps(body).encode()):
        reply = served.call(*route, body=sent, token=tokens["admin"])
        assert reply.status < 500, (sent, reply.body)
        if reply.status >= 400:
            assert "code" in reply.json or "Error" in reply.json


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Content-Length: +5\r\n",
        b"Content-Length: 5\r\n Content-Length: 0\r\n",
    ],
)
def test_shapes_of_request_smuggling_are_refused_whole(served, tokens, head) -> None:
    """Whatever a proxy before us makes of them: at most one request is answered, and the connection is closed."""
    sneaked = (
        b"GET /v1/endpoints HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tokens["admin"].encode() + b"\r\n\r\n"
    )
    answer = exchange(served, b"POST /v1/status HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + sneaked)
    check(served, answer)
    assert answer.count(b"HTTP/1.1 200") == 0


CHUNKED = "Transfer-Encoding: chunked\r\n\r\n"


FRAMING = {
    "chunk extensions": ("1.1", CHUNKED + '2;a=b;c="d"\r\n{}\r\n0;x\r\n\r\n', 201),
    "many chunks": ("1.1", CHUNKED + "1\r\n \r\n" * 20_000 + "2\r\n{}\r\n0\r\n\r\n", 201),
    "endless trailers": ("1.1", CHUNKED + "2\r\n{}\r\n0\r\n" + "A: b\r\n" * 30_000, 400),
    "negative chunk": ("1.1", CHUNKED + "-2\r\n{}\r\n0\r\n\r\n", 400),
    "hexadecimal chunk": ("1.1", CHUNKED + "0x2\r\n{}\r\n0\r\n\r\n", 400),
    "chunk without an end": ("1.1", CHUNKED + "2\r\n{}XX0\r\n\r\n", 400),
    "identity": ("1.1", "Transfer-Encoding: identity\r\n\r\n{}", 400),
    "gzip": ("1.1", "Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 400),
    "length twice alike": ("1.1", "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 201),
    "NUL": ("1.1", "Content-Length: 2\r\nX: a\0b\r\n\r\n{}", 400),
    "bare CR": ("1.1", "Content-Length: 2\r\nX: a\rY: b\r\n\r\n{}", 400),
    "folded": ("1.1", "Content-Length: 2\r\nX: a\r\n folded\r\n\r\n{}", 201),
    "folded token": ("1.1", " folded\r\nContent-Length: 2\r\n\r\n{}", 401),
    "two hosts": ("1.1", "Host: b\r\nContent-Length: 2\r\n\r\n{}", 400),
    "unknown expectation": ("1.1", "Content-Length: 2\r\nExpect: the-unexpected\r\n\r\n{}", 201),
    "offer of websocket": (
        "1.1",
        "Content-Length: 2\r\nUpgrade: websocket\r\nConnection: upgrade, close\r\n\r\n{}",
        201,
    ),
    "HTTP 1.0": ("1.0", "Content-Length: 2\r\n\r\n{}", 201),
    "HTTP 1.0 kept": ("1.0", "Connection: keep-alive\r\nContent-Length: 2\r\n\r\n{}", 201),
    "HTTP 1.0 without length": ("1.0", "\r\n{}", 201),
}


@pytest.mark.parametrize("what", FRAMING)
def test_framing_is_the_standards_or_refused(served, tokens, serving, what) -> None:
    """And the connection is closed behind it, so that nothing of it is read as another request."""
    version, sent, status = FRAMING[what]
    start = f"POST /v1/endpoints/hello/runs HTTP/{version}\r\nHost: localhost\r\nConnection: close\r\n"
    token = f"Authorization: Bearer {tokens['submit']}\r\n"
    reply = serving.answer_to(served, (start + token + sent).encode())
    assert reply.status == status, reply.body


def test_trailers_say_nothing(served, tokens, serving) -> None:
    """A key or a token behind the body is none: a proxy before us has not seen it."""
    start = "POST /v1/endpoints/hello/runs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    token = f"Authorization: Bearer {tokens['submit']}\r\n"
    body = "2\r\n{}\r\n0\r\n"
    key = "Idempotency-Key: behind\r\n\r\n"
    asked = (start + token + CHUNKED + body + key).encode()
    first, second = (serving.answer_to(served, asked) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.json["id"] != second.json["id"]
    assert serving.answer_to(served, (start + CHUNKED + body + token + "\r\n").encode()).status == 401


def test_requests_in_a_row_are_answered_in_a_row(served, tokens) -> None:
    """One refused before its body was looked at does not shift the others."""
    token = f"Authorization: Bearer {tokens['submit']}\r\n"
    post = "POST /v1/endpoints/hello/runs HTTP/1.1\r\nHost: x\r\nContent-Length: "
    sent = "".join(
        f"{post}{len(body)}\r\n{known}\r\n{body}"
        for known in (token, "", token, "")
        for body in ("{}", "GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3000, '{"version": 0}')
    )
    answers = exchange(
        served, (sent + "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").encode(), end=False
    )
    assert [int(piece[:3]) for piece in answers.split(b"HTTP/1.1 ")[1:]] == [201, 400, 201, 401, 401, 401] * 2 + [200]


@pytest.mark.parametrize("asked", [1, 3])
def test_who_ends_its_side_of_the_connection_gets_what_it_asked_for(served, tokens, asked) -> None:
    """As from a shell by `printf ... | nc`; a run that was accepted would else be one that nobody knows of."""
    token = f"Authorization: Bearer {tokens['submit']}\r\n"
    post = f"POST /v1/endpoints/hello/runs HTTP/1.1\r\nHost: x\r\n{token}Content-Length: 2\r\n\r\n{{}}"
    get = f"GET /v1/endpoints/hello HTTP/1.1\r\nHost: x\r\n{token}\r\n"
    for request, status in ((post, b"201"), (get, b"200")):
        answers = exchange(served, (request * asked).encode())
        assert [piece[:3] for piece in answers.split(b"HTTP/1.1 ")[1:]] == [status] * asked
    cut = exchange(served, post.replace("Length: 2", "Length: 9").encode())
    assert cut == b""


def test_a_slow_caller_holds_up_nobody(served, tokens) -> None:
    slow = []
    try:
        for _ in range(60):
            connection = socket.create_connection((served.host, served.port), timeout=10)
            connection.sendall(b"POST /v1/endpoints/hello/runs HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{")
            slow.append(connection)
        assert served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).status == 201
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.parametrize(
    ("target", "headers", "code"),
    [
        ("/v1/endpoints?x=" + "a" * 9000, "", "url_too_long"),
        ("/v1/endpoints", "X: " + "a" * 33_000 + "\r\n", "headers_too_large"),
    ],
)
def test_what_is_too_long_is_said(served, target, headers, code) -> None:
    answer = exchange(served, f"GET {target} HTTP/1.1\r\nHost: x\r\n{headers}\r\n".encode())
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code


def test_what_is_no_http_is_answered_in_our_shape(served) -> None:
    answer = exchange(served, b"hello?\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "http_invalid"


def test_a_body_that_does_not_come_is_not_waited_for(folder, serving) -> None:
    server = serving.Served(folder, "--no-dispatch", "--no-auth", env={"PENSTOCK_SERVER_BODY_SECONDS": "0.3"})
    try:
        head = b"POST /v1/endpoints/hello/runs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
        answer = exchange(server, head, end=False)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "body_timeout"
    finally:
        server.stop()


def test_more_requests_than_the_server_takes_are_told_to_come_later(folder, serving) -> None:
    server = serving.Served(folder, "--no-dispatch", "--no-auth", env={"PENSTOCK_SERVER_MAX_REQUESTS": "1"})
    try:
        run = server.call("POST", "/v1/endpoints/hello/runs", {}).json["id"]
        with socket.create_connection((server.host, server.port), timeout=20) as connection:
            connection.sendall(f"GET /v1/runs/{run}?wait=30 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            deadline = time.monotonic() + 10
            while (reply := server.call("GET", "/healthz")).status == 200:
                assert time.monotonic() < deadline
            assert (reply.status, reply.json["code"]) == (429, "too_many_requests")
            assert int(reply.headers["retry-after"]) >= 1
    finally:
        server.stop()
