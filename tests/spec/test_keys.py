"""What is said beside a key is all there is to say: every other room finds it there."""

import hashlib
import typing

import attrs
import pytest

from penstock.codec import canonical_json, from_canonical, parse_pipeline, schema, to_yaml
from penstock.snapshot.stored import snapshot_digest
from penstock.spec import Defaults, Output, Parameter, Pipeline, Resources, Retry, Step
from penstock.spec.checks import CHECKS
from penstock.spec.keys import attributes, walk
from penstock.spec.quantity import bytes_of, seconds_of


def _classes(type_):
    """Every class of a document, from the annotations."""
    if isinstance(type_, type) and attrs.has(type_):
        inner = {found for hint in typing.get_type_hints(type_).values() for found in _classes(hint)}
        return {type_, *inner}
    return {found for argument in typing.get_args(type_) for found in _classes(argument)}


CLASSES = sorted(_classes(Pipeline), key=lambda cls: cls.__name__)
LIMITS = ("minimum", "maximum", "exclusive_minimum", "exclusive_maximum", "multiple_of")
OF_A_TYPE = {(Parameter, name) for name in ("default", "enum", *LIMITS)}
"""What is written as the parameter's type has it, and is short for nothing."""

RICH = """\
apiVersion: penstock/v1
kind: Pipeline
name: digits
description: "Train and score: é, 日本"
parameters:
  depth: {type: integer, default: 8, minimum: 1, maximum: 64.0, multipleOf: 1, description: Depth of each tree}
  rate: {type: number, default: 1, exclusiveMinimum: 0, exclusiveMaximum: 10, enum: [1, 0.5]}
  kind: {type: string, enum: [tree, forest], minLength: 1, maxLength: 9, pattern: "^[a-z]+$"}
  flag: {type: boolean, default: false}
  names: {type: list, default: [a, {b: 1.0}], minItems: 1, maxItems: 3, uniqueItems: true}
  extra: {type: object, default: {z: 1, a: null}, minProperties: 0, maxProperties: 4}
  images: {type: file, default: ./data/digits.csv}
  folder: {type: directory, default: "gs://bucket/x"}
  1: {type: string}
defaults:
  code: ./src
  image: "python:3.12-slim"
  env: {PYTHONHASHSEED: "0", K: "${{ parameters.kind }}"}
  resources: {cpu: 2.0, memory: 4096Mi, gpu: 1}
  retry: {attempts: 2, delay: 60s}
  timeout: 7200
steps:
  prepare:
    description: Read
    inputs: {images: "${{ parameters.images }}", folder: "${{ parameters.folder }}"}
    command: python prepare.py --in ${{ inputs.images }} --out '${{ outputs.table }} x' $${{
    outputs: {table: file, notes: {type: string, description: What was seen}, more: {type: directory}}
    env: {A: ""}
    timeout: 1.5
  train:
    inputs: {table: "${{ steps.prepare.outputs.table }}"}
    command: [python, train.py, "${{ inputs.table }}", "--depth=${{ parameters.depth }}", "${{ outputs.score }}"]
    outputs: {score: number}
    after: [prepare]
    code: ./other
    image: other
    resources: {cpu: 0.5, memory: 1000}
    retry: {delay: 500ms}
  empty: {command: "true", resources: {}, retry: {attempts: 1}}
outputs: {score: "${{ steps.train.outputs.score }}"}
"""


def test_the_digest_of_what_was_published_once_stays():
    """The digest was typed in from what the code said before its keys stood in a table."""
    form = canonical_json(parse_pipeline(RICH))
    assert hashlib.sha256(form.encode()).hexdigest() == (
        "2e64037bdcfa0325213dfd612c1ac5ef9238c3707378c2bd213b0ae5b1324333"
    )
    assert snapshot_digest(form, {}) == "sha256:dcf53bae2ac364305093c731460040c07c119bdf0df1e95ca60567998f1b8a98"
    assert from_canonical(form) == parse_pipeline(RICH) == parse_pipeline(to_yaml(parse_pipeline(RICH)))


@pytest.mark.parametrize("cls", CLASSES)
def test_quantities_are_written_as_text(cls):
    for field, attribute in zip(attrs.fields(cls), attributes(cls), strict=True):
        converts = field.converter in (seconds_of, bytes_of)
        assert (attribute.about.written is not None) == (converts or (cls, attribute.name) in OF_A_TYPE)


def test_all_that_defaults_say_is_a_key_of_a_step_too():
    own = {attribute.name: attribute for attribute in attributes(Step)}
    hints = typing.get_type_hints(Step)
    for attribute in attributes(Defaults):
        beside = own[attribute.name].about
        assert (attribute.about.filled, attribute.about.bundled) == (beside.filled, beside.bundled)
        assert typing.get_type_hints(Defaults)[attribute.name] == hints[attribute.name]


def test_at_most_one_key_is_the_short_form():
    short = {cls: sum(attribute.about.short for attribute in attributes(cls)) for cls in CLASSES}
    assert short[Output] == max(short.values()) == 1


def test_every_class_of_a_document_is_found_from_the_pipeline():
    pipeline = parse_pipeline(RICH)
    known = {Defaults, Output, Parameter, Pipeline, Resources, Retry, Step}
    assert {type(value) for _, value, _ in walk(pipeline) if attrs.has(type(value))} == known
    assert known | set(CHECKS) <= set(CLASSES)
    assert schema("Pipeline")["$defs"].keys() == {cls.__name__ for cls in CLASSES} - {"Pipeline"}


def test_paths_of_a_walk_are_those_of_the_document():
    found = {path: value for path, value, _ in walk(parse_pipeline(RICH)) if isinstance(value, str)}
    assert found["steps", "train", "outputs", "score", "type"] == "number"
    assert found["defaults", "env", "K"] == "${{ parameters.kind }}"
    assert found["steps", "train", "after", 0] == "prepare"
    assert ("parameters", "images", "default") not in found


@pytest.mark.parametrize("one", attributes(Defaults), ids=lambda one: one.name)
def test_what_a_step_does_not_say_is_told_from_what_it_says(one):
    """A default with a value of its own would win over a step that says the same as the default."""
    own = next(each for each in attributes(Step) if each.name == one.name)
    assert [each.default for each in (one, own)] in ([None, None], [{}, {}])
