"""Doors that plugins contribute: `penstock_register_routes`, in a process of its own as everywhere."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

DOOR = """
from attrs import frozen
from penstock.contract.hooks import hookimpl
from penstock.contract.http import HttpAnswer, HttpRoute


def refuse(error, request_id):
    return HttpAnswer(status=error.http_status, body=f"no: {error.code}".encode(), media_type="text/plain")


def show(request):
    run = request.workspace.runs.submit(request.path["name"]).run
    return HttpAnswer(body=f"{run.door} {run.by}".encode(), media_type="text/plain")


@frozen
class Door:
    @hookimpl
    def penstock_register_routes(self, workspace):
        return [HttpRoute(method="POST", path="/mine/{name}", handler=show, refuse=refuse, door="mine")]


@frozen
class Broken:
    @hookimpl
    def penstock_register_routes(self, workspace):
        raise KeyError("oh")
"""


@pytest.fixture
def installed(distribution, monkeypatch):
    points = {"penstock.plugins": {"mine": "mine_door:Door", "broken": "mine_door:Broken"}}
    site = distribution("penstock-mine", points, mine_door=DOOR)
    monkeypatch.setenv("PYTHONPATH", str(site))


def test_a_plugin_brings_a_door_with_its_own_shape(installed, folder, serving, tokens) -> None:
    server = serving.Served(folder, "--no-dispatch", env={"PENSTOCK_PLUGINS": "mine"})
    try:
        assert server.call("POST", "/mine/hello", {}, token=tokens["one"]).body == b"mine one"
        assert server.call("POST", "/mine/hidden", {}, token=tokens["one"]).body == b"no: endpoint_not_found"
        assert server.call("POST", "/mine/hello", {}).body == b"no: not_authenticated"
    finally:
        server.stop()


def test_a_plugin_whose_routes_fail_is_named(installed, folder, serving) -> None:
    done = subprocess.run(
        [serving.PENSTOCK, "serve", "--port", "0", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PENSTOCK_PLUGINS": "broken"},
    )
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "plugin_broken"
    assert "broken" in error["message"]
    assert "penstock_register_routes" in error["message"]


def test_a_dispatcher_in_a_process_of_its_own_hands_over_what_servers_take(folder, serving, tokens) -> None:
    server = serving.Served(folder, "--no-dispatch")
    dispatcher = subprocess.Popen(
        [serving.PENSTOCK, "dispatch", "--json"], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert dispatcher.stdout is not None
        assert json.loads(dispatcher.stdout.readline()) == {"pid": dispatcher.pid}
        run = server.call("POST", "/v1/endpoints/hello/runs", {}, token=tokens["submit"]).json["id"]
        seen = server.call("GET", f"/v1/runs/{run}?wait=60", token=tokens["read"]).json
        assert seen["state"] == "succeeded", seen
    finally:
        server.stop()
        dispatcher.terminate()
        assert dispatcher.wait(30) == 0
        dispatcher.stdout.close()
