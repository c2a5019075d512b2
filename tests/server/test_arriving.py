"""What is taken of a caller before it is known who it is, and how long a connection may keep others waiting."""

from __future__ import annotations

import json
import resource
import socket
import ssl
import time
from collections import Counter
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from penstock.config import load_config, server_options
from penstock.errors import ConfigInvalid
from penstock.server.rest.routes import ROUTES

WS = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
HURRY = {
    "PENSTOCK_SERVER_HEAD_SECONDS": "1",
    "PENSTOCK_SERVER_BODY_SECONDS": "1",
    "PENSTOCK_SERVER_WRITE_SECONDS": "1",
    "PENSTOCK_SERVER_MAX_REQUESTS": "8",
}
BODIES = ("Content-Length: 1000000", "Transfer-Encoding: chunked", "Content-Length: 2\r\nExpect: 100-continue")


@pytest.fixture(scope="module")
def hurried(folder, serving):
    """A server that waits for nothing longer than a second, and takes few requests at a time."""
    server = serving.Served(folder, "--no-dispatch", env=HURRY)
    yield server
    server.stop()


def head(method: str, path: str, *headers: str) -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", "")).encode()


def answer(connection: socket.socket) -> tuple[int, dict]:
    """The next answer, as soon as it is there whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(1)
        assert chunk, data
        data += chunk
    length = int(data.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += connection.recv(length - len(body))
    return int(data.split()[1]), json.loads(body)


def ended(connection: socket.socket) -> bytes:
    """What comes until the server closes, which it must."""
    data = b""
    with suppress(ConnectionResetError):
        while chunk := connection.recv(65536):
            data += chunk
    return data


WITH_BODY = sorted({(route.method, route.path) for route in ROUTES if route.method not in ("GET", "DELETE")})


@pytest.mark.sampled(3)
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("authorization", ["", "Authorization: Bearer penstock_0_0\r\n"])
def test_who_has_no_token_is_refused_before_the_body_is_sent(served, body, authorization, serving) -> None:
    """At every route that takes a body, and nobody is told to send it."""
    routes = [*WITH_BODY, ("POST", f"{WS}/PipelineRuns/PipelineSubmit/x"), ("PUT", f"{WS}/Pipelines/x/status")]
    for method, path in routes[:2] if "chunked" in body else routes:  # what is chunked is looked at for a moment
        with closing(serving.connected(served)) as connection:
            connection.sendall(head(method, path, authorization + body))
            status, told = answer(connection)
            assert status == 401, (path, told)
            assert told.get("code", "not_authenticated") == "not_authenticated"


def test_a_body_is_asked_for_from_who_may_come_in(served, tokens, serving) -> None:
    token = f"Authorization: Bearer {tokens['submit']}"
    with closing(serving.connected(served)) as connection:
        connection.sendall(head("POST", "/v1/endpoints/hello/runs", token, BODIES[2]))
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"{}")
        assert answer(connection)[0] == 201
        connection.sendall(
            head("POST", "/v1/endpoints/hello/runs", token, "Content-Length: 2000000", "Expect: 100-continue")
        )
        status, told = answer(connection)
        assert (status, told["code"]) == (413, "document_too_large")
        assert ended(connection) == b""  # nobody knows whether its body comes


@pytest.mark.parametrize("length", [100, 200_000, 2_000_000])
def test_what_still_comes_of_a_refused_body_is_no_request(served, length, serving) -> None:
    with closing(serving.connected(served)) as connection:
        connection.sendall(head("POST", "/v1/endpoints/hello/runs", f"Content-Length: {length}"))
        inner = head("GET", "/healthz")
        connection.sendall(inner * (length // len(inner)) + b" " * (length % len(inner)) + head("GET", "/readyz"))
        assert answer(connection)[0] == 401
        assert "checks" in answer(connection)[1]


def test_a_body_that_nobody_wants_is_not_read_for_ever(hurried, serving) -> None:
    """Neither how long it takes nor how much it is."""
    refused = head("POST", "/v1/endpoints/hello/runs", "Content-Length: 1000000000")
    with closing(serving.connected(hurried)) as slow, closing(serving.connected(hurried)) as large:
        for connection in (slow, large):
            connection.sendall(refused)
            assert answer(connection)[0] == 401
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe|timed out"):
            for _ in range(2000):
                large.sendall(bytes(65536))
        deadline = time.monotonic() + 20
        with suppress(OSError):
            while time.monotonic() < deadline:
                slow.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() < deadline


def test_open_routes_take_only_what_a_form_needs(served, serving) -> None:
    with closing(serving.connected(served)) as connection:
        connection.sendall(head("POST", "/t/oauth2/token", "Content-Length: 65537"))
        assert answer(connection)[0] == 413


@pytest.mark.sampled(4)
@pytest.mark.parametrize(
    "sent", [b"", b"G", b"GET /healthz HTTP/1.1\r\nHost: local", b"GET /healthz HTTP/1.1\r\nHost: a\r\n"]
)
@pytest.mark.parametrize("before", [b"", head("GET", "/healthz")])
def test_a_head_that_does_not_come_is_not_waited_for(hurried, before, sent, serving) -> None:
    """However slowly it comes, on a new connection and after an answer; who sent nothing is told nothing."""
    if before and not sent:
        return  # that is a connection that is kept for later
    with closing(serving.connected(hurried)) as connection:
        connection.sendall(before)
        if before:
            assert answer(connection)[0] == 200
        if sent:
            connection.sendall(sent)
            deadline = time.monotonic() + 20
            connection.settimeout(0.2)
            while time.monotonic() < deadline:
                with suppress(TimeoutError):
                    assert connection.recv(1, socket.MSG_PEEK)
                    break
                connection.sendall(b"x")
            connection.settimeout(20)
            status, told = answer(connection)
            assert (status, told["code"]) == (408, "head_timeout")
        assert ended(connection) == b""


@pytest.mark.thorough
def test_who_takes_nothing_of_an_answer_is_left(hurried) -> None:
    """Its request holds a place until then; here it asks for more than all buffers on the way hold."""
    size = len(hurried.call("GET", "/openapi.json").body)
    asked = 24 * 1_048_576 // size
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect((hurried.host, hurried.port))
        connection.sendall(head("GET", "/openapi.json") * asked)
        time.sleep(2.5)
        assert len(ended(connection)) < size * asked
    assert hurried.call("GET", "/healthz").status == 200


@pytest.mark.thorough
def test_who_takes_an_answer_slowly_gets_all_of_it(hurried) -> None:
    asked, got = 240, b""
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        connection.settimeout(20)
        connection.connect((hurried.host, hurried.port))
        connection.sendall(
            head("GET", "/openapi.json") * (asked - 1) + head("GET", "/openapi.json", "Connection: close")
        )
        began = time.monotonic()
        while chunk := connection.recv(65536):
            got += chunk
            if time.monotonic() - began < 3:
                time.sleep(0.015)
    assert got.count(b"HTTP/1.1 200 OK") == asked


def test_bodies_that_are_waited_for_leave_room_for_others(hurried, tokens, serving) -> None:
    """Of 8 places half wait for bodies at the most, and reading keeps two for itself."""
    token = f"Authorization: Bearer {tokens['submit']}"
    slow = []
    try:
        statuses = []
        for _ in range(7):
            slow.append(serving.connected(hurried))
            slow[-1].sendall(
                head("POST", "/v1/endpoints/hello/runs", token, "Content-Length: 2", "Expect: 100-continue")
            )
            statuses.append(slow[-1].recv(4096)[:12])
        assert statuses == [b"HTTP/1.1 100"] * 4 + [b"HTTP/1.1 429"] * 3
        assert hurried.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).status == 201
        assert hurried.call("GET", "/v1/endpoints/hello", token=tokens["submit"]).status == 200
    finally:
        for connection in slow:
            connection.close()


@pytest.mark.thorough
def test_connections_that_say_nothing_take_the_place_of_each_other(folder, serving, tokens) -> None:
    """Never of a request: past what the process may open, the one that has waited for one the longest is closed."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        server = serving.Served(folder, "--no-dispatch")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    silent = []
    try:
        run = server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
        with closing(serving.connected(server)) as polling:
            polling.sendall(head("GET", f"/v1/runs/{run}?wait=3", f"Authorization: Bearer {tokens['submit']}"))
            for number in range(400):
                silent.append(serving.connected(server))
                silent[-1].sendall((b"", b"G", head("GET", "/healthz"))[number % 3])
                if number % 40 == 39:
                    assert server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).status == 201
            assert answer(polling)[0] == 200
        assert "out of system resource" not in server.log.read_text()
        assert ended(silent[0]) == b""
    finally:
        for connection in silent:
            connection.close()
        server.stop()


@pytest.mark.parametrize("gap", [0, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_the_same_in_whatever_pieces_it_comes(served, tokens, serving, gap, chunked) -> None:
    """Before and after it is given up to look at it before the token."""
    body = json.dumps({"description": "piecemeal", "tags": {str(gap): "x" * 40}}).encode()
    pieces = [body[:1], body[1:30], body[30:]]
    if chunked:
        pieces = [b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces]
        pieces[-1] += b"0\r\n\r\n"
    how = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
    with closing(serving.connected(served)) as connection:
        token = f"Authorization: Bearer {tokens['submit']}"
        connection.sendall(head("POST", "/v1/endpoints/hello/runs", token, how) + pieces[0])
        for piece in pieces[1:]:
            time.sleep(gap)
            connection.sendall(piece)
        status, told = answer(connection)
    assert (status, told["description"], told["tags"]) == (201, "piecemeal", {str(gap): "x" * 40})


def test_who_waits_for_news_leaves_room_for_others(hurried, tokens, serving) -> None:
    """Of 8 places long polls keep six at the most: past that one is answered at once, and the others wait on."""
    run = hurried.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
    polls = [serving.connected(hurried) for _ in range(10)]
    try:
        for poll in polls:
            poll.sendall(head("GET", f"/v1/runs/{run}?wait=60", f"Authorization: Bearer {tokens['read']}"))
            time.sleep(0.05)
        assert hurried.call("POST", f"/v1/runs/{run}/cancel", {}, token=tokens["submit"]).status == 200
        states = Counter(answer(poll)[1]["state"] for poll in polls)
        assert set(states) == {"queued", "canceled"} and states["canceled"] <= 6, states
    finally:
        for poll in polls:
            poll.close()


@pytest.fixture
def certificate(tmp_path) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    x509 = pytest.importorskip("cryptography.x509", reason="needs the extra `server`")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = made.serial_number(1).not_valid_before(now - timedelta(1)).not_valid_after(now + timedelta(1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    files[1].write_bytes(key.private_bytes(*private))
    return files


def test_the_limits_hold_for_tls_too(folder, serving, tokens, certificate) -> None:
    """A connection that never becomes one of TLS, or sends half a head, is closed; others are served meanwhile."""
    tls = ("--tls-cert", str(certificate[0]), "--tls-key", str(certificate[1]))
    server = serving.Served(folder, "--no-dispatch", *tls, env=HURRY)
    trusting = ssl.create_default_context(cafile=certificate[0])

    def secured() -> ssl.SSLSocket:
        return trusting.wrap_socket(serving.connected(server), server_hostname="localhost")

    try:
        silent, plain = serving.connected(server), serving.connected(server)
        plain.sendall(head("GET", "/healthz"))
        with closing(silent), closing(plain), secured() as half, secured() as refused, secured() as whole:
            half.sendall(b"GET / HT")
            refused.sendall(head("POST", "/v1/endpoints/hello/runs", "Content-Length: 1000000"))
            assert answer(refused)[0] == 401
            token = f"Authorization: Bearer {tokens['submit']}"
            body = json.dumps({"description": "x" * 60_000}).encode() + b" " * 240_000
            whole.sendall(head("POST", "/v1/endpoints/hello/runs", token, f"Content-Length: {len(body)}") + body)
            status, told = answer(whole)
            assert (status, len(told["description"])) == (201, 60_000)
            assert answer(half)[1]["code"] == "head_timeout"
            assert ended(silent) == b""
            assert b"HTTP/1.1 200" not in ended(plain)
    finally:
        server.stop()


@pytest.mark.parametrize("option", ["head_seconds", "body_seconds", "write_seconds"])
@pytest.mark.parametrize("value", ["0", "-1", "100000"])
def test_a_limit_of_time_is_one(folder, option, value) -> None:
    config = load_config(folder, env={f"PENSTOCK_SERVER_{option.upper()}": value})
    with pytest.raises(ConfigInvalid, match=option) as raised:
        server_options(config, {})
    assert raised.value.code == "value_invalid"
