"""YAML -> Python -> YAML is the identity on canonical form, whatever the text in it."""

import json

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.codec import canonical, canonical_json, checked, from_canonical, parse_pipeline, pipeline_of, to_yaml
from penstock.spec import Parameter, Pipeline, Step
from penstock.testing.strategies import pipelines


@settings(max_examples=11, deadline=None)
@given(pipelines())
def test_a_pipeline_comes_back_from_its_yaml(pipeline):
    assert parse_pipeline(to_yaml(pipeline)) == pipeline


@settings(max_examples=10, deadline=None)
@given(pipelines())
def test_canonical_form_is_a_fixed_point(pipeline):
    form = canonical_json(pipeline)
    assert canonical_json(parse_pipeline(to_yaml(pipeline))) == form
    assert canonical_json(parse_pipeline(form)) == form
    assert canonical_json(pipeline_of(json.loads(form))) == form
    assert canonical_json(checked(pipeline)) == form


@settings(max_examples=10, deadline=None)
@given(pipelines())
def test_the_quick_way_back_is_the_checked_way_back(pipeline):
    form = canonical_json(pipeline)
    assert from_canonical(form) == parse_pipeline(form)


@settings(max_examples=11, deadline=None)
@given(pipelines(), st.randoms(use_true_random=False), st.sampled_from([True, False, None]), st.sampled_from("\"'"))
def test_style_and_order_do_not_count(pipeline, random, flow, quote):
    def shuffled(data):
        if isinstance(data, dict):
            items = [(key, shuffled(value)) for key, value in data.items()]
            random.shuffle(items)
            return dict(items)
        return [shuffled(item) for item in data] if isinstance(data, list) else data

    data = shuffled(canonical(pipeline))
    plain = json.dumps(data, indent=random.choice([None, 1]))
    assert canonical_json(parse_pipeline(plain)) == canonical_json(pipeline)
    # PyYAML writes YAML 1.1, where other plain words are text; quoting all text is the same in both.
    quoted = yaml.dump(data, Dumper=_quoting(quote), default_flow_style=flow, sort_keys=False)
    assert canonical_json(parse_pipeline("# a comment\n" + quoted)) == canonical_json(pipeline)


def _quoting(quote):
    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data):
            return True

    tag = "tag:yaml.org,2002:str"
    Dumper.add_representer(str, lambda dumper, text: dumper.represent_scalar(tag, text, style=quote))
    return Dumper


def test_defaults_are_left_out_and_short_forms_are_used():
    text = """
apiVersion: penstock/v1
kind: Pipeline
name: a
description: ""
parameters: {}
defaults: {env: {}}
steps:
  s:
    command: run 'a b'
    outputs: {x: {type: file}, y: {type: number, description: why}}
    resources: {memory: 4294967296, cpu: 2.0}
    retry: {attempts: 1, delay: 7200}
    timeout: 90000ms
    after: []
"""
    assert canonical(parse_pipeline(text)) == {
        "apiVersion": "penstock/v1",
        "kind": "Pipeline",
        "name": "a",
        "steps": {
            "s": {
                "command": ["run", "a b"],
                "outputs": {"x": "file", "y": {"type": "number", "description": "why"}},
                "resources": {"memory": "4Gi", "cpu": 2},
                "retry": {"delay": "2h"},
                "timeout": "90s",
            }
        },
    }


def test_whole_numbers_and_floats_of_a_number_parameter_are_one_form():
    def form(**limits):
        return canonical_json(Pipeline(name="a", parameters={"x": Parameter(**limits)}, steps={"s": Step(command="r")}))

    assert form(type="number", default=1, minimum=0, enum=[1, 2]) == form(
        type="number", default=1.0, minimum=0.0, enum=(1.0, 2.0)
    )
    assert form(type="integer", default=1, maximum=3.0) == form(type="integer", default=1, maximum=3)
    assert form(type="integer", default=1) != form(type="integer", default=2)


def test_yaml_is_written_for_people():
    pipeline = Pipeline(
        name="a",
        description="first\nsecond\n",
        steps={"s": Step(command=["run", "yes", "1", "true", "~", "1e3", "0o7"], env={"A": "0"})},
    )
    assert to_yaml(pipeline) == (
        "apiVersion: penstock/v1\nkind: Pipeline\nname: a\ndescription: |\n  first\n  second\nsteps:\n  s:\n"
        "    command: [run, yes, '1', 'true', '~', '1e3', '0o7']\n    env: {A: '0'}\n"
    )
