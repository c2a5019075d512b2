"""Pipelines out of files and texts: the header, and everything that is wrong in one answer."""

import pytest

from penstock.codec import checked, load_document, load_pipeline, parse_pipeline, pipeline_in, pipeline_of
from penstock.errors import SpecInvalid
from penstock.spec import Output, Parameter, Pipeline, Resources, Retry, Step

DIGITS = """\
apiVersion: penstock/v1
kind: Pipeline
name: digits
description: Train and score a digit classifier.
parameters:
  max_depth: {type: integer, default: 8, minimum: 1, maximum: 64, description: Depth of each tree}
  images: {type: file, default: ./data/digits.csv}
defaults: {code: ./src, image: "python:3.12-slim"}
steps:
  prepare:
    inputs: {images: "${{ parameters.images }}"}
    command: python prepare.py --in ${{ inputs.images }} --out ${{ outputs.table }}
    outputs: {table: file}
  train:
    inputs: {table: "${{ steps.prepare.outputs.table }}"}
    command: [python, train.py, "${{ inputs.table }}", "${{ parameters.max_depth }}", "${{ outputs.accuracy }}"]
    outputs: {model: directory, accuracy: number}
    env: {PYTHONHASHSEED: "0"}
    resources: {cpu: 2, memory: 4Gi}
    retry: {attempts: 3, delay: 10s}
    timeout: 2h
outputs:
  accuracy: "${{ steps.train.outputs.accuracy }}"
"""


def refused(text, source="f.yaml"):
    with pytest.raises(SpecInvalid) as caught:
        parse_pipeline(text, source)
    return caught.value


def test_a_document_and_python_say_the_same():
    pipeline = parse_pipeline(DIGITS)
    assert pipeline.parameters["max_depth"] == Parameter(
        "integer", default=8, minimum=1, maximum=64, description="Depth of each tree"
    )
    assert pipeline.steps["prepare"] == Step(
        inputs={"images": "${{ parameters.images }}"},
        command=("python", "prepare.py", "--in", "${{ inputs.images }}", "--out", "${{ outputs.table }}"),
        outputs={"table": Output("file")},
    )
    train = pipeline.effective("train")
    assert train.resources == Resources(cpu=2, memory=2**32)
    assert train.retry == Retry(attempts=3, delay=10)
    assert (train.timeout, train.code, train.image) == (7200, "./src", "python:3.12-slim")


def test_all_problems_come_at_once_in_the_order_of_the_file():
    error = refused("""\
apiVersion: penstock/v2
kind: Pipeline
parameters:
  depth: {type: integr, default: 8}
  images: {type: file, minimum: 3}
  b ad: {type: string, default: x, maxLength: 0}
steps:
  prepare:
    inputs: {images: "${{ parameters.image }}", q: "${{ steps.train.outputs.modl }}"}
    command: python ${{ parameters.images }} ${{ outputs.tabl }} ${{ parameters.depth }}
    outputs: {table: file}
  train:
    cmd: x
    inputs: {table: "${{ steps.prepare.outputs.table }}"}
    outputs: {model: directory}
    timeout: soon
outputs:
  accuracy: "${{ steps.train.outputs.acc }}"
""")
    assert error.message == "f.yaml: 15 problems"
    assert str(error) == f"f.yaml: 15 problems: {'; '.join(map(str, error.details[:3]))}; and 12 more"
    assert [(detail.where.removeprefix("f.yaml:"), detail.code) for detail in error.details] == [
        ("1:1", "missing_key"),
        ("1:13", "api_version_unknown"),
        ("4:17", "type_mismatch"),
        ("5:24", "limit_not_applicable"),
        ("6:3", "key_invalid"),
        ("6:33", "parameter_range"),
        ("8:3", "cycle"),
        ("9:22", "reference_unknown"),
        ("9:52", "reference_unknown"),
        ("10:14", "artifact_in_command"),
        ("10:14", "reference_unknown"),
        ("12:3", "missing_key"),
        ("13:5", "unknown_key"),
        ("16:14", "value_invalid"),
        ("18:13", "reference_unknown"),
    ]
    assert error.code == "spec_invalid"


def test_what_could_not_be_read_is_not_called_missing():
    error = refused(
        DIGITS.replace("{table: file}", "{table: fil}").replace("images: {type: file,", "images: {type: f,")
    )
    assert {detail.path for detail in error.details} == {
        ("parameters", "images", "type"),
        ("steps", "prepare", "outputs", "table", "type"),
    }
    error = refused(DIGITS.replace("  train:\n", "  train: 3\n  trail:\n"))
    assert {detail.path for detail in error.details} == {("steps", "train")}


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("kind: Pipline\napiVersion: penstock/v1\nwhat: ever\n", {"kind_unknown"}),
        ("kind: 3\napiVersion: penstock/v1\n", {"kind_unknown"}),
        ("kind: Pipeline\napiVersion: v1\nname: a\nsteps: {s: {command: r}}\n", {"api_version_unknown"}),
        ("- a\n", {"type_mismatch"}),
        ("a\n", {"type_mismatch"}),
        ("{}\n", {"missing_key"}),
        ("apiVersion: penstock/v1\nkind: Pipeline\nname: a\nsteps: {}\n", {"steps_missing"}),
        ("apiVersion: penstock/v1\nkind: Pipeline\nname: a\nsteps: []\n", {"type_mismatch"}),
        ("apiVersion: penstock/v1\nkind: Pipeline\nname: 3\nsteps: {s: 3}\n", {"type_mismatch"}),
    ],
)
def test_headers_and_outlines(text, codes):
    error = refused(text)
    assert {detail.code for detail in error.details} == codes
    assert all(detail.where.startswith("f.yaml:") for detail in error.details)


def test_a_misspelt_kind_gets_a_hint():
    assert "did you mean `Pipeline`?" in str(refused("kind: Pipline\napiVersion: penstock/v1\n"))


def test_files(tmp_path):
    file = tmp_path / "digits.yaml"
    file.write_text(DIGITS)
    assert load_pipeline(file) == parse_pipeline(DIGITS) == pipeline_in(load_document(file))
    file.write_bytes(b"\xef\xbb\xbf" + DIGITS.encode())
    assert load_pipeline(file) == parse_pipeline(DIGITS)
    file.write_text(DIGITS.replace("name:", "nme:"))
    with pytest.raises(SpecInvalid) as caught:
        load_pipeline(file)
    assert {detail.where for detail in caught.value.details} == {f"{file}:1:1", f"{file}:3:1"}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (None, "file_not_found"),
        (b"name: \xff\n", "document_not_utf8"),
        ("name: digits".encode("utf-16"), "document_not_utf8"),
        (b"\n" * 1_000_001, "document_too_large"),
        ("é".encode() * 500_001, "document_too_large"),
        (b"a" + "é".encode() * 500_001, "document_too_large"),
        (b"\xef\xbb\xbf" + b"\n" * 1_000_001, "document_too_large"),
        (b"", "document_empty"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, code):
    file = tmp_path / "digits.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SpecInvalid) as caught:
        load_pipeline(file)
    assert caught.value.code == code
    assert str(file) in str(caught.value)


def test_a_folder_is_no_document(tmp_path):
    with pytest.raises(SpecInvalid) as caught:
        load_pipeline(tmp_path)
    assert caught.value.code == "file_not_found"


def test_plain_data_is_a_document_too():
    data = {"apiVersion": "penstock/v1", "kind": "Pipeline", "name": "a", "steps": {1: {"command": ["r"]}}}
    assert pipeline_of(data) == Pipeline(name="a", steps={"1": Step(command="r")})
    with pytest.raises(SpecInvalid):
        pipeline_of([])


@pytest.mark.parametrize(
    "pipeline",
    [
        Pipeline(name=3, steps={"s": Step(command="r")}),
        Pipeline(name="a", steps={"s": "r"}),
        Pipeline(name="a", steps={"s": Step(command=("r", 3))}),
        Pipeline(name="a", steps={"s": Step(command="r", outputs={"x": 3})}),
        Pipeline(name="a", steps={"s": Step(command="r", env={"A": 0})}),
        Pipeline(name="a", steps={"s": Step(command="r")}, parameters={"p": Parameter("strin")}),
        Pipeline(name="a", steps={"s": Step(command="r")}, parameters={"p": Parameter("integer", default="1")}),
        Pipeline(name="a", steps={"s": Step(command="r")}, parameters={"p": Parameter("integer", minimum="1")}),
        Pipeline(name="a", steps={"s": Step(command="r", retry=Retry(attempts="3"))}),
        Pipeline(name="a", steps={"s": Step(command="r", after=[object()])}),
        Pipeline(name="a", steps={"s": Step(command="r")}, description="\ud800"),
    ],
)
def test_pipelines_made_in_python_are_held_to_the_same_rules(pipeline):
    with pytest.raises(SpecInvalid):
        checked(pipeline)


@pytest.mark.parametrize("wrong", ["strin", ["string"], 3])
def test_a_type_that_is_none_is_told_of_a_pipeline_made_in_python_too(wrong):
    pipeline = Pipeline(name="a", parameters={"x": Parameter(wrong, default="b")}, steps={"s": Step(command="run")})
    with pytest.raises(SpecInvalid, match=r"\$\.parameters\.x\.type: expected one of `string`"):
        checked(pipeline)


def test_types_by_their_names_elsewhere_are_hinted():
    text = "apiVersion: penstock/v1\nkind: Pipeline\nname: x\nsteps: {a: {command: [b]}}\nparameters:\n"
    text += "  a: {type: float}\n  b: string\n  c: Dict\n  d: {type: bool}\n  e: int\n"
    with pytest.raises(SpecInvalid) as refused:
        parse_pipeline(text)
    assert [one.hint for one in refused.value.details] == [
        "write `number`", "write `{type: string}`", "", "write `boolean`", "write `{type: integer}`",
    ]  # fmt: skip
