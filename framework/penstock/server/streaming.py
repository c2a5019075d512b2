"""Bodies in pieces: made in a few threads beside those of requests, sent as fast as the client takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from starlette.responses import Response, StreamingResponse

from penstock.contract.http import HttpAnswer
from penstock.server.threads import Threads

_THREADS = 8
"""How many pieces are made at once. None is waited for in a thread, so that any number of clients may read."""


class Streams:
    """The threads in which pieces are made, and responses whose bodies come in them."""

    def __init__(self) -> None:
        self._threads = Threads(_THREADS, "penstock-piece")

    async def aside(self, work: Callable[[], Any]) -> Any:
        """Do what blocks for a moment, for a body that is sent in pieces."""
        return await self._threads.do(work)

    def response(self, answer: HttpAnswer, *, head: bool) -> Response:
        """An answer as Starlette sends it; of one to HEAD no piece is made."""
        told, kind = dict(answer.headers), answer.media_type
        if isinstance(answer.body, bytes):
            return Response(answer.body, answer.status, told, kind)
        if head:
            return StreamingResponse(_nothing(), answer.status, told, kind)
        pieces = self._pieces(answer.body) if isinstance(answer.body, Iterator) else answer.body
        return StreamingResponse(pieces, answer.status, told, kind)

    async def _pieces(self, pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
        while (piece := await self.aside(lambda: next(pieces, None))) is not None:
            yield piece


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""
