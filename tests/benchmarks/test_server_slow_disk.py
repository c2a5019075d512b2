"""What triggers cost on a disk where every sync takes 5 ms, beside the floor, which makes one for each of them."""

from __future__ import annotations

import shutil
import statistics
import struct
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark

TURNS = 5
CONNECTIONS = 16
REQUESTS = 320
LEAST = 2.5
"""Times the floor's requests per second."""
COST = 0.005
"""Seconds of a sync, as `slow_sync.c` has it."""


@pytest.fixture
def slow_sync(tmp_path) -> dict[str, dict[str, str]]:
    """What to add to the environment of each server for its syncs to be slow, and noted in a file of its own."""
    if sys.platform != "linux" or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler that is called `cc`")
    library = tmp_path / "slow_sync.so"
    source = Path(__file__).with_name("slow_sync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", library, source], check=True)
    notes = {name: tmp_path / f"{name}.syncs" for name in ("ours", "floor")}
    return {name: {"LD_PRELOAD": str(library), "SLOW_SYNC_NOTES": str(file)} for name, file in notes.items()}


def read_syncs(env: dict[str, str]) -> list[tuple[int, int]]:
    """From when to when each sync of a server was."""
    file = Path(env["SLOW_SYNC_NOTES"])
    return list(struct.iter_unpack("=qq", file.read_bytes())) if file.exists() else []


def answered_before_a_sync(moments: Sequence[tuple[int, int]], syncs: Sequence[tuple[int, int]]) -> int:
    """How many requests were answered although no sync began and ended after they were sent."""
    begun = sorted(began for began, _ in syncs)
    soonest = [*accumulate((ended for _, ended in sorted(syncs, reverse=True)), min)][::-1]

    def is_durable(sent: int, answered: int) -> bool:
        first = bisect_left(begun, sent)
        return first < len(begun) and soonest[first] <= answered

    return sum(not is_durable(*moment) for moment in moments)


def test_who_waits_together_shares_a_sync(tmp_path, quick, ours, floor, load, slow_sync) -> None:
    servers = {"ours": ours(quick(tmp_path / "ours"), slow_sync["ours"]), "floor": floor(slow_sync["floor"])}
    found: dict[str, list[dict]] = {name: [] for name in servers}
    for _ in range(TURNS):
        for name, where in servers.items():
            found[name].append(load(where, CONNECTIONS, REQUESTS))
    rate = {name: statistics.median(turn["rate"] for turn in turns) for name, turns in found.items()}
    print(f"\n{COST * 1e3:g} ms a sync: {rate['ours']:.0f}/s of {rate['floor']:.0f}/s,"
          f" {rate['ours'] / rate['floor']:.2f}")  # fmt: skip
    for name, turns in found.items():
        syncs = read_syncs(slow_sync[name])
        moments = [moment for turn in turns for moment in turn["moments"]]
        print(f"{name}: {len(moments)} triggers, {len(syncs)} syncs")
        assert answered_before_a_sync(moments, syncs) == 0, name
        assert min(ended - began for began, ended in syncs) >= COST * 1e9
    assert rate["ours"] >= LEAST * rate["floor"]
