"""Golden documents: what was compiled once is compiled the same today, and Microsoft's own reader takes it.

`python tests/azureml/test_azureml_golden.py` writes them again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from penstock.codec import load_pipeline
from penstock.snapshot import Snapshot, take
from penstock_azureml.compile import compile_pipeline
from penstock_azureml.names import own_name
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.validate import problems

SPECS = Path(__file__).parents[2] / "specs"
FOLDER = SPECS / "golden/azureml"
SOURCES = {
    "digits": SPECS / "digits/pipeline.yaml",
    "everything": Path(__file__).with_name("everything") / "pipeline.yaml",
}
OPTIONS = AzuremlOptions(
    subscription="5e6f2a1c-0000-4000-8000-000000000001",
    resource_group="ml",
    workspace="production",
    instance_type="Standard_DS3_v2",
)


def snapshot_of(name: str, store: Path) -> Snapshot:
    return take(load_pipeline(SOURCES[name]), SOURCES[name].parent, store)


def golden(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return found


def component(document: dict[str, Any]) -> dict[str, Any]:
    return dict(dict(document["resources"])[document["component"]]["componentSpec"])


@pytest.mark.parametrize("name", SOURCES)
def test_a_golden_document_is_what_is_compiled(name, tmp_path):
    compiled = compile_pipeline(OPTIONS, snapshot_of(name, tmp_path))
    assert json.loads(compiled) == golden(name), "`python tests/azureml/test_azureml_golden.py` writes them again"
    canonical = json.dumps(golden(name), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert compiled == canonical.encode()


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_wrong_with_a_golden_pipeline(name):
    assert list(problems(OPTIONS, load_pipeline(SOURCES[name]))) == []


@pytest.mark.parametrize("name", SOURCES)
def test_every_resource_comes_after_what_it_refers_to(name):
    document = golden(name)
    seen = set(document["codes"])
    for path, about in document["resources"]:
        spec = about.get("componentSpec", {})
        named = [
            spec.get("code"),
            spec.get("environment"),
            *(job["componentId"] for job in spec.get("jobs", {}).values()),
        ]
        prefix = f"{OPTIONS.path}/"
        assert {one.removeprefix("azureml:").removeprefix(prefix) for one in named if one} <= seen
        seen.add(path)
    assert path == document["component"]


@pytest.mark.parametrize("name", SOURCES)
def test_names_come_back_as_they_were(name):
    pipeline, spec = load_pipeline(SOURCES[name]), component(golden(name))
    assert {own_name(port) for port in spec["inputs"] if port != "penstock_values"} == set(pipeline.parameters)
    assert {own_name(node) for node in spec["jobs"]} == set(pipeline.steps)
    assert {own_name(port) for port in spec["outputs"]} == set(pipeline.outputs)


@pytest.mark.parametrize("name", SOURCES)
def test_microsoft_s_own_client_reads_the_components(name):
    """In a process of its own: it is slow, warns, and changes the process that it is in."""
    read = """
import json, sys
from azure.ai.ml._restclient.arm_ml_service.models import ComponentVersion
from azure.ai.ml.entities import Component
for path, about in json.load(sys.stdin)["resources"]:
    if "componentSpec" in about:
        data = ComponentVersion({"id": "/x/" + path, "name": path, "properties": about})
        found = Component._from_rest_object(data)
        print(found.type, *sorted(found.inputs), "|", *sorted(found.outputs))
        if found.type == "pipeline":
            print(*sorted(found.jobs))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", read],
        input=json.dumps(golden(name)),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    spec = component(golden(name))
    lines = done.stdout.splitlines()
    inputs, outputs = sorted(spec["inputs"]), sorted(spec["outputs"])
    assert lines[-2:] == [" ".join(["pipeline", *inputs, "|", *outputs]), " ".join(sorted(spec["jobs"]))]
    assert len(lines) == len(spec["jobs"]) + 2


def write() -> None:
    for name in SOURCES:
        with tempfile.TemporaryDirectory() as store:
            compiled = json.loads(compile_pipeline(OPTIONS, snapshot_of(name, Path(store))))
        text = json.dumps(compiled, sort_keys=True, indent=1, ensure_ascii=False)
        FOLDER.mkdir(parents=True, exist_ok=True)
        (FOLDER / f"{name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    write()
