"""Doors that decide themselves what a trigger runs."""

from __future__ import annotations

import json

from attrs import evolve
from planting.requests import requested

DEFAULTS = {}


def defaults_are_looked_up_once():
    """A door finds out what the default of an endpoint is, and sends triggers there from then on."""

    def pin(request):
        name = request.path.get("name", "")
        if name and name not in DEFAULTS:
            DEFAULTS[name] = request.workspace.endpoints.get(name).default
        data = json.loads(request.body or b"{}")
        return evolve(request, body=json.dumps({"version": DEFAULTS.get(name), **data}).encode())

    requested("POST", r"/endpoints/\{name\}/runs$", pin)


def defaults_are_looked_up_first():
    """A door finds out what the default is and asks for that version a moment later."""
    import time

    def pin(request):
        default = request.workspace.endpoints.get(request.path["name"]).default
        time.sleep(0.003)
        data = json.loads(request.body or b"{}")
        return evolve(request, body=json.dumps({"version": default, **data}).encode())

    requested("POST", r"/endpoints/\{name\}/runs$", pin)


def versions_in_paths_are_not_read():
    """A version in the path of a trigger is passed over."""
    requested(
        "POST",
        r"PipelineEndpointSubmit/Id/\{id\}/\{version\}$",
        lambda request: evolve(request, path={"id": request.path["id"]}),
    )


CASES = {
    defaults_are_looked_up_once: ("http", "what_it_came_through"),
    defaults_are_looked_up_first: ("http", "servers_share_a_registry"),
    versions_in_paths_are_not_read: ("azureml_v1", "what_it_came_through"),
}
