"""What stands in a request's first line: any form of a target, any method, any path, in the shape of its door."""

from __future__ import annotations

import json
import re
from contextlib import closing

import pytest

from penstock.server.rest.routes import ROUTES

WS = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
HISTORY = WS.replace("/pipelines/", "/history/")


@pytest.fixture
def ask(served, serving):
    """One request whose first line and headers are as given, and its answer."""

    def one(line: str, *headers: str, server=served):
        data = "\r\n".join((line, *headers, "Connection: close", "", "")).encode()
        return serving.answer_to(server, data)

    return one


@pytest.mark.parametrize("scheme", ["http", "https", "HTTP"])
@pytest.mark.parametrize("host", ["penstock.example:8642", "[::1]:1", "localhost"])
def test_an_absolute_target_is_served_at_the_host_that_it_names(ask, tokens, scheme, host) -> None:
    """Whatever `Host` says (RFC 9112, section 3.2.2)."""
    token = f"Authorization: Bearer {tokens['submit']}"
    found = ask(f"GET {scheme}://{host}/v1/endpoints/hello?x=1 HTTP/1.1", "Host: other", token)
    assert (found.status, found.json["code"]) == (400, "unknown_key")
    made = ask(f"POST {scheme}://{host}/v1/endpoints/hello/runs HTTP/1.1", "Host: other", token, "Content-Length: 0")
    assert (made.status, made.headers["location"]) == (201, f"http://{host}/v1/runs/{made.json['id']}")
    told = ask(f"GET {scheme}://{host}/discovery HTTP/1.1", "Host: other")
    assert told.json["api"] == f"http://{host}"


@pytest.mark.parametrize("host", ["", "a@localhost", "local host", "localhost:x", "a/..", "[::1", "é"])
def test_an_absolute_target_names_a_host_and_nothing_else(ask, host) -> None:
    status = ask(f"GET http://{host}/healthz HTTP/1.1", "Host: localhost").status
    assert status in (400, 404)


def test_the_host_of_an_absolute_target_is_checked_as_host_is(ask, folder, serving) -> None:
    open_to_all = serving.Served(folder, "--no-dispatch", "--no-auth")
    try:
        for target, host, status in (
            ("http://evil.example/v1/endpoints", "localhost", 403),
            ("http://localhost/v1/endpoints", "evil.example", 200),
            (f"http://127.0.0.1:{open_to_all.port}/v1/endpoints", "localhost", 200),
        ):
            assert ask(f"GET {target} HTTP/1.1", f"Host: {host}", server=open_to_all).status == status
        own = ask(
            "GET http://localhost/v1/endpoints HTTP/1.1", "Host: x", "Origin: http://localhost", server=open_to_all
        )
        assert own.status == 200
        other = ask("GET http://localhost/v1/endpoints HTTP/1.1", "Host: x", "Origin: http://x", server=open_to_all)
        assert (other.status, other.json["code"]) == (403, "origin_not_allowed")
    finally:
        open_to_all.stop()


@pytest.mark.parametrize("line", ["PRI * HTTP/2.0", "GET /healthz HTTP/2.0", "GET /healthz HTTP/9.9"])
def test_another_http_is_refused(ask, line) -> None:
    refused = ask(line, "Host: localhost")
    assert (refused.status, refused.json["code"]) == (400, "http_invalid")


PLACES = [
    (f"{WS}/Nothing", "azureml_v1"),
    (f"{WS}/PipelineRuns/a/b/c", "azureml_v1"),
    ("/pipelines/v1.0", "azureml_v1"),
    ("/pipelines/v2.0/x", "azureml_v1"),
    (f"{WS}/../Pipelines", "azureml_v1"),
    (f"{WS}/Pipelines%2fx", "azureml_v1"),
    (f"{WS}/Pipelines/", "azureml_v1"),
    (f"{HISTORY}/runs", "azureml_v1"),
    ("/history", "azureml_v1"),
    ("/t/oauth2/nothing", "oauth"),
    ("/v1/nothing", "rest"),
    ("/v1/endpoints/hello%2Fruns", "rest"),
    ("/v1/endpoints/hello%2fopenapi.json", "rest"),
    ("//v1/endpoints", "rest"),
    ("/nothing", "rest"),
    ("/", "rest"),
]


def shape(data: dict) -> str:
    if "Error" in data:
        return "azureml_v1"
    return "oauth" if "error_description" in data else "rest"


@pytest.mark.parametrize(("path", "door"), PLACES)
def test_where_nothing_is_the_error_has_the_shape_of_the_door_around(ask, tokens, path, door) -> None:
    token = f"Authorization: Bearer {tokens['admin']}"
    for method in ("GET", "POST", "PUT", "BREW", "OPTIONS"):
        reply = ask(f"{method} {path} HTTP/1.1", "Host: localhost", token)
        assert (reply.status, shape(reply.json)) == (404, door), method
        assert "route_not_found" in reply.body.decode() or door == "oauth"
    other = ask(f"GET {path} HTTP/1.1", "Host: localhost", "Origin: http://evil.example")
    assert (other.status, shape(other.json)) == (403, door)
    assert shape(ask(f"GET {path}?{'a' * 9000} HTTP/1.1", "Host: localhost").json) == door


METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def test_a_method_that_a_path_does_not_take_is_refused_in_its_shape(ask, tokens) -> None:
    """OPTIONS too, and HEAD where there is no GET; what it takes is said."""
    taken: dict[str, set[str]] = {}
    for route in ROUTES:
        taken.setdefault(route.path, set()).add(route.method)
    taken |= {
        f"{WS}/Pipelines": {"GET"},
        f"{WS}/Pipelines/{{id}}/status": {"PUT"},
        f"{WS}/PipelineRuns/PipelineEndpointSubmit/Id/{{id}}/{{version}}": {"POST"},
        f"{HISTORY}/experiments/{{experiment}}/runs:query": {"POST"},
        "/discovery": {"GET"},
        "/{tenant}/oauth2/token": {"POST"},
    }
    token = f"Authorization: Bearer {tokens['admin']}"
    for path, methods in taken.items():
        door = (
            "azureml_v1"
            if path.startswith(("/pipelines", "/history", "/disc"))
            else "oauth"
            if "oauth" in path
            else "rest"
        )
        for method in (METHODS - methods) | {"OPTIONS", "BREW"}:
            reply = ask(f"{method} {re.sub('{.*?}', 'x', path)} HTTP/1.1", "Host: localhost", token)
            assert (reply.status, shape(reply.json)) == (405, door), (method, path)
            assert set(reply.headers["allow"].split(", ")) == methods | ({"HEAD"} if "GET" in methods else set())


def test_head_is_get_without_what_it_brings(served, tokens, serving) -> None:
    """At every path: the same status and headers, no body, and the next answer on the connection is one."""
    run = served.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
    named = {"name": "hello", "id": run, "version": "0", "step": "write"}
    paths = [
        re.sub(r"\{(\w+)\}", lambda found: named[found[1]], route.path) for route in ROUTES if route.method == "GET"
    ]
    for path in [
        *paths,
        "/openapi.json",
        "/healthz",
        "/discovery",
        f"{WS}/Pipelines",
        f"{WS}/PipelineRuns/{run}",
        "/none",
    ]:
        whole = served.call("GET", path, token=tokens["admin"])
        with closing(serving.connected(served)) as connection:
            asked = f" HTTP/1.1\r\nHost: {served.host}:{served.port}\r\nAuthorization: Bearer {tokens['admin']}\r\n"
            last = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            connection.sendall(f"HEAD {path}{asked}\r\n{last}".encode())
            data = b""
            while chunk := connection.recv(65536):
                data += chunk
        head, _, rest = data.partition(b"\r\n\r\n")
        assert int(head.split()[1]) == whole.status, path
        told = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        }
        for name in ("content-type", "content-length", "etag", "content-disposition"):
            assert told.get(name) == whole.headers.get(name), (path, name)
        assert rest.startswith(b"HTTP/1.1 200 "), path
        assert json.loads(rest.partition(b"\r\n\r\n")[2]) == {"ok": True}
