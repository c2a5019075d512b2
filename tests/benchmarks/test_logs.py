"""Two long logs, without a line end and of nothing else, against shorter ones, and the memory that printing them takes.

Run with `pytest -m benchmark tests/benchmarks/test_logs.py -s` to see the numbers.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.workspace import Workspace

pytestmark = pytest.mark.benchmark

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: long
parameters: {bytes: {type: integer}, of: {type: string}}
steps:
  one: {command: [sh, -c, 'head -c "$0" /dev/zero | tr "\\0" "$1"', "${{ parameters.bytes }}", "${{ parameters.of }}"]}
  two: {command: [sh, -c, 'head -c "$0" /dev/zero | tr "\\0" "$1"', "${{ parameters.bytes }}", "${{ parameters.of }}"]}
"""

LARGE, SMALL = 300_000_000, 30_000_000
EMPTY_LINES = 50_000_000, 5_000_000
"""They become as many times longer as a name and a time have bytes."""
MEGABYTES = 60


# A process is said to have taken what its parent had when it was forked, so a small one starts it.
_MEASURE = """\
import resource, subprocess, sys
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1000)
"""


def measured(folder: Path, *command: str) -> tuple[float, float]:
    """The processor's seconds and the megabytes that a command takes."""
    measure = [sys.executable, "-c", _MEASURE, *command]
    said = subprocess.run(measure, cwd=folder, stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, megabytes = said.split()
    return float(seconds), float(megabytes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A project, and a run by what its logs are made of and by their length."""
    folder = tmp_path_factory.mktemp("logs")
    (folder / "long.yaml").write_text(SPEC)
    wanted = [("x", SMALL), ("x", LARGE), *(("\\n", size) for size in EMPTY_LINES)]
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        return folder, {
            (of, size): workspace.submit(folder / "long.yaml", parameters={"bytes": size, "of": of}).wait().record.id
            for of, size in wanted
        }


@pytest.mark.parametrize(
    "more", [(), ("--follow",), ("--json",), ("--follow", "--json"), ("--timestamps",)], ids=" ".join
)
@pytest.mark.parametrize(
    ("of", "large", "small"), [("x", LARGE, SMALL), ("\\n", *EMPTY_LINES)], ids=["no line end", "empty lines"]
)
def test_long_logs_cost_their_length_and_little_memory(runs, more, of, large, small):
    folder, of_size = runs
    command = [sys.executable, "-m", "penstock", "run", "logs", *more]
    short, _ = measured(folder, *command, of_size[of, small])
    long, memory = measured(folder, *command, of_size[of, large])
    print(f"\n{' '.join(more) or 'as text'}: {short:.2f} s, ten times as long {long:.2f} s, {memory:.0f} MB")
    assert long < 12 * short
    assert memory < MEGABYTES
