"""What a trigger adds to the call that makes its job, as a ratio to that call by itself, in the same run."""

import itertools
import json
import statistics
import time
from pathlib import Path

import pytest

from penstock.workspace import Workspace

pytestmark = [pytest.mark.benchmark, pytest.mark.serial, pytest.mark.filterwarnings("ignore")]

ROUNDS = 20
FAR = 0.05
"""Seconds that a call takes there and back at least: a service on another machine has a network before it."""
SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: quick
parameters: {name: {type: string, default: world}}
steps:
  only:
    command: [sh, -c, 'printf "$1" > "$2"', sh, "${{ parameters.name }}", "${{ outputs.text }}"]
    outputs: {text: string}
outputs: {text: "${{ steps.only.outputs.text }}"}
"""


@pytest.fixture
def emulator(importing, tmp_path):
    """An emulator of its own."""
    pytest.importorskip("google.cloud.aiplatform_v1", reason="needs requirements-cloud.lock")
    emulated = importing(Path(__file__).parents[1] / "vertex_emulator" / "emulated.py")
    running = emulated.Emulated(tmp_path / "state")
    yield running
    running.stop()


def test_a_trigger_adds_a_fifth_to_the_call_that_makes_its_job(emulator, tmp_path):
    target = emulator.info["target"]
    (tmp_path / "penstock.yaml").write_text(json.dumps({"target": "prod", "targets": {"prod": target}}))
    (tmp_path / "quick.yaml").write_text(SPEC)
    numbers = itertools.count()

    def bare(body) -> float:
        begin = time.perf_counter()
        client, number = emulator.pipelines, next(numbers)
        client.create_pipeline_job(
            parent=emulator.parent, pipeline_job=body, pipeline_job_id=f"bare-{number}", timeout=30, retry=None
        )
        return time.perf_counter() - begin

    with Workspace.open(tmp_path, env={}, actor="ada") as workspace:
        workspace.publish(tmp_path / "quick.yaml", endpoint="quick")
        run = workspace.submit("quick").wait()
        (made,) = emulator.pipelines.list_pipeline_jobs(parent=emulator.parent)
        written = json.loads(type(made).to_json(made, preserving_proto_field_name=True))
        body = {name: written[name] for name in ("display_name", "pipeline_spec", "labels")}
        body["runtime_config"] = {
            name: written["runtime_config"][name] for name in ("gcs_output_directory", "parameter_values")
        }

        def ours() -> float:
            nonlocal run
            begin = time.perf_counter()
            run = workspace.submit("quick")
            return time.perf_counter() - begin

        found = {}
        for delay in (0.0, FAR):
            emulator.fault()
            emulator.fault(method="PipelineService.CreatePipelineJob", times=0, delay=delay)
            pairs = []
            for _ in range(ROUNDS):
                pairs.append((ours(), bare(body)))
                run.wait()
            medians = [statistics.median(one) for one in zip(*pairs, strict=True)]
            found[delay] = medians[0] / medians[1]
            print(f"a trigger, {delay:g} s away: {found[delay]:.2f} times the call, {medians[1] * 1000:.1f} ms")
    assert found[FAR] <= 1.2
