"""Every route of the neutral API, by path: what it reads, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutinefunction
from typing import Any, TypeAlias

from attrs import field, frozen

from penstock.contract.http import Handler, HttpAnswer, HttpRequest, HttpRoute, Triggers
from penstock.contract.run import RUN_STATES
from penstock.contract.target import Health
from penstock.records import (
    DefaultAt,
    EndpointRecord,
    HistoryRecord,
    Page,
    PublishedRecord,
    RunRecord,
    VersionRecord,
)
from penstock.registry import CancelOutcome, GateOutcome, MoveOutcome, VersionOutcome
from penstock.server.answers import problem
from penstock.server.bodies import (
    ACCESS,
    EXPERIMENT,
    FLAG,
    NAME,
    OBJECT,
    REFERENCE,
    SECONDS,
    TAGS,
    TEXT,
    VERSION,
    Data,
    Key,
    only,
    read_object,
)
from penstock.server.rest import admin, endpoints, pipelines, runs
from penstock.workspace.publishing import Publishing

RestHandler: TypeAlias = Callable[[HttpRequest, Data], "HttpAnswer | Awaitable[HttpAnswer]"]

_SUBMITTED = (RunRecord, {"replayed": bool, "warnings": tuple[str, ...]})
_Query: TypeAlias = Mapping[str, Mapping[str, Any]]

_TEXT: Mapping[str, Any] = {"type": "string"}
_FLAG: Mapping[str, Any] = {"type": "boolean"}
_TIME: Mapping[str, Any] = {"type": "string", "format": "date-time"}
_PAGE: _Query = {
    "limit": {"type": "integer", "minimum": 1, "maximum": 100_000, "default": 50},
    "before": {"type": "string", "pattern": "^(0|[1-9][0-9]{0,17})$", "description": "The `next` of a page."},
}
_RUNS: _Query = {"experiment": _TEXT, "state": {"enum": list(RUN_STATES)}, "pipeline": _TEXT, **_PAGE}
_CLOSING = {"reason": TEXT, "cancel_runs": FLAG}
_TRIGGER = {"parameters": OBJECT, "experiment": EXPERIMENT, "description": TEXT, "tags": TAGS}


@frozen
class RestRoute:
    """One route of the neutral API. `query` holds the JSON Schemas of its query parameters, `body` its keys, `returns`
    its answer (see `penstock.codec.answer_schema`; None: bytes). `made`: 201 is an answer; `keyed`: it takes an
    `Idempotency-Key`; `revised`: it takes an `If-Match`; `ranged`: it takes a `Range`; `triggers` is as in `HttpRoute`.
    `needs` names query parameters that must be there. `asks_target`: it may wait for a target.

    What is not named is refused, so that a misspelt word is not silently nothing. `summary` is its handler's docstring.
    """

    method: str
    path: str
    handler: RestHandler
    returns: Any
    query: _Query = field(factory=dict)
    body: Mapping[str, Key] | None = None
    made: bool = False
    keyed: bool = False
    revised: bool = False
    needs: tuple[str, ...] = ()
    ranged: bool = False
    triggers: Triggers | None = None
    asks_target: bool = False

    @property
    def summary(self) -> str:
        """What it does, in a line."""
        return " ".join((self.handler.__doc__ or "").split())

    def http(self) -> HttpRoute:
        """The route as the server takes it."""
        return HttpRoute(
            method=self.method,
            path=f"/v1{self.path}",
            handler=self._reading(),
            refuse=problem,
            door="rest",
            triggers=self.triggers,
            asks_target=self.asks_target,
        )

    def _reading(self) -> Handler:
        handler = self.handler

        def read(request: HttpRequest) -> Data:
            only(request, *self.query)
            return {} if self.body is None else read_object(request, self.body)

        if iscoroutinefunction(handler):

            async def later(request: HttpRequest) -> HttpAnswer:
                answered = handler(request, read(request))
                assert not isinstance(answered, HttpAnswer)
                found: HttpAnswer = await answered
                return found

            return later
        return lambda request: handler(request, read(request))


REST_ROUTES: tuple[RestRoute, ...] = (
    RestRoute("GET", "/endpoints", endpoints.list_all, Page[EndpointRecord], {"all": _FLAG, **_PAGE}),
    RestRoute(
        "POST",
        "/endpoints",
        endpoints.create,
        EndpointRecord,
        body={"name": NAME.needed, "published": REFERENCE.needed, "description": TEXT, "tags": TAGS},
        made=True,
    ),
    RestRoute("GET", "/endpoints/{name}", endpoints.get, EndpointRecord),
    RestRoute(
        "PATCH",
        "/endpoints/{name}",
        endpoints.update,
        EndpointRecord,
        body={
            "name": NAME,
            "description": TEXT,
            "tags": TAGS,
            "default": VERSION,
            "enabled": FLAG,
            "reason": TEXT,
        },
        revised=True,
    ),
    RestRoute("DELETE", "/endpoints/{name}", endpoints.delete, EndpointRecord),
    RestRoute("POST", "/endpoints/{name}/disable", endpoints.disable, GateOutcome, body=_CLOSING, revised=True),
    RestRoute("POST", "/endpoints/{name}/enable", endpoints.enable, GateOutcome, body={}, revised=True),
    RestRoute(
        "PUT",
        "/endpoints/{name}/default",
        endpoints.set_default,
        MoveOutcome,
        body={"version": VERSION.needed, "expect": VERSION, "reason": TEXT},
        revised=True,
    ),
    RestRoute(
        "POST",
        "/endpoints/{name}/rollback",
        endpoints.rollback,
        MoveOutcome,
        body={"expect": VERSION, "reason": TEXT},
        revised=True,
    ),
    RestRoute(
        "PUT",
        "/endpoints/{name}/access",
        endpoints.access,
        EndpointRecord,
        body={"access": ACCESS.needed},
        revised=True,
    ),
    RestRoute(
        "PUT",
        "/endpoints/{name}/deduplication",
        endpoints.deduplicate,
        EndpointRecord,
        body={"deduplication_window": SECONDS.needed},
        revised=True,
    ),
    RestRoute("DELETE", "/endpoints/{name}/deduplication", endpoints.end_deduplication, EndpointRecord, revised=True),
    RestRoute("GET", "/endpoints/{name}/history", endpoints.history, Page[HistoryRecord], _PAGE),
    RestRoute("GET", "/endpoints/{name}/at", endpoints.at, DefaultAt, {"time": _TIME}, needs=("time",)),
    RestRoute(
        "POST",
        "/endpoints/{name}/versions",
        endpoints.add_version,
        VersionOutcome,
        body={"published": REFERENCE.needed, "default": FLAG, "expect": VERSION},
        made=True,
    ),
    RestRoute("GET", "/endpoints/{name}/versions/{version}", endpoints.version, VersionRecord),
    RestRoute(
        "POST",
        "/endpoints/{name}/versions/{version}/disable",
        endpoints.disable,
        GateOutcome,
        body=_CLOSING,
        revised=True,
    ),
    RestRoute(
        "POST", "/endpoints/{name}/versions/{version}/enable", endpoints.enable, GateOutcome, body={}, revised=True
    ),
    RestRoute("GET", "/endpoints/{name}/runs", runs.list_of_endpoint, Page[RunRecord], _RUNS),
    RestRoute(
        "POST",
        "/endpoints/{name}/runs",
        runs.submit_endpoint,
        _SUBMITTED,
        body={**_TRIGGER, "version": VERSION},
        made=True,
        keyed=True,
        triggers=lambda path, _: path["name"],
    ),
    RestRoute("GET", "/pipelines", pipelines.list_all, Page[PublishedRecord], {"all": _FLAG, "name": _TEXT, **_PAGE}),
    RestRoute(
        "POST",
        "/pipelines",
        pipelines.publish_from,
        Publishing,
        body={
            "from": REFERENCE.needed,
            "target": TEXT,
            "name": NAME,
            "label": NAME,
            "description": TEXT,
            "tags": TAGS,
            "endpoint": NAME,
            "default": FLAG,
            "expect": TEXT,
        },
        made=True,
        asks_target=True,
    ),
    RestRoute("GET", "/pipelines/{id}", pipelines.get, PublishedRecord),
    RestRoute("DELETE", "/pipelines/{id}", pipelines.delete, PublishedRecord),
    RestRoute("POST", "/pipelines/{id}/disable", pipelines.disable, GateOutcome, body=_CLOSING, revised=True),
    RestRoute("POST", "/pipelines/{id}/enable", pipelines.enable, GateOutcome, body={}, revised=True),
    RestRoute("POST", "/pipelines/{id}/runs", runs.submit_published, _SUBMITTED, body=_TRIGGER, made=True, keyed=True),
    RestRoute("GET", "/runs", runs.list_all, Page[RunRecord], {"endpoint": _TEXT, **_RUNS}),
    RestRoute(
        "GET",
        "/runs/{id}",
        runs.get,
        RunRecord,
        {"wait": {"type": "integer", "minimum": 0, "maximum": runs.LONGEST_WAIT}},
    ),
    RestRoute("POST", "/runs/{id}/cancel", runs.cancel, CancelOutcome, body={"reason": TEXT}),
    RestRoute("POST", "/runs/{id}/rerun", runs.rerun, _SUBMITTED, body={"parameters": OBJECT}, made=True, keyed=True),
    RestRoute(
        "GET",
        "/runs/{id}/outputs",
        runs.outputs,
        {"id": str, "outputs": Mapping[str, Any], "artifacts": Mapping[str, str], "missing": Mapping[str, str]},
    ),
    RestRoute("GET", "/runs/{id}/outputs/{name}", runs.artifact, None, ranged=True),
    RestRoute(
        "GET",
        "/runs/{id}/logs/{step}",
        runs.logs,
        None,
        {"follow": _FLAG, "timestamps": _FLAG},
        ranged=True,
        asks_target=True,
    ),
    RestRoute("GET", "/targets", admin.targets, {"items": [admin.TARGET]}),
    RestRoute("POST", "/targets/{name}/check", admin.check_target, Health, body={}, asks_target=True),
    RestRoute("GET", "/status", admin.status, admin.STATUS),
    RestRoute(
        "GET",
        "/history",
        admin.history,
        Page[HistoryRecord],
        {"since": _TIME, "by": _TEXT, "subject": _TEXT, "runs": _FLAG, **_PAGE},
    ),
)

ROUTES: tuple[HttpRoute, ...] = tuple(route.http() for route in REST_ROUTES)
