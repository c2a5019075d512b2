"""The Azure ML v1 wire over a real socket: what its callers send, byte for byte, and what they read of the answer."""

from __future__ import annotations

import json
import re
import socket
import uuid

import pytest


@pytest.fixture
def entity(call):
    """An endpoint of the test's own, as the wire has it."""
    pipeline = call("GET", "/Pipelines").json[0]["Id"]
    name = f"e-{uuid.uuid4().hex[:8]}"
    made = call("POST", "/PipelineEndpoints/Create", {"Name": name, "Description": "d", "PipelineId": pipeline})
    assert made.status == 200
    return made.json


def finished(served, key, run: str) -> str:
    """The text that a run made, once it has ended."""
    seen = served.call("GET", f"/v1/runs/{run}?wait=60", token=key).json
    assert seen["state"] == "succeeded", seen
    return seen["outputs"]["text"]


def raw(served, text: bytes) -> tuple[int, bytes]:
    """Bytes as they are, and the answer as it comes."""
    with socket.create_connection((served.host, served.port), timeout=30) as connection:
        connection.sendall(text)
        data = b""
        while chunk := connection.recv(65536):
            data += chunk
            head, separator, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.I)
            if separator and length and len(body) >= int(length[1]):
                return int(head.split()[1]), body
    return 0, data


def test_python_as_documented(served, call, ws, key, entity) -> None:
    """`requests.post(url, headers=auth, json={...})`, and the run's `Id` is read."""
    body = json.dumps({"ExperimentName": "nightly", "ParameterAssignments": {"1": 20, "fast": "True"}}).encode()
    path = f"{ws}/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}"
    status, answer = raw(
        served,
        f"POST {path} HTTP/1.1\r\nHost: {served.host}:{served.port}\r\nUser-Agent: python-requests/2.31.0\r\n"
        f"Accept-Encoding: gzip, deflate\r\nAccept: */*\r\nConnection: keep-alive\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Length: {len(body)}\r\nContent-Type: application/json\r\n\r\n".encode()
        + body,
    )
    assert status == 200
    run = json.loads(answer)
    assert run["Status"]["StatusCode"] == "NotStarted"
    assert run["RunHistoryExperimentName"] == "nightly"
    assert finished(served, key, run["Id"]) == "20|0.5|true|x|bundledbundled"
    read = call("GET", f"/PipelineRuns/{run['Id']}").json
    assert read["Status"]["StatusCode"] == "Finished"
    assert read["Status"]["CreationTime"]
    assert read["Status"]["EndTime"]


def test_java_as_its_client_sends_it(served, ws, key, entity) -> None:
    """JDK HttpClient: no content type, `Token`, an offer of h2c that nobody has to take; anything but 200 fails."""
    body = b'{"ExperimentName": "j", "ParameterAssignments": {"rate": 0.25}}'
    path = f"{ws}/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}"
    status, answer = raw(
        served,
        f"POST {path} HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: {len(body)}\r\n"
        f"Host: {served.host}:{served.port}\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
        f"Upgrade: h2c\r\nUser-Agent: Java-http-client/17.0.9\r\nAuthorization: Token {key}\r\n\r\n".encode()
        + body,
    )
    assert status == 200
    assert finished(served, key, json.loads(answer)["Id"]) == "1|0.25|false|x|bundledbundled"


def test_csharp_as_its_client_sends_it(served, ws, key, entity) -> None:
    """HttpClient with a StringContent, chunked, asking first whether it may go on."""
    body = '{"ExperimentName":"c","ParameterAssignments":{"word":"naïve"},"RunSource":"SDK"}'.encode()
    path = f"{ws}/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}/0?pipelineVersion=0"
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {served.host}:{served.port}\r\nAuthorization: Bearer {key}\r\n"
        "Expect: 100-continue\r\nContent-Type: application/json; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
    ).encode()
    with socket.create_connection((served.host, served.port), timeout=30) as connection:
        connection.sendall(head)
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n")
        data = b""
        while b"}" not in data[-2:]:
            data += connection.recv(65536)
    assert data.startswith(b"HTTP/1.1 200 ")
    run = json.loads(data.partition(b"\r\n\r\n")[2])
    assert finished(served, key, run["Id"]) == "1|0.5|false|naïve|bundledbundled"


def test_every_way_to_trigger(call, entity) -> None:
    pipeline = entity["PipelineVersionList"][0]["PipelineId"]
    for path in (
        f"/PipelineRuns/PipelineSubmit/{pipeline}",
        f"/Experiments/PipelineSubmit/{pipeline}",
        f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}",
        f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}/0",
        f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}?pipelineVersion=0",
        f"/PipelineRuns/PipelineEndpointSubmit/Name?name={entity['Name']}",
        f"/PipelineRuns/PipelineEndpointSubmit/Name?name={entity['Name']}&pipelineVersion=0",
    ):
        reply = call("POST", path, {}, headers={"Content-Type": "application/json-patch+json"})
        assert (reply.status, bool(reply.json["Id"])) == (200, True), path
        canceled = call("DELETE", f"/PipelineRuns/{reply.json['Id']}/Execution")
        assert (canceled.status, canceled.body) == (200, b"")
    assert call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}/7").status == 404
    assert call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}/0?pipelineVersion=1").status == 400


def test_errors_have_the_shape_that_clients_read(call, entity) -> None:
    path = f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}"
    reply = call("POST", path, {"ParameterAssignments": {"1": "many", "rat": "1"}})
    error = reply.json["Error"]
    assert (reply.status, error["Code"]) == (422, "parameter_invalid")
    assert {one["Code"] for one in error["Details"]} == {"parameter_type", "parameter_unknown"}
    assert all(one["Message"] in error["Message"] for one in error["Details"])
    assert reply.json["Correlation"]["RequestId"] == reply.headers["x-request-id"]
    missing = call("GET", "/PipelineEndpoints/Name?Name=nobody")
    assert (missing.status, missing.json["Error"]["Code"]) == (404, "endpoint_not_found")
    graph = call("POST", "/Pipelines/Create", {"Graph": {"moduleNodes": []}})
    assert graph.json["Error"]["Code"] == "publish_elsewhere"
    assert "penstock publish" in graph.json["Error"]["Message"]


def test_a_closed_endpoint_refuses(call, entity) -> None:
    closed = call("PUT", f"/PipelineEndpoints/{entity['Id']}", {**entity, "EntityStatus": "Disabled"})
    assert (closed.status, closed.json["EntityStatus"]) == (200, "Disabled")
    refused = call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}", {})
    assert (refused.status, refused.json["Error"]["Code"]) == (409, "endpoint_disabled")
    assert entity["Id"] not in [one["Id"] for one in call("GET", "/PipelineEndpoints").json]
    assert entity["Id"] in [one["Id"] for one in call("GET", "/PipelineEndpoints?activeOnly=false").json]


def other_pipeline(served, key, entity) -> str:
    """Another published pipeline than those of the endpoint."""
    source = entity["PipelineVersionList"][0]["PipelineId"]
    made = served.call("POST", "/v1/pipelines", {"from": source, "name": f"p-{uuid.uuid4().hex[:8]}"}, token=key)
    return made.json["published"]["id"]


def test_a_whole_entity_is_the_changes_it_intends(served, call, key, entity) -> None:
    new = other_pipeline(served, key, entity)
    versions = [*entity["PipelineVersionList"], {"Version": "1", "PipelineId": new}]
    archived = str(uuid.uuid4())
    written = {**entity, "Name": archived, "DefaultVersion": "1", "PipelineVersionList": versions, "EntityStatus": 2}
    done = call("PUT", f"/PipelineEndpoints/{entity['Id']}", written).json
    assert (done["Name"], done["DefaultVersion"], done["EntityStatus"]) == (archived, "1", "Disabled")
    assert done["PipelineVersionList"] == versions
    assert [one["Id"] for one in call("GET", f"/PipelineEndpoints/{entity['Id']}/pipelines").json][1] == new


def test_two_writers_lose_nothing_of_each_other(served, call, key, entity) -> None:
    mine, theirs = other_pipeline(served, key, entity), other_pipeline(served, key, entity)
    path = f"/PipelineEndpoints/{entity['Id']}"

    def with_version(published: str) -> dict:
        versions = [*entity["PipelineVersionList"], {"Version": "1", "PipelineId": published}]
        return {**entity, "PipelineVersionList": versions}

    assert call("PUT", path, with_version(theirs)).status == 200
    late = call("PUT", path, with_version(mine))
    assert (late.status, late.json["Error"]["Code"]) == (412, "revision_changed")
    without_etag = {key: value for key, value in with_version(mine).items() if key != "Etag"}
    lost = call("PUT", path, without_etag)
    assert (lost.status, lost.json["Error"]["Code"]) == (409, "version_lost")
    dropped = {**without_etag, "PipelineVersionList": []}
    assert call("PUT", path, dropped).json["Error"]["Code"] == "version_lost"
    now = call("GET", f"/PipelineEndpoints/Id/{entity['Id']}").json
    assert [one["PipelineId"] for one in now["PipelineVersionList"]][1:] == [theirs]


def test_data_is_switched_by_what_is_mapped(served, call, key, entity) -> None:
    path = f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}"
    sent = {
        "DataPathAssignments": {"folder": {"DataStoreName": "blob", "RelativePath": "/monday/"}},
        "DataSetDefinitionValueAssignments": {"table": {"SavedDataSetReference": {"Id": "ds-1"}}},
    }
    run = call("POST", path, sent).json
    assert finished(served, key, run["Id"]) == "1|0.5|false|x|mondaymonday"
    other = {"folder": {"DataSetReference": {"Name": "sales", "Version": "3"}}}
    run = call("POST", path, {"DataSetDefinitionValueAssignments": other}).json
    assert finished(served, key, run["Id"]) == "1|0.5|false|x|bundledmonday"


@pytest.mark.parametrize(
    "relative",
    ["../secret.txt", "monday/../../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "%252e%252e/secret.txt",
     "..\\secret.txt", "link", "monday/..%5c..%5csecret.txt", "a\u0000b"],
)  # fmt: skip
def test_a_relative_path_stays_beneath_its_root(call, entity, relative) -> None:
    for store in ("blob", "cloud"):
        if (store, relative) == ("cloud", "link"):
            continue  # an object store has no links
        value = {"LiteralValue": {"DataStoreName": store, "RelativePath": relative}}
        sent = {"DataSetDefinitionValueAssignments": {"table": value}}
        reply = call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}", sent)
        assert reply.status == 422, (store, relative)
        assert reply.json["Error"]["Details"][0]["Code"] == "location_refused"


def test_what_is_not_mapped_names_the_key_to_set(call, entity) -> None:
    path = f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}"
    store = call("POST", path, {"DataPathAssignments": {"table": {"DataStoreName": "blub", "RelativePath": ""}}})
    assert "plugins.azureml_v1.datastores.blub" in store.json["Error"]["Message"]
    saved = {"table": {"SavedDataSetReference": {"Id": "ds-9"}}}
    data = call("POST", path, {"DataSetDefinitionValueAssignments": saved})
    assert "plugins.azureml_v1.datasets.ds-9" in data.json["Error"]["Message"]


def test_what_clients_ask_when_they_start(served, call, ws) -> None:
    services = served.call("GET", "/discovery").json
    assert services["api"] == services["history"] == served.url
    assert "Id" not in served.url
    assert [one["Name"] for one in call("GET", "/DataTypes").json] == ["AnyFile", "AnyDirectory"]
    assert call("POST", "/DataTypes", {"Name": "Mine", "Description": "x"}).json["Name"] == "Mine"


def test_the_run_history(served, call, key, ws, entity) -> None:
    run = call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}", {"ExperimentName": "h"}).json["Id"]
    finished(served, key, run)
    base = ws.replace("/pipelines/", "/history/")
    read = served.call("GET", f"{base}/experiments/h/runs/{run}", token=key).json
    assert (read["runId"], read["status"], read["runType"]) == (run, "Completed", "azureml.PipelineRun")
    assert served.call("GET", f"{base}/runs/{run}/details", token=key).json["runId"] == run
    asked = {"value": [{"runId": run}, {"runId": "nobody"}]}
    found = served.call("POST", f"{base}/experiments/h/runs:query", asked, token=key).json
    assert [one["runId"] for one in found["value"]] == [run]


def test_what_is_mapped_is_open_to_this_door_and_to_a_rerun_and_to_nobody_else(call, served, key, folder) -> None:
    forecast = call("GET", "/PipelineEndpoints/Name?name=forecast").json["Id"]
    mapped = {"DataPathAssignments": {"table": {"DataStoreName": "blob", "RelativePath": "monday/table.csv"}}}
    run = call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{forecast}", mapped).json["Id"]
    again = served.call("POST", f"/v1/runs/{run}/rerun", {}, token=key)
    assert (again.status, again.json["parameters"]["table"]) == (201, str(folder / "blob/monday/table.csv"))
    named = {"table": str(folder / "blob/monday/table.csv")}
    for refused in (
        served.call("POST", "/v1/endpoints/forecast/runs", {"parameters": named}, token=key),
        call("POST", f"/PipelineRuns/PipelineEndpointSubmit/Id/{forecast}", {"ParameterAssignments": named}),
    ):
        assert refused.status == 422
        assert b"location_refused" in refused.body
        assert b"`targets.laptop.data_roots` of penstock.yaml: none yet" in refused.body


def test_null_is_no_value_of_an_optional_parameter(served, call, key, entity) -> None:
    path = f"/PipelineRuns/PipelineEndpointSubmit/Id/{entity['Id']}"
    for given in (
        {},
        {"ParameterAssignments": {"folds": None, "extra": None}},
        {"DataPathAssignments": {"extra": None}},
    ):
        run = call("POST", path, {"ExperimentName": "nightly", **given}).json
        assert finished(served, key, run["Id"]) == "1|0.5|false|x|bundledbundled"
        read = call("GET", f"/PipelineRuns/{run['Id']}").json["ParameterAssignments"]
        assert (read["folds"], read["extra"]) == (None, None)
    run = call("POST", path, {"ExperimentName": "nightly", "ParameterAssignments": {"folds": "3"}}).json
    assert finished(served, key, run["Id"]) == "1|0.5|false|x|bundledbundled--folds=3"
    for given in ({"ParameterAssignments": {"1": None}}, {"DataPathAssignments": {"table": None}}):
        assert call("POST", path, {"ExperimentName": "nightly", **given}).status == 422
