"""What a trigger over HTTP costs beside the floor, one durable row per POST on the same server and loop, and that
nothing is lost of what is triggered so fast.
"""

from __future__ import annotations

import signal
import statistics

import pytest

from penstock.workspace import Workspace

pytestmark = pytest.mark.benchmark

TURNS = 11
"""Each has its own ratio, of what both took within two seconds: a machine's speed changes more from turn to turn than
the ratio does.
"""
LEAST = 0.4
"""Of the floor's requests per second."""
MOST = 4.0
"""Times the floor's 99th percentile, at 16 connections."""
MANY = 20_000


@pytest.mark.parametrize("connections", [1, 16])
def test_a_trigger_costs_little_more_than_its_row(tmp_path, quick, ours, floor, load, connections) -> None:
    servers = {"ours": ours(quick(tmp_path)), "floor": floor()}
    rates, p99s = [], []
    for turn in range(TURNS):
        # Who comes first alternates, for what the one leaves to write is written while the other is asked.
        names = sorted(servers, reverse=bool(turn % 2))
        found = {name: load(servers[name], connections, 600) for name in names}
        rates.append(found["ours"]["rate"] / found["floor"]["rate"])
        p99s.append(found["ours"]["p99"] / found["floor"]["p99"])
    rate, p99 = statistics.median(rates), statistics.median(p99s)
    print(
        f"\n{connections} connections: {rate:.2f} of the floor's requests per second"
        f" ({min(rates):.2f} to {max(rates):.2f}); p99 {p99:.2f} times"
    )
    assert rate >= LEAST
    if connections == 16:
        assert p99 <= MOST


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
