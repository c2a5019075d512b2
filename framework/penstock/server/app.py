"""From a request on the wire to a route and back: limits, who calls, one error shape, one log line each."""

from __future__ import annotations

import logging
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

from attrs import evolve, frozen
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penstock.callers import Caller, Rights
from penstock.config import ServerOptions
from penstock.contract.http import AnsweredRequest, HttpAnswer, HttpRequest, HttpRoute
from penstock.errors import PenstockError
from penstock.server.access import Gatekeeper, nobody
from penstock.server.arriving import Arriving
from penstock.server.group_commits import GroupCommits
from penstock.server.limits import check
from penstock.server.places import READS, Places
from penstock.server.requests import base_url, headers, query, take_absolute, triggered
from penstock.server.shapes import Shapes, to_penstock_error
from penstock.server.streaming import Streams
from penstock.server.threads import Fetchers, Threads, Writers
from penstock.workspace import Workspace

_log = logging.getLogger("penstock.server")

_THREADS = 32
"""How many requests that read are worked on at once, and how many that write; the others wait for a thread, in the
order they came. Writing has its own, because all of them may wait for a locked registry.
"""

_SMALL = 65_536
"""How large, in bytes, the body of a request may be that the loop's own thread reads."""

_ASKING = 16
"""How many requests wait for targets at once, to read and to write."""

_FETCHING = 4
"""How many artifacts of far targets are fetched at once, each for as long as its bytes take."""

_WAITING_TO_FETCH = 16
"""How many more requests may wait for that."""

_OPEN_BODY = 65_536
"""How many bytes a body may have, at the most, that is read whoever sends it."""

_LOOK = Rights(scope="read")
"""What the function of an open route may on its own account: whom it lets in is its own business."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class App:
    """The ASGI application of one workspace. `stop` ends what waits for news, so that a server can end."""

    def __init__(
        self, workspace: Workspace, routes: Iterable[HttpRoute], gatekeeper: Gatekeeper, options: ServerOptions
    ) -> None:
        self._workspace = workspace
        self._gatekeeper = gatekeeper
        self._options = options
        self.in_thread = Threads(_THREADS, "penstock-read").do
        self._writers = Writers(_THREADS)
        # A plugin that wraps verbs may take its time, and it sees what was decided once that is durable.
        quick = not workspace.services.plugins.wrap_verbs
        registry, told = workspace.services.registry, workspace.services.plugins.hear_runs
        self._told_requests = workspace.services.plugins.hear_requests
        self._group_commits = GroupCommits(registry, self._writers.do, told=told) if quick else None
        # Apart from those of all other requests: a target that hangs holds up only its like.
        self._asking = Threads(_ASKING, "penstock-asking").do
        self._asking_to_write = Threads(_ASKING, "penstock-asking").do
        self._fetching = Fetchers(_FETCHING, _WAITING_TO_FETCH).do
        self._places = Places(options.max_requests)
        self.streams = Streams()
        self._stopping = False
        routes = tuple(routes)
        self._shapes = Shapes(routes)
        by_path: dict[str, list[HttpRoute]] = {}
        for route in routes:
            by_path.setdefault(route.path, []).append(route)
        # Routes are tried in turn, so those that are asked most come first.
        paths = sorted(by_path, key=lambda path: all(route.triggers is None for route in by_path[path]))
        self._router: ASGIApp = Router(
            [_starlette_route(self, path, by_path[path]) for path in paths], redirect_slashes=False
        )

    def stop(self) -> None:
        """Let whoever waits for news have what there is, and whoever is answered send no more."""
        self._stopping = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's worth of ASGI."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = [name for name, _ in scope["headers"]]
        unasked = b"expect" in names
        asked = ""
        if names.count(b"x-request-id") == 1:
            asked = scope["headers"][names.index(b"x-request-id")][1].decode("latin-1")
        scope["request_id"] = request_id = asked if _REQUEST_ID.fullmatch(asked) else str(uuid.uuid4())
        scope["app"] = self  # so that Starlette raises what it finds no route for
        status, began = 0, time.perf_counter()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
                # Who asks before sending a body was not told to, so whatever comes next is the body or is not. And who
                # is told of the end sends nothing more that nobody reads.
                if self._stopping or (unasked and not scope.get("penstock_body_asked")):
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        self._places.enter(scope["method"])
        try:
            take_absolute(scope)
            check(scope, self._options, asks_token=self._gatekeeper.asks)
            self._places.check(scope["method"])
            await self._router(scope, receive, sending)
        except ClientDisconnect:
            status = 499
        except Exception as raised:
            error = to_penstock_error(raised)
            if status:  # the answer has begun: nothing can be said any more, but that it is not whole
                _log.warning("request %s broke off: %s", request_id, error)
                raise
            scope["penstock_code"] = error.code
            refused = self._refused(scope, error, request_id)
            if isinstance(raised, HTTPException) and raised.headers:  # which methods are allowed
                refused = evolve(refused, headers={**refused.headers, **raised.headers})
            if error.code in ("body_timeout", "http_invalid"):
                # What still comes of the body is not read, so nothing else can be said on this connection.
                refused = evolve(refused, headers={**refused.headers, "Connection": "close"})
            await self.streams.response(refused, head=scope["method"] == "HEAD")(scope, receive, sending)
        finally:
            self._places.leave(scope["method"])
            took = time.perf_counter() - began
            facts = {
                "request_id": request_id,
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(took * 1000, 1),
                "actor": scope.get("actor", ""),
            }
            _log.info("%s %s %s", scope["method"], scope["path"], status, extra={"facts": facts})
            if self._told_requests:
                self._workspace.services.tell("penstock_request_answered", _answered(scope, status, took))

    async def answer(self, route: HttpRoute, request: Request) -> HttpAnswer:
        """Answer a request that a route was found for."""
        most = self._options.max_body_bytes
        arriving = Arriving(request, min(most, _OPEN_BODY) if route.open else most)
        await arriving.look()
        method = request.method
        writes = method not in READS
        caller: Caller | None = None
        if not arriving.whole or (writes and self._writers.busy):
            # Who must not come in is not waited for, and waits for nobody.
            caller = await self.in_thread(lambda: self._caller(route, request))
        if not arriving.whole:
            with self._places.sending():
                await arriving.rest(self._options.body_seconds)

        def ready() -> HttpRequest:
            nonlocal caller
            caller = caller or self._caller(route, request)  # what is begun on the loop may be done again in a thread
            return HttpRequest(
                method=method,
                path=request.path_params,
                query=query(request.scope["query_string"]),
                headers=headers(request),
                body=arriving.body,
                base_url=base_url(request.scope, self._options.public_url),
                workspace=self._workspace.as_(caller),
                is_stopping=lambda: self._stopping,
                is_crowded=lambda: self._places.crowded,
                in_thread=self.in_thread,
                aside=self.streams.aside,
                fetching=self._fetching,
                is_gone=request.is_disconnected,
            )

        if iscoroutinefunction(route.handler):
            made = await self.in_thread(ready)
            answered = route.handler(made)
            assert isawaitable(answered)
            found: HttpAnswer = await answered
            return found
        done: HttpAnswer = await self._doing(route, request, arriving)(lambda: route.handler(ready()))
        return done

    def _doing(self, route: HttpRoute, request: Request, arriving: Arriving) -> Callable[[Callable[[], Any]], Any]:
        """Where a request is worked on."""
        writes = request.method not in READS
        if route.asks_target:
            return self._asking_to_write if writes else self._asking
        if not writes:
            return self.in_thread
        groups = self._group_commits
        if groups is None or route.triggers is None or len(arriving.body) > _SMALL:
            return self._writers.do
        if self._gatekeeper.may_wait(_authorization(request)):
            return self._writers.do
        return partial(groups.do, client=request.scope.get("client"))

    def _caller(self, route: HttpRoute, request: Request) -> Caller:
        request_id = request.scope["request_id"]
        if route.open:
            caller = evolve(nobody(route.door, request_id), rights=_LOOK)
        else:
            caller = self._gatekeeper.caller(
                _authorization(request),
                route.door,
                request_id,
                triggers=partial(triggered, route, request),
                address=(request.scope.get("client") or ("",))[0],
            )
        request.scope["actor"] = caller.actor
        return caller

    def _refused(self, scope: Scope, error: PenstockError, request_id: str) -> HttpAnswer:
        """An error in the shape of the door that it came through."""
        route: HttpRoute | None = scope.get("penstock_route")
        return (self._shapes.at(scope["path"]) if route is None else route.refuse)(error, request_id)


@frozen(eq=False)
class _Endpoint:
    """What answers a path, as an ASGI application: around a function Starlette would put handlers of exceptions, of
    which there are none here, and which each message of an answer goes through.
    """

    app: App
    by_method: Mapping[str, HttpRoute]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        head = scope["method"] == "HEAD"
        scope["penstock_route"] = route = self.by_method["GET" if head else scope["method"]]
        answered = await self.app.answer(route, request)
        await self.app.streams.response(answered, head=head)(scope, receive, send)


def _starlette_route(app: App, path: str, routes: Sequence[HttpRoute]) -> Route:
    by_method = {route.method: route for route in routes}
    return Route(path, _Endpoint(app, by_method), methods=list(by_method))


def _authorization(request: Request) -> list[str]:
    return [value.decode("latin-1") for name, value in request.scope["headers"] if name == b"authorization"]


def _answered(scope: Scope, status: int, seconds: float) -> AnsweredRequest:
    """What plugins are told of a request; words that only the caller chose are left out, for they would be endless."""
    route: HttpRoute | None = scope.get("penstock_route")
    return AnsweredRequest(
        request_id=scope["request_id"],
        method="" if route is None else route.method,
        route="" if route is None else route.path,
        door="" if route is None else route.door,
        status=status,
        code=scope.get("penstock_code", ""),
        seconds=seconds,
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
