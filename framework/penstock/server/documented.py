"""What is served beside the routes of the neutral API, as the document of all names it: documents and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.server.answers import PROBLEM

_REFUSED: Mapping[str, Any] = {
    "description": "Refused; `code` says why.",
    "content": {PROBLEM: {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}},
}
_OK: Mapping[str, Any] = {"ok": {"type": "boolean"}}
_READY: Mapping[str, Any] = {
    **_OK,
    "checks": {"type": "object", "additionalProperties": {"type": "string"}, "description": "`ok`, or what is wrong."},
}


def _answer(description: str, properties: Mapping[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


OTHER_PATHS: Mapping[str, dict[str, Any]] = {
    "/v1/endpoints/{name}/openapi.json": {
        "get": {
            "operationId": "get_endpoints_name_openapi_json",
            "summary": "The document of one endpoint, with the types, limits and defaults of its parameters.",
            "description": "Needs a token with the scope `read`.",
            "security": [{"bearer": ["read"]}],
            "parameters": [
                {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}},
                {
                    "name": "version",
                    "in": "query",
                    "required": False,
                    "description": "Of this version; of the default unless given.",
                    "schema": {"type": "string"},
                },
            ],
            "responses": {"200": _answer("Done.", {}), "default": _REFUSED},
        }
    },
    "/openapi.json": {
        "get": {
            "operationId": "get_openapi_json",
            "summary": "This document.",
            "security": [],
            "parameters": [],
            "responses": {"200": _answer("Done.", {}), "default": _REFUSED},
        }
    },
    "/healthz": {
        "get": {
            "operationId": "get_healthz",
            "summary": "Whether the server lives.",
            "security": [],
            "parameters": [],
            "responses": {"200": _answer("It does.", _OK), "default": _REFUSED},
        }
    },
    "/readyz": {
        "get": {
            "operationId": "get_readyz",
            "summary": "Whether what the server needs is there: its registry, and its dispatcher unless told.",
            "security": [],
            "parameters": [],
            "responses": {
                "200": _answer("It is.", _READY),
                "503": _answer("Something is not; `checks` says what.", _READY),
                "default": _REFUSED,
            },
        }
    },
}
"""Path items, by path."""
