"""How long compiling for Vertex takes, and importing what it needs, as ratios to KFP's compiler in the same run."""

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


def ratio(ours: Callable[[], float], floor: Callable[[], float], what: str) -> float:
    """How many times longer than the floor: medians of seconds, taken in turns, after one for the caches."""
    pairs = [(ours(), floor()) for _ in range(ROUNDS + 1)][1:]
    found = statistics.median(pair[0] for pair in pairs) / statistics.median(pair[1] for pair in pairs)
    print(f"{what}: {found:.2f} times the floor")
    return found


def seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


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
    assert ratio(lambda: seconds(ours), lambda: seconds(theirs), f"compiling {STEPS} steps") <= 2


IMPORT = "import time; {before}; begin = time.perf_counter(); {what}; print(time.perf_counter() - begin)"
CORE = "import penstock.snapshot, penstock.contract.target"
NEEDED = "import penstock_vertex.compile, google.protobuf.json_format; penstock_vertex.compile.messages()"


def importing_takes(what: str, before: str = "pass") -> float:
    """The seconds that an import takes in a new process, which has imported something before."""
    code = IMPORT.format(before=before, what=what)
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def test_importing_what_compiling_needs_takes_a_fifth_of_kfp_s_compiler():
    pytest.importorskip("kfp", reason="needs requirements-cloud.lock")
    # Whoever asks a backend to compile has the pipeline's own classes already.
    ours, floor = lambda: importing_takes(NEEDED, CORE), lambda: importing_takes("import kfp.compiler")
    assert ratio(ours, floor, "importing what compiling needs") <= 0.2
