"""Golden documents: what was compiled once is compiled the same today, and Google's own readers take it.

`python tests/vertex/test_vertex_golden.py` writes them again.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from penstock.codec import load_pipeline
from penstock.snapshot import Snapshot, take
from penstock_vertex.compile import compile_pipeline
from penstock_vertex.names import task_name
from penstock_vertex.options import VertexOptions
from penstock_vertex.validate import problems

SPECS = Path(__file__).parents[2] / "specs"
FOLDER = SPECS / "golden/vertex"
SOURCES = {
    "digits": SPECS / "digits/pipeline.yaml",
    "everything": Path(__file__).with_name("everything") / "pipeline.yaml",
}
OPTIONS = VertexOptions(
    project="acme-pipelines", staging="gs://acme-staging/penstock", cpu=1, accelerator="NVIDIA_TESLA_T4"
)


def snapshot_of(name: str, store: Path) -> Snapshot:
    return take(load_pipeline(SOURCES[name]), SOURCES[name].parent, store)


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_a_golden_document_is_what_is_compiled(name, tmp_path):
    compiled = compile_pipeline(OPTIONS, snapshot_of(name, tmp_path))
    assert json.loads(compiled) == golden(name), "`python tests/vertex/test_vertex_golden.py` writes them again"
    canonical = json.dumps(golden(name), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert compiled == canonical.encode()


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_wrong_with_a_golden_pipeline(name):
    assert list(problems(OPTIONS, load_pipeline(SOURCES[name]))) == []


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SOURCES)
def test_kfp_loads_a_golden_document(name):
    from kfp import components

    spec = golden(name)["spec"]
    loaded = components.load_component_from_text(json.dumps(spec))
    assert json.loads(json.dumps(spec)) == _as_json(loaded.pipeline_spec)
    pipeline = load_pipeline(SOURCES[name])
    assert set(loaded.pipeline_spec.root.dag.tasks) == {task_name(step) for step in pipeline.steps}
    assert set(loaded.component_spec.inputs or {}) == set(pipeline.parameters)
    assert set(loaded.component_spec.outputs or {}) == set(pipeline.outputs)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", SOURCES)
def test_the_high_level_client_takes_a_golden_document(name, tmp_path):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    file = tmp_path / "spec.json"
    file.write_text(json.dumps(golden(name)["spec"]))
    required = {"1": "given"} if name == "everything" else {}
    job = aiplatform.PipelineJob(
        display_name=name,
        template_path=str(file),
        job_id="penstock-1",
        pipeline_root="gs://acme-staging/penstock/runs",
        parameter_values=required,
        project="acme-pipelines",
        location="us-central1",
        credentials=AnonymousCredentials(),
        failure_policy="slow",
    )
    body = job.to_dict()
    assert body["runtimeConfig"].get("parameterValues", {}) == required
    assert body["pipelineSpec"] == golden(name)["spec"]


def _as_json(message: Any) -> Any:
    from google.protobuf import json_format

    return json_format.MessageToDict(message)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        for each in SOURCES:
            document = json.loads(compile_pipeline(OPTIONS, snapshot_of(each, Path(folder))))
            text = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False)
            (FOLDER / f"{each}.json").write_text(f"{text}\n")
