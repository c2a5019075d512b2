"""Bodies are held to Microsoft's ARM schemas where those are, and to rules of our own always."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def judged(emulator, emulated):
    """The shared emulator, where the schemas are."""
    if not emulated.SCHEMAS.is_dir():
        pytest.skip(f"schemas not here: {emulated.SCHEMAS}")
    return emulator


CASES = [
    ("jobs/x", {"jobType": "Pipeline", "inputs": {"a": {"jobInputType": "literal", "value": ""}}}),
    ("jobs/x", {"jobType": "Pipeline", "inputs": {"a": {"jobInputType": "uri_folder"}}}),
    ("jobs/x", {"jobType": "Pipeline", "inputs": {"a": {"jobInputType": "folder", "uri": "x"}}}),
    ("jobs/x", {"jobType": "Pipeline", "inputs": {"a": {"jobInputType": "literal", "value": "1", "uri": "x"}}}),
    ("jobs/x", {"jobType": "Pipeline", "tags": ["a"]}),
    ("jobs/x", {"jobType": "Pipeline", "isArchived": "perhaps"}),
    ("components/c/versions/1", {"tags": {"a": {"b": "c"}}}),
    ("batchEndpoints/abc", {"authMode": "Password"}),
    ("batchEndpoints/abc", {"defaults": {"deployment": "x"}}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: json.dumps(case[1])[:60])
def test_the_schemas_say_what_is_wrong(judged, case) -> None:
    path, properties = case
    body = {"properties": properties, **({"location": "westeurope"} if path.startswith("batch") else {})}
    answer = judged.arm("PUT", path, body)
    assert answer.error == (400, "UserError")
    assert "Microsoft's schema 2024-01-01-preview: workspaces_" in answer.message


def test_a_version_that_has_no_schema_is_held_to_our_own_rules(judged) -> None:
    body = {"properties": {"jobType": "Pipeline", "inputs": {"a": {"jobInputType": "literal", "value": ""}}}}
    answer = judged.ask("PUT", f"{judged.workspace}/jobs/x?api-version=2099-01-01", body)
    assert answer.status == 400
    assert "schema" not in answer.message


def test_the_golden_bodies_of_the_facts_are_right(judged, emulated) -> None:
    """A component and a job of it, as the SDK writes them."""
    folder = {"type": "uri_folder"}
    component = judged.command("echo", inputs={"data": folder}, outputs={"report": folder})
    compute = judged.id("computes/cpu")
    node = {
        "type": "command",
        "name": "score",
        "componentId": component,
        "computeId": compute,
        "resources": {"instance_count": 1, "instance_type": "Standard_D2", "shm_size": "4g"},
        "limits": {"job_limits_type": "Command", "timeout": "PT2H"},
        "environment_variables": {"PYTHONHASHSEED": "0"},
        "identity": {"identity_type": "Managed"},
        "inputs": {"data": {"job_input_type": "literal", "value": "${{parent.inputs.data}}"}},
        "outputs": {"report": {"job_output_type": "uri_folder"}},
    }
    made = judged.pipeline(
        {"score": node},
        display_name="digits",
        inputs={"data": {"type": "uri_folder"}, "trials": {"type": "integer", "default": "12"}},
    )
    data = {"jobInputType": "uri_folder", "uri": "azureml://datastores/workspaceblobstore/paths/d/"}
    inputs = {"data": data, "trials": {"jobInputType": "literal", "value": "12"}}
    told = {"experimentName": "e", "displayName": "run", "isArchived": False, "tags": {"penstock_run": "RUN"}}
    _, job = judged.run(made, inputs, settings={"default_compute": compute}, jobs={}, **told)
    assert job["status"] == "Completed"
