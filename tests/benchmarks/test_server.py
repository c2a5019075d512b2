"""What a trigger over HTTP costs beside the floor: one durable row per POST on the same server and loop."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.workspace import Workspace

pytestmark = pytest.mark.benchmark

HERE = Path(__file__).parent
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: quick
parameters:
  name: {type: string, default: world, maxLength: 20}
  times: {type: integer, default: 1, minimum: 1, maximum: 5}
steps:
  write: {command: ["true", "${{ parameters.name }}", "${{ parameters.times }}"]}
"""
TURNS = 5
LEAST = 0.4
"""Of the floor's requests per second."""
MOST = 4.0
"""Times the floor's 99th percentile, at 16 connections."""


def load(url: str, path: str, token: str, connections: int, requests: int) -> dict:
    host, port = url.removeprefix("http://").split(":")
    arguments = (host, port, path, token, str(connections), str(requests))
    done = subprocess.run(
        [sys.executable, HERE / "server_load.py", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def servers(tmp_path, serving):
    """Ours, which hands nothing over, and the floor: (url, path, token) each."""
    (tmp_path / "quick.yaml").write_text(SPEC)
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        workspace.publish(tmp_path / "quick.yaml", endpoint="quick")
    ours = serving.Served(tmp_path, "--no-dispatch")
    token = serving.token(tmp_path, "bench", "submit")
    floor = subprocess.Popen(
        [sys.executable, HERE / "server_floor.py", tmp_path / "floor.db"], stdout=subprocess.PIPE, text=True
    )
    assert floor.stdout is not None
    said = json.loads(floor.stdout.readline())
    yield {"ours": (ours.url, "/v1/endpoints/quick/runs", token), "floor": (said["url"], "/rows", "none")}
    ours.stop()
    floor.terminate()
    floor.wait()
    floor.stdout.close()


@pytest.mark.parametrize("connections", [1, 16])
def test_a_trigger_costs_little_more_than_its_row(servers, connections, record_property) -> None:
    found: dict[str, list[dict]] = {name: [] for name in servers}
    for _ in range(TURNS):
        for name, where in servers.items():
            found[name].append(load(*where, connections, 600))
    rate, p99 = (
        {name: statistics.median(turn[what] for turn in turns) for name, turns in found.items()}
        for what in ("rate", "p99")
    )
    print(f"\n{connections} connections: {rate['ours']:.0f}/s of {rate['floor']:.0f}/s,"
          f" {rate['ours'] / rate['floor']:.2f}; p99 {p99['ours'] / p99['floor']:.2f} times")  # fmt: skip
    assert rate["ours"] >= LEAST * rate["floor"]
    if connections == 16:
        assert p99["ours"] <= MOST * p99["floor"]
