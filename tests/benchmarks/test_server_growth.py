"""How many triggers a second a server takes whose registry holds a million runs, beside one whose registry is empty."""

from __future__ import annotations

import shutil
import statistics
from pathlib import Path

import pytest

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

RUNS = 1_000_000
TURNS = 7
LEAST = 0.75
"""Of the triggers per second that an empty registry gives."""


@pytest.fixture
def folders(tmp_path, quick, serving, filling, engines_end):
    """Two projects: in one a run was triggered, handed over and ended a million times."""
    made = {name: quick(tmp_path / name) for name in ("empty", "full")}
    filling.multiply(made["full"] / ".penstock/registry.db", ended(made["full"], serving), RUNS - 1)
    yield made
    engines_end(tmp_path)
    shutil.rmtree(made["full"])


def ended(folder: Path, serving) -> str:
    """The id of a run that was triggered as the others will be, and has ended."""
    server = serving.Served(folder)
    token = serving.token(folder, "before", "submit")
    given = {"parameters": {"name": "x", "times": 2}}, {"Idempotency-Key": "before"}
    run = server.call("POST", "/v1/endpoints/quick/runs", given[0], token=token, headers=given[1]).json["id"]
    found = server.call("GET", f"/v1/runs/{run}?wait=60", token=token).json
    server.stop()
    assert found["state"] == "succeeded", found
    return run


def test_a_million_runs_slow_no_trigger_down(folders, ours, load) -> None:
    servers = {name: ours(folder) for name, folder in folders.items()}
    rates: dict[str, list[float]] = {name: [] for name in servers}
    for turn in range(TURNS + 1):
        for name, where in servers.items():
            rate = load(where, 16, 600)["rate"]
            if turn:  # the first is for the caches
                rates[name].append(rate)
    rate = {name: statistics.median(found) for name, found in rates.items()}
    print(f"\n{RUNS} runs: {rate['full']:.0f}/s of {rate['empty']:.0f}/s, {rate['full'] / rate['empty']:.2f}")
    assert rate["full"] >= LEAST * rate["empty"]
