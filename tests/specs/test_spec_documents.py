"""Every example document is valid, canonical when read and written, and known to editors by its modeline."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from penstock import codec
from penstock.config import load_config
from penstock.workspace import Workspace

SPECS = Path(__file__).parents[2] / "specs"
DOCUMENTS = sorted(
    file for file in SPECS.rglob("*") if file.suffix in (".yaml", ".yml") and file.parent.name != "schema"
)
PIPELINES = [file for file in DOCUMENTS if file.name != "penstock.yaml"]


def name(file: Path) -> str:
    return str(file.relative_to(SPECS))


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_an_editor_finds_its_schema(file):
    first = file.read_text().splitlines()[0]
    found = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert found, first
    schema = (file.parent / found[1]).resolve()
    assert schema.parent == SPECS / "schema"
    assert schema.is_file()


@pytest.mark.parametrize("file", PIPELINES, ids=name)
def test_a_pipeline_is_valid_with_all_that_travels(file, workspace):
    checked = workspace.pipelines.validate(file)
    assert checked.warnings == ()
    assert checked.pipeline == codec.load_pipeline(file)


@pytest.mark.parametrize("file", PIPELINES, ids=name)
def test_yaml_to_python_to_yaml_is_the_identity(file, tmp_path):
    pipeline = codec.load_pipeline(file)
    written = tmp_path / file.name
    written.write_text(codec.to_yaml(pipeline))
    again = codec.load_pipeline(written)
    assert again == pipeline
    assert codec.canonical(again) == codec.canonical(pipeline)
    assert codec.to_yaml(again) == written.read_text()


@pytest.mark.parametrize("file", [file for file in DOCUMENTS if file not in PIPELINES], ids=name)
def test_a_configuration_is_valid(file, tmp_path):
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes())
    config = load_config(tmp_path, env={})
    assert config.file == copy
    with Workspace.open(tmp_path, env={}) as workspace:
        assert [target.problem for target in workspace.targets.list()] == [None]


def test_the_two_versions_of_digits_differ_in_one_default():
    first, second = (codec.load_pipeline(SPECS / "digits" / file) for file in ("pipeline.yaml", "pipeline-v2.yaml"))
    assert (first.name, first.steps, first.outputs) == (second.name, second.steps, second.outputs)
    differing = [key for key in first.parameters if first.parameters[key] != second.parameters[key]]
    assert differing == ["estimator"]
    defaults = [pipeline.parameters["estimator"].default for pipeline in (first, second)]
    assert defaults == ["tree", "forest"]
