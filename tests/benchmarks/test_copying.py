"""What many small files and a large default cost others: the engine hears as when it is idle, a disk has one copy.

Run with `pytest -m benchmark tests/benchmarks/test_copying.py -s` to see the numbers.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path
from statistics import median

import pytest

from penstock import snapshot
from penstock.contract.run import ENDED, BoundParameters, RunRef, RunRequest
from penstock.contract.target import Target
from penstock.spec import Parameter, Pipeline, Step
from penstock_local import hooks
from penstock_local.layout import Layout
from penstock_local.options import LocalOptions

pytestmark = pytest.mark.benchmark

FILES = 20_000
LARGE = 100_000_000
RUNS = 10


class Bench:
    """A local target with its engine up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.target = Target(
            name="bench", backend="local", options=LocalOptions(slots=4, idle="1m", grace=0.1), home=folder / "home"
        )

    def publish(self, steps, **more):
        taken = snapshot.take(
            Pipeline(name="bench", steps=steps, **more), self.folder, self.folder / "home" / "archives"
        )
        return hooks.penstock_publish_pipeline(self.target, taken, hooks.penstock_compile_pipeline(self.target, taken))

    def start(self, publication, **bundled):
        run = RunRef(id=str(uuid.uuid4()), publication=publication)
        parameters = BoundParameters(bundled=bundled)
        request = RunRequest(id=run.id, publication=publication, pipeline="bench", parameters=parameters)
        hooks.penstock_submit_run(self.target, request)
        return run

    def get(self, run):
        return hooks.penstock_get_run(self.target, run)

    def wait(self, run):
        while (report := self.get(run)).state not in ENDED:
            time.sleep(0.02)
        return report


@pytest.fixture
def bench(tmp_path):
    made = Bench(tmp_path)
    yield made
    lock = Layout.of(made.target).lock
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if link.readlink() == lock and "penstock_local" in (link.parents[1] / "cmdline").read_text():
                os.kill(int(link.parts[2]), signal.SIGTERM)
        except OSError:
            continue


def test_timeouts_cancels_and_ends_are_heard_while_thousands_of_files_are_unpacked_copied_and_removed(bench):
    for number in range(FILES):
        path = bench.folder / f"src/p{number // 100}/f{number}.js"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x" * 400)
    big = bench.publish({name: Step(command="true", code="./src") for name in ("a", "b", "c")})
    late = bench.publish({"one": Step(command="sleep 60", timeout=0.2)})
    asleep = bench.publish({"one": Step(command="sleep 60")})
    quick = bench.publish({"one": Step(command="true"), "two": Step(command="true", after=("one",))})

    def heard() -> tuple[float, float, float]:
        """Seconds until a timeout is over, a cancel is, and two steps are that do nothing."""
        report = bench.wait(bench.start(late))
        assert report.error.code == "step_timeout"
        told = bench.start(asleep)
        while bench.get(told).state != "running":
            time.sleep(0.005)
        begin = time.time()
        hooks.penstock_cancel_run(bench.target, told)
        canceled = bench.wait(told).ended.timestamp() - begin
        two = bench.wait(bench.start(quick))
        return (
            (report.ended - report.started).total_seconds() - 0.2,
            canceled,
            (two.ended - two.started).total_seconds(),
        )

    idle = [heard() for _ in range(5)]
    busy = []
    while True:
        run = bench.start(big)
        while (state := bench.get(run).state) not in ENDED:
            busy.append(heard())
        assert state == "succeeded"
        if len(busy) >= 5:
            break
    for at, what in enumerate(("timeout", "cancel", "two steps")):
        calm, full = (sorted(times[at] * 1000 for times in found) for found in (idle, busy))
        print(f"\n{what}: idle {median(calm):.0f} to {calm[-1]:.0f} ms, busy {median(full):.0f} to {full[-1]:.0f} ms")
        assert median(full) / median(calm) < 4


def test_ten_runs_with_a_large_default_cost_it_once(bench):
    (bench.folder / "data.bin").write_bytes(os.urandom(LARGE))
    step = Step(command=["wc", "-c", "${{ inputs.data }}"], inputs={"data": "${{ parameters.data }}"})
    publication = bench.publish({"one": step}, parameters={"data": Parameter("file", default="./data.bin")})
    before = size_of(bench.folder)
    for _ in range(RUNS):
        assert bench.wait(bench.start(publication, data="./data.bin")).state == "succeeded"
    while list(Layout.of(bench.target).runs.glob("*/inputs/*")):  # copies of attempts, where modes hold for nobody
        time.sleep(0.02)
    cost = (size_of(bench.folder) - before) / LARGE
    print(f"\n{RUNS} runs cost {cost:.2f} times their default")
    assert cost < 1.2


def size_of(folder: Path) -> int:
    """Bytes on disk, those of one file once."""
    found = {path.lstat().st_ino: path.lstat().st_blocks * 512 for path in folder.rglob("*")}
    return sum(found.values())
