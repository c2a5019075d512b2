"""The JSON Schema says what the codec says, and the file in specs/ is what the types say today."""

import json
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from penstock.codec import KINDS, canonical, pipeline_of, schema, schema_of
from penstock.errors import SpecInvalid, UsageError
from penstock.spec import API_VERSION, Pipeline
from penstock.testing.strategies import keys, pipelines

VALIDATOR = Draft202012Validator(schema("Pipeline"))
SPECS = Path(__file__).parents[2] / "specs"


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema("Pipeline"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_in_specs_is_fresh(kind):
    file = SPECS / "schema" / f"{kind.lower()}.schema.json"
    hint = f"run `penstock schema {kind} > {file.relative_to(SPECS.parent)}`"
    assert json.loads(file.read_text()) == schema(kind), hint


@settings(max_examples=10, deadline=None)
@given(pipelines())
def test_it_takes_every_pipeline(pipeline):
    VALIDATOR.validate(canonical(pipeline))


def _objects(data):
    """Every object of a document that an attrs class stands for, so that it has no free keys."""
    yield data
    for section in ("parameters", "steps"):
        yield from data.get(section, {}).values()
    for step in data["steps"].values():
        yield from (output for output in step.get("outputs", {}).values() if isinstance(output, dict))
        yield from (step[key] for key in ("resources", "retry") if key in step)
    yield from (data[key] for key in ("defaults",) if key in data)


@settings(max_examples=10, deadline=None)
@given(pipelines(), keys(), st.data())
def test_it_refuses_unknown_keys_where_the_codec_does(pipeline, key, data):
    document = canonical(pipeline)
    holder = data.draw(st.sampled_from(list(_objects(document))))
    holder[f"x-{key}"] = 1
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(SpecInvalid):
        pipeline_of(document)


@pytest.mark.parametrize(
    ("change", "valid"),
    [
        ({"command": "run a"}, True),
        ({"command": ["run"], "outputs": {"x": {"type": "file"}, "y": "list"}}, True),
        ({"command": ["run"], "timeout": 3}, True),
        ({"command": ["run"], "timeout": "3s", "resources": {"memory": 5, "cpu": 0.5}}, True),
        ({"command": ["run"], "resources": {"memory": "5Gi", "gpu": None}, "retry": None, "image": None}, True),
        ({"command": ["run", 3]}, False),
        ({"command": 3}, False),
        ({}, False),
        ({"command": "r", "outputs": {"x": "fil"}}, False),
        ({"command": "r", "env": {"A": 0}}, False),
        ({"command": "r", "after": "other"}, False),
        ({"command": "r", "timeout": []}, False),
        ({"command": "r", "inputs": None}, False),
    ],
)
def test_it_judges_as_the_codec_judges(change, valid):
    document = {"apiVersion": API_VERSION, "kind": "Pipeline", "name": "a", "steps": {"s": change}}
    assert VALIDATOR.is_valid(document) is valid
    if valid:
        pipeline_of(document)
    else:
        with pytest.raises(SpecInvalid):
            pipeline_of(document)


def test_descriptions_come_from_docstrings():
    defs = schema("Pipeline")["$defs"]
    assert defs["Retry"]["properties"]["delay"]["description"].startswith("`delay` is in seconds")
    assert defs["Step"]["description"].startswith("One process")
    assert defs["Retry"]["properties"]["attempts"]["default"] == 1


def test_every_class_of_ours_has_a_schema():
    @attrs.frozen
    class Options:
        """Options of a backend. `slots` counts processes."""

        from_: str
        slots: int = 2
        root: Path | None = None

    made = schema_of(Options)
    assert made["required"] == ["from"]
    assert made["properties"]["slots"] == {"description": "`slots` counts processes.", "default": 2, "type": "integer"}
    assert made["properties"]["root"] == {"type": ["string", "null"]}
    assert schema_of(Pipeline)["required"] == ["name", "steps"]


def test_an_unknown_kind_lists_the_known():
    with pytest.raises(UsageError, match="did you mean `Pipeline`"):
        schema("Pipelin")
