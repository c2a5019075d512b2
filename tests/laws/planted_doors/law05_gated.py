"""Doors with a gate of their own."""

from __future__ import annotations

import json

from attrs import evolve
from planting.requests import TRIGGERS, bodies, requested, routes

from penstock.errors import GateClosed


def closed_stays_closed():
    """A door remembers that something is closed, and says so without asking again."""
    refused = {}

    def answer(real, request):
        key = (*request.path.values(), request.body)
        if key in refused:
            raise refused[key]
        try:
            return real(request)
        except GateClosed as error:
            refused[key] = error
            raise

    routes("POST", TRIGGERS, answer)


def closed_is_passed_by():
    """A door finds a closed gate of an endpoint and triggers what is behind it, by its id."""

    def answer(real, request):
        try:
            return real(request)
        except GateClosed:
            endpoint = request.workspace.endpoints.get(request.path["name"])
            published = {one.version: one.published for one in endpoint.versions}[endpoint.default]
            data = {key: value for key, value in json.loads(request.body or b"{}").items() if key != "version"}
            # To the same route: what it is called by is its reference, whichever it is of.
            return real(evolve(request, path={"name": published}, body=json.dumps(data).encode()))

    routes("POST", r"/endpoints/\{name\}/runs$", answer)


def reasons_are_not_passed_on():
    """Why a gate is closed is not passed on."""
    bodies("POST", "/disable$", lambda data: {key: value for key, value in data.items() if key != "reason"})


def listings_show_what_is_closed():
    """A listing shows what is closed, too."""
    requested("GET", r"/(endpoints|pipelines)$", lambda one: evolve(one, query={**one.query, "all": ("true",)}))


CASES = {
    closed_stays_closed: ("http", "every_gate_on_every_way"),
    closed_is_passed_by: ("http", "every_gate_on_every_way"),
    reasons_are_not_passed_on: ("http", "closed_says_by_whom"),
    listings_show_what_is_closed: ("http", "listings_leave_closed_out"),
}
