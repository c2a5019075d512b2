"""What is compiled: everything in a component is in its version, and a run of a node is found again by its names."""

from __future__ import annotations

import json

from attrs import evolve
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.contract.run import RunRequest
from penstock.contract.target import Publication
from penstock.snapshot import Snapshot
from penstock.spec import Output, Pipeline, Step
from penstock_azureml.compile import compile_pipeline
from penstock_azureml.jobs import tags
from penstock_azureml.names import component_name, node_name, shown_name
from penstock_azureml.options import AzuremlOptions
from penstock_azureml.reading import by_node

OPTIONS = AzuremlOptions(subscription="5e6f2a1c-0000-4000-8000-000000000001", resource_group="ml", workspace="prod")
KEYS = st.sampled_from(["a", "A", "1", "x_1", "say-it", "say_it", "x_a", "x__a", "X_1"])
NAMED = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["x", "y"]), max_size=3)


def compiled(pipeline):
    return json.loads(compile_pipeline(OPTIONS, Snapshot(pipeline=pipeline, archives={}, digest="", canonical="")))


@given(NAMED, NAMED)
@example({"a": "x"}, {"a": "x", "b": "x"})
@example({"a": "x", "b": "x"}, {"a": "x", "c": "x"})
@example({"a": "x"}, {"a": "y"})
def test_other_outputs_of_a_pipeline_are_another_component(one, other):
    """Also where two outputs are the same output of a step, which Azure is told once."""
    step = Step(command=["true"], outputs={"x": Output("string"), "y": Output("string")})
    found = []
    for outputs in (one, other):
        said = {key: f"${{{{ steps.only.outputs.{made} }}}}" for key, made in outputs.items()}
        found.append(compiled(Pipeline(name="one", steps={"only": step}, outputs=said))["component"])
    assert (found[0] == found[1]) == (one == other)


@given(*[st.text(max_size=400)] * 3, st.text(max_size=256))
@example("x" * 300, "x" * 300, "x" * 300, "x" * 256)
def test_a_job_says_whose_it_is_in_what_arm_takes(pipeline, endpoint, experiment, label):
    publication = Publication(external="azureml:a:b", native=True, details={"digest": "sha256:1"})
    request = RunRequest(
        id="run", publication=publication, pipeline=pipeline, endpoint=endpoint, version="3", experiment=experiment
    )
    found = tags(evolve(OPTIONS, labels={"team": label}), request)
    assert (found["penstock_run"], found["penstock_digest"], found["penstock_version"]) == ("run", "sha256:1", "3")
    assert (found.get("penstock_endpoint", ""), found.get("team", "")) == (endpoint[:256], label)
    assert all(0 < len(text) <= 256 for text in found.values())


@given(st.sets(KEYS, min_size=1), st.sampled_from(["node", "component", "shown"]), st.booleans())
def test_the_run_of_a_node_is_found_by_whatever_azure_calls_it(steps, known, backwards):
    pipeline = Pipeline(name="one", steps={name: Step(command=["true"]) for name in steps})
    document = compiled(pipeline)
    component = dict(document["resources"])[document["component"]]
    children = []
    for name in sorted(steps, reverse=backwards):
        module = {"azureml.moduleName": component_name("one", name), "azureml.nodeid": "4a72cbf2"}
        shown = {"node": node_name(name), "component": "something else", "shown": shown_name(name)}[known]
        children.append({"displayName": shown, "properties": module if known == "component" else {}, "runId": name})
    strangers = [{"displayName": None, "properties": None}, {"displayName": ["a"]}, {}]
    found = by_node(component, [*strangers, *children])
    assert {node: child["runId"] for node, child in found.items()} == {node_name(name): name for name in steps}
