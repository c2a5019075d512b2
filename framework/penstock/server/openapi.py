"""OpenAPI 3.1 documents: one of the whole neutral API, and one per endpoint with the types of its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import version as version_of
from typing import Any
from urllib.parse import quote

from penstock.codec import answer_schema
from penstock.contract.http import HttpAnswer, HttpRequest, HttpRoute
from penstock.server.answers import PROBLEM, problem, to_json
from penstock.server.bodies import Key, one, only
from penstock.server.documented import OTHER_PATHS
from penstock.server.rest.calling import called_by
from penstock.server.rest.routes import REST_ROUTES, RestRoute
from penstock.spec import Parameter
from penstock.workspace.endpoints import Signature
from penstock.workspace.rights import token_needed

Schema = dict[str, Any]

_LIMITS = (
    "minimum",
    "maximum",
    "exclusive_minimum",
    "exclusive_maximum",
    "multiple_of",
    "min_length",
    "max_length",
    "pattern",
    "min_items",
    "max_items",
    "min_properties",
    "max_properties",
)
_TYPES: Mapping[str, Schema] = {
    "list": {"type": "array", "items": {}},
    "file": {"type": "string", "minLength": 1, "format": "uri-reference"},
    "directory": {"type": "string", "minLength": 1, "format": "uri-reference"},
}


def openapi_routes() -> tuple[HttpRoute, ...]:
    """The routes that give the documents out: the whole one to everybody, an endpoint's to who may read it."""

    def whole(request: HttpRequest) -> HttpAnswer:
        only(request)
        return HttpAnswer(body=to_json(document(request.base_url)))

    def of_endpoint(request: HttpRequest) -> HttpAnswer:
        only(request, "version")
        name, wanted = request.path["name"], one(request, "version")
        found = request.workspace.endpoints.signature(name if wanted is None else f"{name}@{wanted}")
        return HttpAnswer(body=to_json(endpoint_document(request.base_url, found, pinned=wanted is not None)))

    return (
        HttpRoute(method="GET", path="/openapi.json", handler=whole, refuse=problem, door="rest", open=True),
        HttpRoute(
            method="GET", path="/v1/endpoints/{name}/openapi.json", handler=of_endpoint, refuse=problem, door="rest"
        ),
    )


def document(base_url: str) -> Schema:
    """The document of the whole neutral API."""
    definitions: Schema = {}
    paths: dict[str, Schema] = {}
    for route in REST_ROUTES:
        paths.setdefault(f"/v1{route.path}", {})[route.method.lower()] = _operation(route, definitions)
    paths |= OTHER_PATHS
    return _document(base_url, "penstock", version_of("penstock"), "The neutral API of penstock.", paths, definitions)


def endpoint_document(base_url: str, found: Signature, *, pinned: bool) -> Schema:
    """The document of one endpoint: its trigger with the real types, limits and defaults of a version's parameters,
    and what reads its runs. `pinned`: the trigger names the version, else it takes the default of its moment.
    """
    definitions: Schema = {}
    paths: dict[str, Schema] = {}
    path = f"/v1/endpoints/{quote(found.endpoint.name, safe='')}/runs"
    for route in REST_ROUTES:
        if (route.method, route.path) == ("POST", "/endpoints/{name}/runs"):
            operation = _operation(route, definitions)
            operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "name"]
            operation["operationId"] = "trigger"
            if found.endpoint.access != "public":
                operation["security"].remove({})
            body = operation["requestBody"]["content"]["application/json"]["schema"]
            parameters = parameters_schema(found.pipeline.parameters)
            body["properties"]["parameters"] = parameters
            if parameters["required"]:
                body["required"] = ["parameters"]
                operation["requestBody"]["required"] = True
            if pinned:
                body["properties"]["version"] = {"type": "string", "const": found.version}
                body["required"] = [*body.get("required", ()), "version"]
            paths[path] = {"post": operation}
        elif route.path.startswith("/runs/{id}"):
            paths.setdefault(f"/v1{route.path}", {})[route.method.lower()] = _operation(route, definitions)
    about = found.endpoint.description or found.pipeline.description or f"Triggers the endpoint {found.endpoint.name}."
    return _document(base_url, found.endpoint.name, found.version, about, paths, definitions)


def parameters_schema(parameters: Mapping[str, Parameter]) -> Schema:
    """The JSON Schema of the values that a trigger gives."""
    return {
        "type": "object",
        "properties": {name: _parameter(parameter) for name, parameter in parameters.items()},
        "required": [name for name, parameter in parameters.items() if parameter.required],
        "additionalProperties": False,
    }


def _parameter(parameter: Parameter) -> Schema:
    made: Schema = dict(_TYPES.get(parameter.type, {"type": parameter.type}))
    if parameter.description:
        made["description"] = parameter.description
    if parameter.sensitive:
        made["writeOnly"] = True
    if parameter.enum is not None:
        made["enum"] = list(parameter.enum)
    for limit in _LIMITS:
        value = getattr(parameter, limit)
        if value is not None:
            made[_camel(limit)] = value
    if parameter.unique_items:
        made["uniqueItems"] = True
    if parameter.has_default and not parameter.is_artifact:
        made["default"] = parameter.default
    if not parameter.optional:
        return made
    if parameter.enum is not None:
        made["enum"] = [*parameter.enum, None]
    return {**_or_null(made), "default": None}


def _operation(route: RestRoute, definitions: Schema) -> Schema:
    named = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.path)
    ]
    queried = [
        {"name": name, "in": "query", "required": name in route.needs, "schema": dict(schema)}
        for name, schema in route.query.items()
    ]
    all_headers = ((_KEY, route.keyed), (_MATCH, route.revised), (_RANGE, route.ranged))
    headers = [one for one, takes in all_headers if takes]
    operation: Schema = {
        "operationId": _operation_id(route),
        "summary": route.summary,
        "parameters": [*named, *queried, *headers],
        "responses": _responses(route, definitions),
    }
    verb = called_by(route.handler)
    operation["description"] = f"Needs {token_needed(verb.scope, verb.within)}."
    operation["security"] = [{"bearer": [verb.scope]}]
    if route.triggers is not None:
        operation["security"].append({})  # a public endpoint's asks for no token
    if route.body is not None:
        schema = _body(route.body)
        operation["requestBody"] = {
            "required": bool(schema.get("required")),
            "content": {"application/json": {"schema": schema}},
        }
    return operation


def _responses(route: RestRoute, definitions: Schema) -> Schema:
    if route.returns is None:
        content: Schema = {kind: {"schema": {}} for kind in ("application/octet-stream", "application/x-tar")}
    else:
        schema = answer_schema(route.returns, definitions)
        if isinstance(route.returns, tuple):  # by a name, so that generated clients have one class for it
            definitions["SubmittedRun"] = schema
            schema = {"$ref": "#/$defs/SubmittedRun"}
        content = {"application/json": {"schema": schema}}
    responses: Schema = {"200": {"description": "Done.", "content": content}}
    if route.made:
        responses["201"] = {"description": "Made.", "content": content}
    if route.ranged:
        responses["206"] = {"description": "The range that was asked for.", "content": content}
    responses["default"] = {
        "description": "Refused; `code` says why.",
        "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
    }
    return responses


def _body(keys: Mapping[str, Key]) -> Schema:
    made: Schema = {
        "type": "object",
        "properties": {name: dict(key.schema) if key.required else _or_null(key.schema) for name, key in keys.items()},
        "additionalProperties": False,
    }
    required = [name for name, key in keys.items() if key.required]
    return {**made, "required": required} if required else made


def _or_null(schema: Mapping[str, Any]) -> Schema:
    """The same or `null`, which counts as left out."""
    types = schema["type"]
    return {**schema, "type": [*(types if isinstance(types, list) else [types]), "null"]}


def _document(base_url: str, title: str, version: str, about: str, paths: Schema, definitions: Schema) -> Schema:
    schemas = {**dict(sorted(definitions.items())), "ProblemDocument": _PROBLEM_DOCUMENT}
    made = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": about},
        "servers": [{"url": base_url}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }
    found: Schema = _refer(made)
    return found


def _refer(value: Any) -> Any:
    """The same with references to where an OpenAPI document keeps its schemas."""
    if isinstance(value, dict):
        return {
            key: inner.replace("#/$defs/", "#/components/schemas/") if key == "$ref" else _refer(inner)
            for key, inner in value.items()
        }
    return [_refer(inner) for inner in value] if isinstance(value, list | tuple) else value


def _operation_id(route: RestRoute) -> str:
    """A name for generated clients, like `post_endpoints_name_runs`."""
    return "_".join([route.method.lower(), *re.findall(r"\w+", route.path)])


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)


_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same request under the same key is the same run.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
_MATCH: Schema = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that it is believed to have.",
    "schema": {"type": "string", "pattern": '^("[0-9]{1,18}"|[*])$'},
}
_RANGE: Schema = {
    "name": "Range",
    "in": "header",
    "description": "One range of bytes, like `bytes=0-999`, `bytes=1000-` or `bytes=-1000`; others are not looked at.",
    "schema": {"type": "string"},
}
_PROBLEM_DOCUMENT: Schema = {
    "type": "object",
    "description": "An error as RFC 9457 has it.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string", "description": "Stable; `docs/errors.md` lists them all."},
        "details": {"type": "array", "items": {"type": "object"}},
        "request_id": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "by": {"type": "string"},
        "reason": {"type": "string"},
    },
    "required": ["type", "title", "status", "detail", "code", "details", "request_id"],
}
