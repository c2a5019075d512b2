"""HTTP as uvicorn speaks it, with limits of time for what callers send and take, and our shape for what is no HTTP."""

from __future__ import annotations

import asyncio
import http
from collections.abc import MutableMapping
from typing import Any, ClassVar, Literal

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from penstock.config import ServerOptions
from penstock.errors import PenstockError, UsageError
from penstock.server.answers import problem

_DROPPED = 16 * 1_048_576
"""How many bytes of a body that nobody wants are read and dropped: who still sends does not read the answer."""


_Awaited = Literal["request", "head", "rest", ""]
"""What a connection waits for: nothing, a request while it is kept for later, or, for so long, a head or the rest of a
body that nobody wants.
"""


class Protocol(H11Protocol):
    """One connection.

    Not by httptools: it loses the body of a request that offers to speak HTTP/2 (`Upgrade: h2c`), as Java's client
    does with every first one.
    """

    options = ServerOptions()
    most = 10_000
    """How many connections there may be. Past that the one that has waited for a request the longest is closed."""
    waiting: ClassVar[dict[Protocol, None]] = {}
    """Those that wait for a request, in the order they began to."""
    _awaited: _Awaited = ""
    _until: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None
    _dropped = 0
    _ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Begin to wait for the first head, instead of who waits the longest where there are too many."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self.most:
            longest = next(iter(self.waiting))
            longest._await("")
            longest.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._await("")
        self._unset_stalled()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, and note what has to come next."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body:
            scope: MutableMapping[str, Any] = self.cycle.scope  # type: ignore[assignment]  # uvicorn's type knows no key of ours
            scope["penstock_arrived"] = True  # so that no timer is set for what is there
        self._watch(len(data))

    def eof_received(self) -> bool:  # type: ignore[override]  # uvicorn's says nothing, which closes
        """Answer what was asked before the caller ended its side: it may still read.

        Not where an answer has begun: there the end tells that nobody reads it any more. Nor with TLS, which has no
        half of a connection.
        """
        cycle = self.cycle
        self._ended = self.scheme == "http" and cycle is not None and not (cycle.more_body or cycle.response_started)
        return self._ended

    def on_response_complete(self) -> None:
        """Go on to what comes after an answer."""
        super().on_response_complete()
        if self._ended and self.cycle.response_complete:
            self.transport.close()
        self._watch()
        if self.transport.is_closing() and self._stalled is None and self.transport.get_write_buffer_size():
            self._set_stalled()

    def pause_writing(self) -> None:
        """Wait for the caller to take some of its answer, but not for ever."""
        super().pause_writing()
        if self._stalled is None:
            self._set_stalled()

    def resume_writing(self) -> None:
        """It took it."""
        super().resume_writing()
        self._unset_stalled()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: Java's client offers HTTP/2 with every first request, and nobody has to take it."""

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read as HTTP, and close; in the middle of an answer there is nothing left to say."""
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        if not begun:
            self._say(UsageError("the request cannot be read as HTTP", code="http_invalid"))
        self.transport.close()

    def _say(self, error: PenstockError) -> None:
        refused = problem(error, "")
        assert isinstance(refused.body, bytes)
        head = (
            f"HTTP/1.1 {refused.status} {http.HTTPStatus(refused.status).phrase}\r\n"
            f"Content-Type: {refused.media_type}\r\nContent-Length: {len(refused.body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + refused.body)

    def _watch(self, came: int = 0) -> None:
        """Begin or end to wait for what has to come in time: a head, or the rest of a body after its answer."""
        conn = self.conn
        if conn.their_state is h11.IDLE:
            # Between two requests uvicorn waits; what came of a head, or the first, is ours to wait for.
            has_begun = self.cycle is None or bool(conn.trailing_data[0])
            self._await("" if self.transport.is_closing() else "head" if has_begun else "request")
        elif conn.their_state is h11.SEND_BODY and conn.our_state is h11.DONE:
            self._await("rest")
            self._dropped += came
            if self._dropped > _DROPPED:
                self.transport.close()
        elif self._awaited:
            self._await("")

    def _await(self, what: _Awaited) -> None:
        if what == self._awaited:
            return
        if self._until is not None:
            self._until.cancel()
        self._awaited, self._until, self._dropped = what, None, 0
        if what in ("head", "request"):
            self.waiting[self] = None
        else:
            self.waiting.pop(self, None)
        if what in ("head", "rest"):
            seconds = self.options.head_seconds if what == "head" else self.options.body_seconds
            self._until = self.loop.call_later(seconds, self._late)

    def _late(self) -> None:
        """What was waited for did not come: say so where a request has begun, and close."""
        if self.transport.is_closing():
            return
        if self._awaited == "head" and self.conn.trailing_data[0]:
            seconds = f"{self.options.head_seconds:g} s"
            self._say(UsageError(f"the head of the request did not come within {seconds}", code="head_timeout"))
        self.transport.close()

    def _set_stalled(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(self.options.write_seconds, self._still_stalled, left)

    def _unset_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _still_stalled(self, before: int) -> None:
        """Go on with a caller that took some of its answer, however little; leave one that took nothing."""
        self._stalled = None
        if self.transport.get_write_buffer_size() < before:
            self._set_stalled()
        else:
            self.transport.abort()


def protocol(options: ServerOptions, most: int) -> type[Protocol]:
    """The protocol with the limits of a server, which has at most so many connections."""

    class Limited(Protocol):
        waiting: ClassVar[dict[Protocol, None]] = {}

    Limited.options, Limited.most = options, most
    return Limited
