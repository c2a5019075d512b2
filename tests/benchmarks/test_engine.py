"""The local engine against `make -j2`, its memory when idle, and whether it slows down in a long run.

Run with `pytest -m benchmark tests/benchmarks/test_engine.py -s` to see the numbers.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import statistics
import subprocess
import time
import uuid
from pathlib import Path

import pytest

from penstock import snapshot
from penstock.contract.run import ENDED, RunRef, RunRequest
from penstock.contract.target import Target
from penstock.spec import Pipeline, Step
from penstock_local import hooks
from penstock_local.options import LocalOptions

pytestmark = pytest.mark.benchmark

STEPS = 100
ROUNDS = 9


class Bench:
    """A local target with two slots and its engine up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = Target(name="bench", backend="local", options=LocalOptions(slots=2, idle="1m"), home=folder)

    def publish(self, steps: dict[str, Step]):
        taken = snapshot.take(Pipeline(name="bench", steps=steps), self.folder, self.folder / "archives")
        return hooks.penstock_publish_pipeline(self.target, taken, hooks.penstock_compile_pipeline(self.target, taken))

    def run(self, publication):
        """The report of a run, and the seconds from before its submit to its end."""
        run = RunRef(id=str(uuid.uuid4()), publication=publication)
        before = time.time()
        hooks.penstock_submit_run(self.target, RunRequest(id=run.id, publication=publication, pipeline="bench"))
        while (report := hooks.penstock_get_run(self.target, run)).state not in ENDED:
            time.sleep(0.02)
        assert report.state == "succeeded"
        return report, report.ended.timestamp() - before

    def engine(self) -> int:
        for entry in Path("/proc").glob("[0-9]*"):
            words = _words(entry)
            if b"penstock_local.engine" in words and any(str(self.folder).encode() in word for word in words):
                return int(entry.name)
        raise AssertionError("no engine is running")


def _words(process: Path) -> list[bytes]:
    try:
        return (process / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return []


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    made.run(made.publish({"warm": Step(command="/bin/true")}))
    yield made
    os.kill(made.engine(), signal.SIGTERM)


def chain(count: int) -> dict[str, tuple[str, ...]]:
    return {f"s{n:04}": (f"s{n - 1:04}",) if n else () for n in range(count)}


def fan(count: int) -> dict[str, tuple[str, ...]]:
    return {f"s{n:04}": () for n in range(count)}


def steps_of(shape: dict[str, tuple[str, ...]]) -> dict[str, Step]:
    return {name: Step(command="/bin/true", after=after) for name, after in shape.items()}


def make_seconds(folder: Path, shape: dict[str, tuple[str, ...]]) -> float:
    rules = "".join(f"{name}: {' '.join(after)}\n\t@/bin/true\n" for name, after in shape.items())
    (folder / "Makefile").write_text(f"all: {' '.join(shape)}\n.PHONY: all {' '.join(shape)}\n{rules}")
    before = time.perf_counter()
    subprocess.run(["make", "-j2", "--silent"], cwd=folder, check=True)
    return time.perf_counter() - before


@pytest.mark.skipif(not shutil.which("make"), reason="the floor is `make -j2`, and make is not installed")
@pytest.mark.parametrize(("shape", "most"), [(chain, 2.5), (fan, 3.0)])
def test_a_hundred_steps_take_few_times_what_make_takes(bench, shape, most):
    drawn = shape(STEPS)
    publication = bench.publish(steps_of(drawn))
    # In turns, so that both see the same machine.
    rounds = [(bench.run(publication)[1], make_seconds(bench.folder, drawn)) for _ in range(ROUNDS)]
    # The best of each: whatever else the machine does only adds to either.
    mine, make = (min(times) / STEPS * 1000 for times in zip(*rounds, strict=True))
    print(f"\n{shape.__name__}: {mine / make:.2f} times make ({mine:.2f} and {make:.2f} ms a step)")
    assert mine / make <= most


def test_a_step_starts_soon_after_its_run_was_submitted(bench):
    publication = bench.publish({"one": Step(command="/bin/true")})
    waits = []
    for _ in range(20):
        before = time.time()
        report, _ = bench.run(publication)
        waits.append((report.started.timestamp() - before) * 1000)
    print(f"\nfrom submit to the first step on a warm engine: {statistics.median(waits):.1f} ms")
    assert min(waits) < 100


def test_the_idle_engine_is_small(bench):
    status = Path(f"/proc/{bench.engine()}/status").read_text()
    megabytes = int(status.partition("VmRSS:")[2].split()[0]) / 1024
    print(f"\nidle engine: {megabytes:.1f} MB")
    assert megabytes < 60


@pytest.mark.parametrize("shape", [chain, fan])
def test_a_long_run_does_not_slow_down(bench, shape):
    report, _ = bench.run(bench.publish(steps_of(shape(1000))))
    ends = sorted(step.ended.timestamp() for step in report.steps)
    gaps = [after - before for before, after in itertools.pairwise(ends)]
    first, last = statistics.median(gaps[:200]), statistics.median(gaps[-200:])
    print(f"\n{shape.__name__} of 1,000: a step among the last 200 took {last / first:.2f} times one of the first 200")
    assert last / first < 1.5
