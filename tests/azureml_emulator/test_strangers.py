"""An emulator executes what it is sent: who may send it anything."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def port_of(emulator: Any) -> int:
    return int(emulator.url.rpartition(":")[2])


def ask(emulator: Any, verb: str, path: str, headers: dict[str, str], data: bytes = b"") -> tuple[int, Any]:
    connection = http.client.HTTPSConnection("127.0.0.1", port_of(emulator), timeout=20, context=emulator.tls)
    try:
        connection.putrequest(verb, path, skip_host=True)
        for name, value in {"Content-Length": str(len(data)), "Authorization": "Bearer x", **headers}.items():
            connection.putheader(name, value)
        connection.endheaders(data)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


PATHS = ["/subscriptions", "/penstockstore?comp=list", "/emulator/v1/faults", "/msi/token", "/x/oauth2/v2.0/token", "/"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("verb", ["GET", "POST", "DELETE", "PUT", "PATCH"])
def test_no_web_page_is_answered(emulator, verb: str, path: str) -> None:
    host = f"127.0.0.1:{port_of(emulator)}"
    for origin in ("http://evil.example", "null", f"https://{host}", ""):
        status, answer = ask(emulator, verb, path, {"Host": host, "Origin": origin})
        assert (status, json.loads(answer)["error"]["code"]) == (403, "AuthorizationFailed")


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
        assert (status, json.loads(answer)["error"]["code"]) == (403, "AuthorizationFailed")
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


def test_who_speaks_no_tls_keeps_nobody_waiting(emulator) -> None:
    with socket.create_connection(("127.0.0.1", port_of(emulator))) as silent:
        assert emulator.arm("GET", "").status == 200
        silent.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):
            assert silent.recv(100)[:5] != b"HTTP/"
    assert emulator.arm("GET", "").status == 200


def test_the_key_of_the_authority_is_its_owners(emulator) -> None:
    assert (emulator.state / "ca.key").stat().st_mode & 0o077 == 0
    assert emulator.state.stat().st_mode & 0o077 == 0


def test_a_step_sees_nothing_of_the_emulators_environment(emulator, emulated) -> None:
    component = emulator.command("env | sort", environment_variables={"OWN": "${{inputs.x}} stays"}, inputs={})
    nodes = {"n": emulated.node(component, environment_variables={"NODE": "1"})}
    name, _ = emulator.run(emulator.pipeline(nodes), experimentName="e")
    run = emulator.children(name)["n"]["runId"]
    seen = dict(line.split("=", 1) for line in emulator.log(run).splitlines())
    assert "SECRET_OF_THE_USER" not in seen
    assert (seen["OWN"], seen["NODE"]) == ("${{inputs.x}} stays", "1")
    assert (seen["AZUREML_RUN_ID"], seen["AZUREML_ROOT_RUN_ID"]) == (run, name)
    assert seen["AZUREML_ARM_PROJECT_NAME"] == "e"
    more = {"PATH", "HOME", "TMPDIR", "LANG", "PWD", "SHLVL", "_", "PENSTOCK_EMULATOR_STEP", "OWN", "NODE"}
    assert not [key for key in seen if key not in more and not key.startswith(("AZUREML_", "AZURE_ML_", "MLFLOW_"))]


PLACE = (
    "/subscriptions/5e6f2a1c-0000-4000-8000-000000000001/resourceGroups/penstock/providers"
    "/Microsoft.MachineLearningServices/workspaces/penstock"
)
STARTS = ["", PLACE, f"/history/v1.0{PLACE}", "/penstockstore", "/penstockstore.blob.x/azureml", "/batch/x"]
STARTS += ["/emulator/v1"]
PARTS = ["components", "c", "versions", "1", "codes", "environments", "data", "models", "jobs", "x", "cancel"]
PARTS += ["batchEndpoints", "deployments", "datastores", "workspaceblobstore", "listSecrets", "computes", "cpu"]
PARTS += ["startPendingUpload", "runs", "details", "children", "rundata", "experiments", "azureml", "faults"]
PARTS += ["", "..", "%00", "%2e%2e", "%ff", "é"]
KEYS = ["api-version", "$top", "$skip", "$orderBy", "listViewType", "hash", "tag", "comp", "restype", "prefix"]
KEYS += ["marker", "maxresults", "blockid", "include", "sig", "se", "sp", "isDefault", "jobType"]
TEXTS = ["", "-1", "x", "1", "2024-01-01", "list", "block", "blocklist", "container", "metadata", "é", "%00", "9" * 30]
VALUES = st.sampled_from([*TEXTS, "((", "All"])
BODIES = st.sampled_from(
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe",
        b'"x"',
        b'{"properties": 1}',
        b'{"properties": {}}',
        b'{"properties": {"componentSpec": {"type": "command"}}}',
        b'{"properties": {"componentSpec": {"type": "pipeline", "jobs": {"a": {"componentId": []}}}}}',
        b'{"properties": {"jobType": "Pipeline", "componentId": 1, "inputs": {"a": 1}, "outputs": {"b": []}}}',
        b'{"properties": {"jobType": "Pipeline", "jobs": {"a": {"componentId": "x", "inputs": []}}}}',
        b'{"location": "westeurope", "properties": {"authMode": 1, "defaults": []}}',
        b'{"location": "westeurope", "properties": {"deploymentConfiguration": {"componentId": 1}}}',
        b'{"properties": {"InputData": []}}',
        b'{"values": [1, "x"]}',
        b'{"runId": {}}',
        b"<BlockList><Latest>x</Latest></BlockList>",
        b"<a",
        b"[" * 100_000,
    ]
)


@settings(max_examples=400)
@given(
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]),
    st.sampled_from(STARTS),
    st.lists(st.sampled_from(PARTS), max_size=5),
    st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=3),
    BODIES,
    st.booleans(),
)
def test_no_request_is_a_fault_of_the_emulator(anybodys, verb, start, parts, query, body, versioned) -> None:
    path = "/".join([start, *parts]) or "/"
    if "faults" in path and verb == "POST":
        return  # asked in `test_faults`
    asked = {**query, **({"api-version": "2024-01-01"} if versioned else {})}
    target = f"{path}?{'&'.join(f'{key}={value}' for key, value in asked.items())}"
    head = (f"{verb} {target} HTTP/1.1", f"Host: 127.0.0.1:{port_of(anybodys)}", "Authorization: Bearer x")
    more = ("Range: bytes=5-1", "x-ms-blob-type: BlockBlob", "x-ms-meta-a: é", f"Content-Length: {len(body)}")
    with (
        socket.create_connection(("127.0.0.1", port_of(anybodys)), timeout=20) as plain,
        anybodys.tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        connection.sendall("\r\n".join((*head, *more, "Connection: close", "", "")).encode() + body)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
    assert re.match(rb"HTTP/1.1 (?!500|502)\d{3} ", answer), (target, answer)
    assert "Traceback" not in anybodys.errors.read_text(), target
