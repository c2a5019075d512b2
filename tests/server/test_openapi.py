"""The documents of the API: valid, true to what is answered, and with an endpoint's own parameters."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator

from penstock.server.health import health_routes
from penstock.server.openapi import openapi_routes
from penstock.server.rest.routes import ROUTES
from penstock.workspace import Workspace

TYPED = """\
apiVersion: penstock/v1
kind: Pipeline
name: typed
description: Every kind of parameter.
parameters:
  1: {type: integer, minimum: 1, maximum: 9, description: How often}
  kind: {type: string, enum: [tree, forest], default: tree}
  rate: {type: number, exclusiveMinimum: 0, default: 0.5}
  fast: {type: boolean, default: false}
  names: {type: list, default: [], maxItems: 3, uniqueItems: true}
  table: {type: file, default: ./table.csv}
  folds: {type: integer, minimum: 2, default: null}
  side: {type: string, enum: [left, right], default: null}
  other: {type: file, default: null}
steps:
  run:
    inputs: {table: "${{ parameters.table }}", other: "${{ parameters.other }}"}
    command: ["true", "${{ parameters.folds }}", "${{ parameters.side }}", "${{ inputs.other }}",
      "${{ parameters.1 }}", "${{ parameters.kind }}", "${{ parameters.rate }}",
      "${{ parameters.fast }}", "${{ parameters.names }}", "${{ inputs.table }}"]
"""


@pytest.fixture(scope="module")
def typed(folder, served):
    (folder / "typed.yaml").write_text(TYPED)
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        workspace.publish(folder / "typed.yaml", endpoint="typed")
    return "typed"


def parameters_of(document) -> dict:
    trigger = document["paths"]["/v1/endpoints/typed/runs"]["post"]
    return trigger["requestBody"]["content"]["application/json"]["schema"]["properties"]["parameters"]


def test_the_document_names_every_route(served) -> None:
    document = served.call("GET", "/openapi.json").json
    named = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    others = {route.path for route in (*openapi_routes(), *health_routes(None, None))}
    assert named == {(route.method, route.path) for route in ROUTES} | {("GET", path) for path in others}
    assert {path for path, methods in document["paths"].items() if methods.get("get", {}).get("security") == []} == {
        "/openapi.json", "/healthz", "/readyz"
    }  # fmt: skip
    assert document["openapi"].startswith("3.1")


def test_every_reference_of_a_document_is_there(served, tokens, typed) -> None:
    for path in ("/openapi.json", "/v1/endpoints/typed/openapi.json"):
        document = served.call("GET", path, token=tokens["read"]).json
        text = json.dumps(document)
        for name in {piece.partition('"')[0] for piece in text.split('"#/components/schemas/')[1:]}:
            assert name in document["components"]["schemas"]
        for schema in document["components"]["schemas"].values():
            Draft202012Validator.check_schema(schema)


def test_an_endpoint_says_its_parameters(served, tokens, typed) -> None:
    document = served.call("GET", "/v1/endpoints/typed/openapi.json", token=tokens["read"]).json
    schema = parameters_of(document)
    assert schema["required"] == ["1"]
    assert schema["properties"]["1"] == {"type": "integer", "minimum": 1, "maximum": 9, "description": "How often"}
    assert schema["properties"]["kind"] == {"type": "string", "enum": ["tree", "forest"], "default": "tree"}
    assert schema["properties"]["rate"] == {"type": "number", "exclusiveMinimum": 0, "default": 0.5}
    assert schema["properties"]["names"]["uniqueItems"] is True
    assert schema["properties"]["folds"] == {"type": ["integer", "null"], "minimum": 2, "default": None}
    assert schema["properties"]["side"]["enum"] == ["left", "right", None]
    assert schema["properties"]["other"]["type"] == ["string", "null"]
    pinned = served.call("GET", "/v1/endpoints/typed/openapi.json?version=0", token=tokens["read"]).json
    assert pinned["info"]["version"] == "0"
    missing = served.call("GET", "/v1/endpoints/typed/openapi.json?version=7", token=tokens["read"])
    assert (missing.status, missing.json["code"]) == (404, "version_not_found")
    assert served.call("GET", "/v1/endpoints/typed/openapi.json", token=tokens["one"]).status == 404


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"1": 3}, True),
        ({"1": 3, "kind": "forest", "rate": 1, "fast": True, "names": ["a"]}, True),
        ({}, False),
        ({"1": 0}, False),
        ({"1": "3"}, False),
        ({"1": 3, "kind": "bush"}, False),
        ({"1": 3, "rate": 0}, False),
        ({"1": 3, "names": ["a", "a"]}, False),
        ({"1": 3, "names": ["a", "b", "c", "d"]}, False),
        ({"1": 3, "unknown": 1}, False),
        ({"1": 3, "folds": None, "side": None, "other": None}, True),
        ({"1": 3, "folds": 2, "side": "left"}, True),
        ({"1": 3, "folds": 1}, False),
        ({"1": 3, "side": ""}, False),
        ({"1": 3, "kind": None}, False),
        ({"1": None}, False),
    ],
)
def test_what_fits_the_schema_is_what_is_accepted(served, tokens, typed, given, fits) -> None:
    document = served.call("GET", "/v1/endpoints/typed/openapi.json", token=tokens["read"]).json
    assert Draft202012Validator(parameters_of(document)).is_valid(given) is fits
    reply = served.call("POST", "/v1/endpoints/typed/runs", {"parameters": given}, token=tokens["submit"])
    assert (reply.status == 201) is fits


@pytest.mark.parametrize(
    "path",
    ["/endpoints", "/endpoints/{name}", "/endpoints/{name}/history", "/endpoints/{name}/versions/{version}", "/runs",
     "/endpoints/{name}/openapi.json", "/pipelines", "/targets", "/status", "/history", "/endpoints/{name}/runs"],
)  # fmt: skip
def test_what_is_answered_fits_the_document(served, tokens, path) -> None:
    document = served.call("GET", "/openapi.json").json
    schema = document["paths"][f"/v1{path}"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer = served.call("GET", f"/v1{path}".format(name="hello", version="0"), token=tokens["admin"])
    assert answer.status == 200
    Draft202012Validator({**schema, "components": document["components"]}).validate(answer.json)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_answered_as_the_document_says(served, path) -> None:
    schema = served.call("GET", "/openapi.json").json["paths"][path]["get"]["responses"]["200"]["content"]
    answer = served.call("GET", path)
    assert answer.status == 200
    Draft202012Validator(schema["application/json"]["schema"]).validate(answer.json)


def test_a_token_is_optional_only_for_who_triggers_a_public_endpoint(served, tokens, typed, folder, serving) -> None:
    path = "/v1/endpoints/typed/openapi.json"

    def asked() -> list:
        document = served.call("GET", path, token=tokens["read"]).json
        trigger = document["paths"]["/v1/endpoints/typed/runs"]["post"]
        return trigger.get("security", document["security"])

    assert asked() == [{"bearer": ["submit"]}]
    serving.penstock(folder, "endpoint", "access", "typed", "--public")
    try:
        assert asked() == [{"bearer": ["submit"]}, {}]
    finally:
        serving.penstock(folder, "endpoint", "access", "typed", "--private")
