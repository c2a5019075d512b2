"""What a trigger over HTTP costs beside the floor, one durable row per POST on the same server and loop, and that
nothing is lost of what is triggered so fast.
"""

from __future__ import annotations

import signal
import statistics

import pytest

from penstock.workspace import Workspace

pytestmark = pytest.mark.benchmark

TURNS = 5
LEAST = 0.4
"""Of the floor's requests per second."""
MOST = 4.0
"""Times the floor's 99th percentile, at 16 connections."""
MANY = 20_000


@pytest.mark.parametrize("connections", [1, 16])
def test_a_trigger_costs_little_more_than_its_row(tmp_path, quick, ours, floor, load, connections) -> None:
    servers = {"ours": ours(quick(tmp_path)), "floor": floor()}
    found: dict[str, list[dict]] = {name: [] for name in servers}
    for _ in range(TURNS):
        for name, where in servers.items():
            found[name].append(load(where, connections, 600))
    rate, p99 = (
        {name: statistics.median(turn[what] for turn in turns) for name, turns in found.items()}
        for what in ("rate", "p99")
    )
    print(f"\n{connections} connections: {rate['ours']:.0f}/s of {rate['floor']:.0f}/s,"
          f" {rate['ours'] / rate['floor']:.2f}; p99 {p99['ours'] / p99['floor']:.2f} times")  # fmt: skip
    assert rate["ours"] >= LEAST * rate["floor"]
    if connections == 16:
        assert p99["ours"] <= MOST * p99["floor"]


@pytest.mark.timeout(600)
def test_every_one_of_many_triggers_is_in_the_registry(tmp_path, quick, ours, load) -> None:
    """What was answered is there, once and nothing else, though the server is killed as soon as it has answered."""
    server = ours(quick(tmp_path))
    found = load(server, 16, MANY)
    server.stop(signal.SIGKILL)
    print(f"\n{MANY} triggers through 16 connections: {found['rate']:.0f}/s")
    assert len(set(found["ids"])) == len(found["ids"]) == MANY
    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        there = [run.id for run in workspace.runs.list(limit=MANY + 1).items]
        records = workspace.admin.history(runs=True, limit=2 * MANY).items
        accepted = [one.subject_id for one in records if one.action == "run_accepted"]
        assert workspace.admin.check().ok
    assert sorted(there) == sorted(accepted) == sorted(found["ids"])
