"""Doors that do something else with what they are asked: the requests and answers of routes are replaced.

A route is given an `HttpRequest` and gives an `HttpAnswer` (`penstock.contract.http`), whichever door it is of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from attrs import evolve

from penstock.contract.http import HttpAnswer, HttpRequest, HttpRoute

Asks = Callable[[HttpRequest], HttpAnswer]

_CHANGES: list[tuple[str, re.Pattern[str], Callable[[Asks, HttpRequest], HttpAnswer]]] = []

TRIGGERS = r"/runs$|PipelineSubmit/|PipelineEndpointSubmit"
"""The paths of routes that trigger, to be sent by POST."""


def routes(method: str, path: str, answer: Callable[[Asks, HttpRequest], HttpAnswer]) -> None:
    """Let `answer(real, request)` answer the routes of a method whose path matches a pattern."""
    from penstock.server.app import App

    if not _CHANGES:
        real = App.answer

        async def changed(self: Any, route: HttpRoute, request: Any) -> HttpAnswer:
            for method, pattern, answer in _CHANGES:
                if route.method == method and pattern.search(route.path):
                    route = evolve(route, handler=_handler(route.handler, answer))
            found: HttpAnswer = await real(self, route, request)
            return found

        App.answer = changed
    _CHANGES.append((method, re.compile(path), answer))


def requested(method: str, path: str, change: Callable[[HttpRequest], HttpRequest]) -> None:
    """Pass requests of such routes through a function."""
    routes(method, path, lambda real, request: real(change(request)))


def bodies(method: str, path: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Pass the JSON bodies of such requests through a function."""

    def other(request: HttpRequest) -> HttpRequest:
        return evolve(request, body=json.dumps(change(json.loads(request.body or b"{}"))).encode())

    requested(method, path, other)


def _handler(real: Any, answer: Callable[[Asks, HttpRequest], HttpAnswer]) -> Asks:
    return lambda request: answer(real, request)
