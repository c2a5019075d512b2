"""The body of a request as it comes: what is there at once, and the rest within limits of size and time."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from penstock.errors import UsageError

_AT_ONCE = 0.2
"""Seconds in which a body comes that was sent with its head: most clients send the two one after the other."""

_SMALL = 65_536
"""How many bytes are taken before it is known who sends them; so many are read from a socket in any case."""


class Arriving:
    """The body of one request, of at most so many bytes. `whole` says whether all of it is there."""

    def __init__(self, request: Request, most: int) -> None:
        self._scope, self._receive = request.scope, request.receive
        self._most = most
        self._chunks: list[bytes] = []
        self._size = 0
        # What comes with these means nothing, and is dropped by who reads the connection.
        self.whole = request.method in ("GET", "HEAD")
        self._length = int(request.headers.get("content-length", 0))
        self._asks_first = "expect" in request.headers

    async def look(self) -> None:
        """Take what is there at once, if it is small and nobody waits to be told to send it."""
        if self.whole or self._asks_first or self._length > min(_SMALL, self._most):
            return
        if self._scope.get("penstock_arrived"):
            await self._take()
            return
        try:
            async with asyncio.timeout(_AT_ONCE):
                while not self.whole and self._size <= _SMALL:
                    await self._take()
        except TimeoutError:
            return

    async def rest(self, seconds: float) -> None:
        """Take all of it. Raises UsageError when it is too large or does not come in time."""
        if self._length > self._most:
            raise self._too_large()
        try:
            async with asyncio.timeout(seconds):
                while not self.whole:
                    await self._take()
        except TimeoutError:
            raise UsageError(f"the body did not come within {seconds:g} s", code="body_timeout") from None

    @property
    def body(self) -> bytes:
        """What is there of it."""
        return b"".join(self._chunks)

    async def _take(self) -> None:
        self._scope["penstock_body_asked"] = True  # uvicorn tells who waits for that to go on
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        self._size += len(chunk)
        if self._size > self._most:
            raise self._too_large()
        self._chunks.append(chunk)
        self.whole = not message.get("more_body", False)

    def _too_large(self) -> UsageError:
        return UsageError(f"the body is larger than {self._most} bytes", code="document_too_large")
