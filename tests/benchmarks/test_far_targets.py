"""What a dead target costs those who do not ask for it: nothing. Medians of turns with and without it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import pytest

from penstock.workspace import Workspace

pytestmark = pytest.mark.benchmark

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: flood
steps:
  measure: {command: measure}
"""
CONFIG = "target: near\ntargets:\n  near: {backend: far}\n  away: {backend: far}\n"
QUEUED = 20
TURNS = 25
LIMIT = 1.3


@pytest.fixture
def folders(tmp_path, far):
    """Two projects: one where 20 runs wait for a target that does not answer, and one without them."""
    made = {}
    for name in ("without", "dead"):
        folder = made[name] = tmp_path / name
        folder.mkdir()
        (folder / "penstock.yaml").write_text(CONFIG)
        (folder / "flood.yaml").write_text(SPEC)
        with Workspace.open(folder, actor="ada") as ws:
            ws.publish(folder / "flood.yaml", endpoint="near")
            ws.publish(folder / "flood.yaml", endpoint="away", target="away")
    far.away.add("away")
    far.seconds["away"] = 0.5
    far.RETRY = 1.0
    with Workspace.open(made["dead"], actor="ada") as ws:
        for _ in range(QUEUED):
            ws.submit("away")
        assert ws.admin.status().pending_hand_overs == QUEUED
    return made


@pytest.mark.parametrize(("what", "verb"), [
    ("endpoint list", lambda ws: ws.endpoints.list()),
    ("status", lambda ws: ws.admin.status()),
    ("submit to a healthy target", lambda ws: ws.runs.submit("near")),
])  # fmt: skip
def test_a_dead_target_costs_nobody_else_anything(folders, what: str, verb: Callable[[Workspace], object]) -> None:
    taken: dict[str, list[float]] = {name: [] for name in folders}
    for turn in range(TURNS):
        for name, folder in folders.items():
            begin = time.perf_counter()
            with Workspace.open(folder, actor="ada") as ws:
                verb(ws)
            if turn >= 3:
                taken[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(times) for name, times in taken.items()}
    ratio = medians["dead"] / medians["without"]
    print(f"{what}: {medians['without'] * 1e3:.2f} ms without, {medians['dead'] * 1e3:.2f} ms with, {ratio:.2f} times")
    assert ratio <= LIMIT
