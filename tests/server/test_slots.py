"""A step that triggers a run of its own target over HTTP and waits for it, while it has the only slot, is told."""

from __future__ import annotations

import json

import pytest

from penstock.workspace import Workspace

CLIENT = """\
import json, sys, time, urllib.request

url = sys.argv[1]


def call(path, data=None):
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request))


run = call("/v1/endpoints/inner/runs", b"{}")
while not run["waits_for"] and run["state"] in ("queued", "running"):
    time.sleep(0.1)
    run = call(f"/v1/runs/{run['id']}")
print(json.dumps(run))
"""
INNER = "apiVersion: penstock/v1\nkind: Pipeline\nname: inner\nsteps: {one: {command: 'true'}}\n"
OUTER = """\
apiVersion: penstock/v1
kind: Pipeline
name: outer
parameters: {url: {type: string}}
steps:
  trigger: {command: [python, client.py, "${{ parameters.url }}"], code: .}
"""


@pytest.mark.thorough
def test_a_step_that_waits_by_http_for_a_run_that_waits_for_its_slot_is_told(tmp_path, serving):
    code = tmp_path / "outer"
    code.mkdir()
    (code / "client.py").write_text(CLIENT)
    (code / "outer.yaml").write_text(OUTER)
    (tmp_path / "inner.yaml").write_text(INNER)
    (tmp_path / "penstock.yaml").write_text("target: here\ntargets: {here: {backend: local, slots: 1}}\n")
    serving.penstock(tmp_path, "publish", "inner.yaml", "--endpoint", "inner")
    server = serving.Served(tmp_path, "--no-auth")
    try:
        done = serving.penstock(tmp_path, "submit", "outer/outer.yaml", "-p", f"url={server.url}", "--wait", "-q")
        with Workspace.open(tmp_path) as workspace:
            (outer,) = (run for run in workspace.runs.list().items if run.pipeline == "outer")
            log = b"".join(part.data for part in workspace.runs.logs(outer.id))
            told = json.loads(log)
            assert told["state"] == "queued"
            assert told["waits_for"] == "its target's only slot"
            inner = workspace.runs.wait(told["id"], timeout=30)
    finally:
        server.stop()
    assert done == outer.id
    assert inner.state == "succeeded"
    assert inner.waits_for is None
