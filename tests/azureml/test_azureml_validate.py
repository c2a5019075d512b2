"""What Azure ML cannot do is told at publish, each problem with its place."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.snapshot import take
from penstock.spec import Parameter, Pipeline, Resources, Step
from penstock_azureml.compile import compile_pipeline
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.validate import measured, problems

OPTIONS = AzuremlOptions(subscription="5e6f2a1c-0000-4000-8000-000000000001", resource_group="ml", workspace="prod")


def found(options=OPTIONS, parameters=None, **more):
    pipeline = Pipeline(name="one", parameters=parameters or {}, steps={"one": Step(command=["true"], **more)})
    return [(one.severity, one.code, one.path[-1]) for one in problems(options, pipeline)]


@pytest.mark.parametrize(
    ("asked", "code"), [({"cpu": 2}, "cpu_ignored"), ({"memory": "4Gi"}, "memory_ignored"), ({"gpu": 1}, "gpu_ignored")]
)
def test_machines_are_the_compute_s(asked, code):
    resources = Resources(**asked)
    assert found(resources=resources) == [("warning", code, next(iter(asked)))]
    assert found(evolve(OPTIONS, strict=True), resources=resources) == [("error", code, next(iter(asked)))]


@pytest.mark.parametrize("image", ["${{inputs.x}}", "a b", "-x"])
def test_an_image_that_is_none_is_refused(image):
    assert found(image=image) == [("error", "image_refused", "image")]


@pytest.mark.parametrize("name", ["a#b.csv", "${{x}}.csv", "$[[x]].csv"])
def test_a_name_that_no_command_can_say_is_refused(name):
    assert found(parameters={"a": Parameter("file", default=f"./{name}")}) == [("error", "name_refused", "default")]


def test_where_content_cannot_be_read_is_told():
    for text in ("gs://a/b", "s3://a/b"):
        assert found(parameters={"a": Parameter("file", default=text)}) == [
            ("error", "location_unsupported", "default")
        ]
    assert found(parameters={"a": Parameter("file", default="azureml://datastores/a/paths/b")}) == []


def test_a_command_that_is_too_long_is_refused():
    pipeline = Pipeline(name="one", steps={"one": Step(command=["x" * 60_000])})
    assert [one.code for one in problems(OPTIONS, pipeline)] == ["size_refused"]


@given(
    code=st.booleans(),
    keys=st.sets(st.sampled_from(["a", "A", "1", "max-depth", "plain"])),
    data=st.sampled_from([None, "./sheet.csv", "./folder"]),
)
@example(code=True, keys={"A", "a", "1"}, data="./sheet.csv")
def test_a_command_is_never_longer_than_what_was_measured(code, keys, data):
    """Archives and renamed inputs count, too."""
    words = [f"${{{{ parameters.{key} }}}}" for key in sorted(keys)]
    parameters = {key: Parameter("string") for key in keys}
    inputs = {}
    if data:
        parameters["data"] = Parameter("file" if "." in data[1:] else "directory", default=data)
        inputs, words = {"In": "${{ parameters.data }}"}, [*words, "${{ inputs.In }}"]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "src").mkdir()
        (Path(folder) / "folder").mkdir()
        (Path(folder) / "sheet.csv").touch()
        step = Step(command=["true", *words], inputs=inputs, code="./src" if code else None)
        pipeline = Pipeline(name="one", parameters=parameters, steps={"one": step})
        document = json.loads(compile_pipeline(OPTIONS, take(pipeline, Path(folder), Path(folder) / "store")))
    command = next(about["componentSpec"]["command"] for _, about in document["resources"] if "componentSpec" in about)
    assert len(command) <= measured(pipeline, "one") <= len(command) + 200


def test_a_name_that_is_too_long_is_refused():
    pipeline = Pipeline(name="one", steps={"s" * 250: Step(command=["true"])})
    assert [one.code for one in problems(OPTIONS, pipeline)] == ["name_refused"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (no such file or directory)"),
        (b"garbage: [\n", ":2:1 is no YAML"),
        (b"just text\n", "is no conda file: it has a list of `dependencies`"),
        (b"dependencies: numpy\n", "is no conda file"),
        ("name: caf\u00e9\n".encode("latin-1"), "is not in UTF-8"),
        (b"[" * 5_000, "is no YAML"),
    ],
)
def test_a_conda_file_that_is_none_is_told_before_azure_builds_of_it(tmp_path, content, said):
    file = tmp_path / "env.yml"
    if content is not None:
        file.write_bytes(content)
    pipeline = Pipeline(name="one", steps={"only": Step(command=["true"])})
    (problem,) = problems(evolve(OPTIONS, conda=file), pipeline)
    assert problem.code == "image_refused"
    assert problem.message.startswith(f"the option `conda` of the target: `{file}`") and said in problem.message


def test_a_conda_file_that_is_one_is_taken(tmp_path):
    file = tmp_path / "env.yml"
    file.write_text("name: x\nchannels: [conda-forge]\ndependencies: [python=3.12, {pip: [numpy]}]\n")
    assert found(evolve(OPTIONS, conda=file)) == []


@pytest.mark.parametrize("image", ["", "not an image !", "${{inputs.x}}", "a b", "x\ny"])
def test_an_image_of_a_target_that_is_none_is_refused(image):
    with pytest.raises(ValueError, match=r"is no image: write it like `python:3\.12-slim`"):
        evolve(OPTIONS, image=image)
