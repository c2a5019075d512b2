"""Running the server: binding, the line that says it is ready, and an end that drops nothing that was taken."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import resource
import signal
import socket
import time
from asyncio import constants
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn

from penstock.config import DOORS, Config, ServerOptions, is_loopback
from penstock.errors import UsageError
from penstock.machine import lacks
from penstock.server.access import Gatekeeper
from penstock.server.app import App
from penstock.server.health import health_routes
from penstock.server.oauth import oauth_routes
from penstock.server.openapi import openapi_routes
from penstock.server.protocol import protocol
from penstock.server.rest.routes import ROUTES
from penstock.workspace import Workspace

if TYPE_CHECKING:
    from penstock.server.oidc import Oidc

_BACKLOG, _AT_ONCE = 2048, 100
"""How many connections may wait to be taken, and how many are taken before anything else is done: more could be opened
in one go than there may be.
"""

_LAST = 0.05
"""Seconds for which those that were answered without a word of the end may still ask something."""

_log = logging.getLogger(__name__)

_SELDOM = 10.0
"""Seconds between two complaints of the loop about what the machine lacks."""
_DRAIN = 61
"""Seconds that what was taken may go on at the end once its body is there: longer than the waits for a thread and for
a locked registry.
"""


def serve(
    config: Config,
    options: ServerOptions,
    ready: Callable[[str], None],
    *,
    doors: Sequence[str] = DOORS,
    authenticate: bool = True,
    dispatch: bool = True,
    tls: tuple[Path, Path] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the URL once requests are answered.

    `doors` are plugins that contribute routes besides those that the configuration names. Without `authenticate` only
    this machine is served. `tls` are the files of a certificate and its key. Raises UsageError, and RegistryError when
    the registry cannot be used.
    """
    if not authenticate and not is_loopback(options.host):
        raise UsageError(f"without authentication only this machine may be served, not {options.host}: use 127.0.0.1")
    workspace, dispatcher = Workspace.for_server(config, max_unfinished_runs=options.max_unfinished_runs)
    gatekeeper = Gatekeeper(
        workspace.services,
        ask=authenticate,
        oidc=_oidc(options) if authenticate else None,
        anonymous_per_minute=options.anonymous_per_minute,
    )
    health = health_routes(workspace.services, (lambda: dispatcher.alive) if dispatch else None)
    contributed = workspace.services.routes(doors, workspace)
    routes = (*ROUTES, *openapi_routes(), *health, *oauth_routes(workspace.services), *contributed)
    app = App(workspace, routes, gatekeeper, options)
    listener = _bind(options.host, options.port)
    # uvicorn passes no limit on, and what shakes no hand is no connection of ours yet.
    constants.SSL_HANDSHAKE_TIMEOUT = options.head_seconds
    settings = uvicorn.Config(
        app,
        http=protocol(options, _most_connections()),
        backlog=_AT_ONCE,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=False,
        ssl_certfile=None if tls is None else tls[0],
        ssl_keyfile=None if tls is None else tls[1],
        timeout_keep_alive=30,
        timeout_graceful_shutdown=math.ceil(options.body_seconds + _DRAIN),
        h11_max_incomplete_event_size=options.max_header_bytes + options.max_url_bytes + 4096,
    )
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    url = options.public_url or f"{'http' if tls is None else 'https'}://{shown}:{port}"
    gc.collect()
    gc.freeze()  # what is there by now stays, and is not looked through for garbage again and again
    try:
        with asyncio.Runner(loop_factory=_loop) as runner:
            if dispatch:
                dispatcher.start()
            runner.run(_run(_Server(settings, app), listener, lambda: ready(url)))
    finally:
        if dispatch:
            dispatcher.stop()
        workspace.close()


def _loop() -> asyncio.AbstractEventLoop:
    """A loop, made before anything waits for one. Raises OSError.

    One that finds no files for itself complains by a traceback when it is thrown away, because it was never whole.
    """
    spare = [socket.socketpair(), socket.socketpair()]  # more than it takes, asked for while that can be said
    for pair in spare:
        for end in pair:
            end.close()
    return asyncio.new_event_loop()


def _oidc(options: ServerOptions) -> Oidc | None:
    """The issuers whose tokens are taken; their keys are being fetched."""
    if not options.oidc:
        return None
    from penstock.server.oidc import Oidc

    issuers = Oidc(options.oidc)
    issuers.prepare()
    return issuers


def _most_connections() -> int:
    """How many connections leave enough of the files that this process may have open for all else that it does."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return max(soft // 2, soft - 400)


class _Server(uvicorn.Server):
    def __init__(self, settings: uvicorn.Config, app: App) -> None:
        super().__init__(settings)
        self._app = app

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the serving, and then the command goes on to its own end, which is exit 0."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, and answer what was taken; who reads no answer, or waits for a target, is left in the end."""
        self._app.stop()
        for listening in self.servers:
            listening.close()
        # What is under way on a connection that was left open is read: a closed one would not even refuse it.
        await asyncio.sleep(_LAST)
        await super().shutdown(sockets)


async def _run(server: _Server, listener: socket.socket, ready: Callable[[], None]) -> None:
    asyncio.get_running_loop().set_exception_handler(_Complaints())
    serving = asyncio.create_task(server.serve([listener]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.005)
    if not serving.done():
        listener.listen(_BACKLOG)  # asyncio has set it to as many as it takes at once
        ready()
    await serving


class _Complaints:
    """What the loop complains of. Without a file for another connection it does so hundreds of times a second."""

    def __init__(self) -> None:
        self._told = -_SELDOM

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        lacking = lacks(error) if error is not None else ""
        if not lacking:
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told >= _SELDOM:
            self._told = time.monotonic()
            _log.warning("%s: %s", context["message"], lacking)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off for sockets that say they are TCP; else each answer may wait 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        why = error.strerror if isinstance(error, OSError) else "there is no such port"
        raise UsageError(f"cannot listen on {host}:{port}: {why}", code="address_unusable") from None
    listener.listen(_BACKLOG)
    listener.setblocking(False)
    return listener
