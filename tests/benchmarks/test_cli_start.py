"""How long the command line takes to start, as a ratio to importing click, measured in turns in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark

ROUNDS = 25
PENSTOCK = str(Path(sys.executable).with_name("penstock"))


def seconds(command: list[str], folder: Path) -> float:
    begin = time.perf_counter()
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def ratio(command: list[str], folder: Path) -> float:
    """How many times longer than `import click`: medians of runs that take turns, after one for the caches."""
    floor = [sys.executable, "-c", "import click"]
    taken: dict[str, list[float]] = {"floor": [], "command": []}
    for turn in range(ROUNDS + 1):
        pair = seconds(floor, folder), seconds(command, folder)
        if turn:
            taken["floor"].append(pair[0])
            taken["command"].append(pair[1])
    found = statistics.median(taken["command"]) / statistics.median(taken["floor"])
    print(f"{' '.join(command[1:])}: {found:.2f} times `import click`")
    return found


def test_help_takes_little_longer_than_click(tmp_path):
    assert ratio([PENSTOCK, "--help"], tmp_path) <= 1.3


def test_a_listing_takes_six_times_the_time_of_click(project):
    for number in range(3):
        subprocess.run(
            [PENSTOCK, "publish", "greet.yaml", "--endpoint", f"greet {number}"], check=True, stdout=subprocess.DEVNULL
        )
    assert ratio([PENSTOCK, "endpoint", "list"], project) <= 6
