"""The HTTP front end of an emulator: loopback only, and nothing that a web page could send."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import traceback
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Protocol
from urllib.parse import parse_qs

from penstock_emulator.faults import Lost
from penstock_emulator.http import Answer, Request

_MOST_BODY = 256 << 20
_MOST_UNREAD = 8 << 30
"""Bytes of a body that are read away before it is refused."""
_HANDSHAKE = 30.0
"""Seconds that a caller has for TLS."""

Why = Literal["stranger", "invalid", "failed"]


class Application(Protocol):
    """What answers."""

    def answer(self, request: Request) -> Answer:
        """Answer one request. Raises Lost."""

    def refuse(self, why: Why, message: str) -> Answer:
        """Say no in the vendor's shape: to a stranger, to what is no request, or because the emulator failed."""


class Server(ThreadingHTTPServer):
    """Serves one emulator on 127.0.0.1; port 0 takes a free one. Raises OSError when the port is taken."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, application: Application, port: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.application = application
        self.tls = tls
        self.ended = False

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread of its own."""
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self) -> None:
        """Take no request any more; connections that are open are dropped when they send one."""
        self.ended = True
        self.shutdown()
        self.server_close()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Serve one connection, in its own thread: there the handshake keeps nobody waiting."""
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(_HANDSHAKE)
        with self.tls.wrap_socket(request, server_side=True) as secured:
            secured.settimeout(None)
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a caller that went away."""


class _Unread(Exception):
    """A request that is answered without being read."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _answer(self) -> None:
        try:
            answer = self._answered()
        except Lost:
            self._drop()
            return
        except Exception:
            if self.server.ended:
                self._drop()
                return
            traceback.print_exc()
            answer = self.server.application.refuse(
                "failed", "the emulator failed; what it says on its standard error is a fault of its own"
            )
        self._send(answer)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # the names that http.server calls

    def _answered(self) -> Answer:
        if self.server.ended:
            raise Lost
        try:
            self._refuse_strangers()
            body = self._body()
            path, _, query = self.path.partition("?")
            questions = parse_qs(query, keep_blank_values=True)
        except _Unread as error:
            self.close_connection = True
            return self.server.application.refuse(error.why, str(error))
        headers: Mapping[str, str] = self.headers  # type: ignore[assignment]  # a Message is one, whatever the case
        return self.server.application.answer(Request(self.command, path, questions, headers, body))

    def _refuse_strangers(self) -> None:
        """What a browser sends for a page, and what came to us under another name, is not for us."""
        if "Origin" in self.headers:
            raise _Unread("stranger", "the emulator executes what it is sent, and answers no web page")
        port = self.server.server_address[1]
        hosts = self.headers.get_all("Host") or []
        if hosts not in ([f"127.0.0.1:{port}"], [f"localhost:{port}"]):
            raise _Unread("stranger", f"the emulator answers as 127.0.0.1:{port} only, not as {', '.join(hosts)}")

    def _body(self) -> bytes:
        if "Transfer-Encoding" in self.headers:
            raise _Unread("invalid", "a body without Content-Length is not read")
        said = self.headers.get("Content-Length") or "0"
        if not re.fullmatch("[0-9]{1,19}", said):
            raise _Unread("invalid", "Content-Length: a number is needed")
        if int(said) > _MOST_BODY:
            self._read_away(int(said))
            raise _Unread("invalid", f"Content-Length {said}: the emulator takes up to {_MOST_BODY} bytes at once")
        body = self.rfile.read(int(said))
        if len(body) < int(said):
            raise _Unread("invalid", f"the body ended after {len(body)} of {said} bytes")
        return body

    def _read_away(self, left: int) -> None:
        """Read a body that is not taken: who is still sending does not hear an answer."""
        left = min(left, _MOST_UNREAD)
        while left > 0 and (block := self.rfile.read(min(left, 1 << 20))):
            left -= len(block)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        length = len(answer.body) if answer.file is None else answer.file[2]
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status not in (204, 304):
            self.send_header("Content-Length", str(length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        if answer.file is None:
            self.wfile.write(answer.body)
            return
        path, first, left = answer.file
        with path.open("rb") as file:
            file.seek(first)
            while left > 0 and (block := file.read(min(left, 1 << 20))):
                self.wfile.write(block)
                left -= len(block)
        if left:  # the file shrank: the answer cannot be finished
            self.close_connection = True

    def _drop(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):  # it may have gone already
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each request."""
