"""Sensitive parameters by HTTP: taken at every door, shown at none, and gone from the machine with their run."""

from __future__ import annotations

import signal
import uuid

import pytest
from tests.searching import holders

from penstock.workspace import Workspace

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: guarded
parameters:
  token: {type: string, sensitive: true, minLength: 8, description: For the archive}
  word: {type: string, default: x}
steps:
  use:
    command: [sh, -c, 'printf %s "${#TOKEN}" > "$1"', sh, "${{ outputs.size }}"]
    env: {TOKEN: "${{ parameters.token }}"}
    outputs: {size: integer}
outputs: {size: "${{ steps.use.outputs.size }}"}
"""


class Watched:
    """Calls of a server of which every byte is kept."""

    def __init__(self, server, token: str) -> None:
        self._server, self._token = server, token
        self.seen = bytearray()

    def __call__(self, method, path, data=None, **more):
        reply = self._server.call(method, path, data, token=self._token, **more)
        self.seen += repr(reply.headers).encode() + reply.body
        return reply


@pytest.fixture(scope="module")
def guarded(folder) -> str:
    (folder / "guarded.yaml").write_text(SPEC)
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        return workspace.publish(folder / "guarded.yaml", endpoint="guarded").id


@pytest.mark.thorough
def test_a_value_is_taken_at_every_door_and_shown_at_none(folder, serving, tokens, guarded) -> None:
    mark = uuid.uuid4().hex
    server = serving.Served(folder)
    call = Watched(server, tokens["admin"])
    try:
        path, key = "/v1/endpoints/guarded/runs", {"Idempotency-Key": "monday"}
        sent = {"parameters": {"token": mark}}
        made = call("POST", path, sent, headers=key)
        assert (made.status, made.json["parameters"]) == (201, {"token": "***", "word": "x"})
        assert call("POST", path, sent, headers=key).json["id"] == made.json["id"]
        other = call("POST", path, {"parameters": {"token": mark[::-1]}}, headers=key)
        assert other.json["code"] == "idempotency_conflict"
        for wrong, code in ((mark[:6], "parameter_range"), ([mark], "parameter_type")):
            refused = call("POST", path, {"parameters": {"token": wrong}})
            assert (refused.status, refused.json["details"][0]["code"]) == (422, code)
        run = made.json["id"]
        ended = call("GET", f"/v1/runs/{run}?wait=60").json
        assert (ended["state"], ended["outputs"]) == ("succeeded", {"size": 32}), ended
        for one in (f"/v1/runs/{run}", "/v1/runs", path, f"/v1/runs/{run}/logs/use", "/v1/history?runs=true"):
            assert call("GET", one).status == 200

        again = call("POST", f"/v1/runs/{run}/rerun", {})
        assert (again.status, again.json["details"][0]["code"]) == (422, "sensitive_missing")
        fixed = call("POST", f"/v1/runs/{run}/rerun", {"parameters": {"token": mark, "word": "y"}})
        assert (fixed.status, fixed.json["details"][0]["code"]) == (422, "parameter_fixed")
        rerun = call("POST", f"/v1/runs/{run}/rerun", {"parameters": {"token": mark}})
        assert (rerun.status, rerun.json["rerun_of"]) == (201, run)
        assert call("GET", f"/v1/runs/{rerun.json['id']}?wait=60").json["state"] == "succeeded"

        base = (
            "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
        )
        wire = call(
            "POST",
            f"{base}/PipelineRuns/PipelineSubmit/{guarded}",
            {"ExperimentName": "e", "ParameterAssignments": {"token": mark}},
        )
        assert (wire.status, wire.json["ParameterAssignments"]["token"]) == (200, "***")
        assert call("GET", f"/v1/runs/{wire.json['Id']}?wait=60").json["outputs"] == {"size": 32}

        document = call("GET", "/v1/endpoints/guarded/openapi.json").json
        trigger = document["paths"]["/v1/endpoints/guarded/runs"]["post"]["requestBody"]["content"]["application/json"]
        assert trigger["schema"]["properties"]["parameters"]["properties"]["token"] == {
            "type": "string",
            "description": "For the archive",
            "writeOnly": True,
            "minLength": 8,
        }
    finally:
        server.stop()
    assert mark.encode() not in call.seen
    assert mark[:6].encode() not in server.log.read_bytes()
    assert holders(folder, mark) == []


def test_a_server_that_is_killed_loses_no_value_and_keeps_none(folder, serving, tokens, guarded) -> None:
    mark = uuid.uuid4().hex
    server = serving.Served(folder, "--no-dispatch")
    call = Watched(server, tokens["admin"])
    sent = {"parameters": {"token": mark}}
    *runs, canceled = (call("POST", "/v1/endpoints/guarded/runs", sent).json["id"] for _ in range(4))
    assert call("POST", f"/v1/runs/{canceled}/cancel", {}).json["run"]["state"] == "canceled"
    server.stop(signal.SIGKILL)
    assert {path.name for path in holders(folder, mark)} == set(runs)
    later = serving.Served(folder)
    try:
        for run in runs:
            ended = later.call("GET", f"/v1/runs/{run}?wait=60", token=tokens["admin"]).json
            assert (ended["state"], ended["outputs"]) == ("succeeded", {"size": 32})
        assert holders(folder, mark) == []
    finally:
        later.stop()
