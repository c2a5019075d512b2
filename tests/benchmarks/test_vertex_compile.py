"""How long compiling for Vertex takes, and importing what it needs, as ratios to KFP's compiler in the same run."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from penstock.snapshot import Snapshot
from penstock.spec import Parameter, Pipeline, Step

pytestmark = [pytest.mark.benchmark, pytest.mark.filterwarnings("ignore")]

ROUNDS = 15
STEPS = 12


def ratio(ours: Callable[[], object], floor: Callable[[], object], what: str) -> float:
    """How many times longer than the floor: medians of calls that take turns, after one for the caches."""
    taken: dict[str, list[float]] = {"ours": [], "floor": []}
    for turn in range(ROUNDS + 1):
        for name, call in (("floor", floor), ("ours", ours)):
            begin = time.perf_counter()
            call()
            if turn:
                taken[name].append(time.perf_counter() - begin)
    found = statistics.median(taken["ours"]) / statistics.median(taken["floor"])
    print(f"{what}: {found:.2f} times the floor")
    return found


def test_compiling_takes_at_most_twice_what_kfp_takes(tmp_path):
    pytest.importorskip("kfp", reason="needs requirements-cloud.lock")
    from kfp import compiler, dsl

    from penstock_vertex.compile import compile_pipeline
    from penstock_vertex.options import VertexOptions

    @dsl.container_component
    def count(before: str, after: dsl.OutputPath(str), table: dsl.Output[dsl.Artifact]):
        return dsl.ContainerSpec(
            image="python:3.12-slim", command=["python", "count.py"], args=["--before", before, after, table.path]
        )

    def theirs() -> None:
        @dsl.pipeline(name="chain")
        def chain(start: str = "0") -> None:
            before = start
            for _ in range(STEPS):
                before = count(before=before).outputs["after"]

        compiler.Compiler().compile(chain, str(tmp_path / "chain.json"))

    def ours() -> bytes:
        steps = {}
        for number in range(STEPS):
            before = f"${{{{ steps.s{number - 1}.outputs.after }}}}" if number else "${{ parameters.start }}"
            steps[f"s{number}"] = Step(
                inputs={"before": before},
                command=[
                    "python",
                    "count.py",
                    "--before",
                    "${{ inputs.before }}",
                    "${{ outputs.after }}",
                    "${{ outputs.table }}",
                ],
                outputs={"after": "string", "table": "file"},
            )
        pipeline = Pipeline(name="chain", parameters={"start": Parameter("string", default="0")}, steps=steps)
        return compile_pipeline(options, Snapshot(pipeline=pipeline, archives={}, digest="", canonical=""))

    options = VertexOptions(project="acme", staging="gs://acme-staging")
    assert ratio(ours, theirs, f"compiling {STEPS} steps") <= 2


def test_importing_what_compiling_needs_takes_a_fifth_of_kfp_s_compiler(tmp_path):
    pytest.importorskip("kfp", reason="needs requirements-cloud.lock")
    needed = "import penstock_vertex.compile, penstock_vertex.ir as ir, google.protobuf.json_format; ir.messages()"
    found = ratio(
        lambda: subprocess.run([sys.executable, "-c", needed], cwd=tmp_path, check=True),
        lambda: subprocess.run([sys.executable, "-c", "import kfp.compiler"], cwd=tmp_path, check=True),
        "importing what compiling needs",
    )
    assert found <= 0.2
