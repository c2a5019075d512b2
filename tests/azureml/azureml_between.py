"""Whoever stands between a target and the emulator: a real HTTPS server that passes calls on, unless a test answers."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Given = tuple[int, dict[str, str], bytes]
"""An answer: status, headers, body."""


class Between:
    """A server with an authority of its own. `calls` are the verb and path of each call, with what was sent.

    `answer` may answer a call (verb, path with its query), and `change` the emulator's answer to one, of which it is
    given the path and what JSON has (None: it is none).
    """

    def __init__(self, folder: Path, emulator: Mapping[str, Any]) -> None:
        import trustme

        authority = trustme.CA()
        self.ca = folder / "between.pem"
        self.ca.write_bytes(authority.cert_pem.bytes())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
        self.calls: list[tuple[str, str, Mapping[str, str]]] = []
        self.answer: Callable[[str, str], Given | None] = lambda verb, path: None
        self.change: Callable[[str, str, Any], Any] = lambda verb, path, body: body
        self._server = _Server(self, context)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.behind = str(emulator["url"]).removeprefix("https://")
        self.trusted = ssl.create_default_context(cafile=emulator["target"]["ca"])
        self.target = {**emulator["target"], "resource_manager": f"https://{self.host}", "ca": str(self.ca)}
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Serve nobody any more."""
        self._server.shutdown()
        self._server.server_close()

    def called(self, pattern: str) -> list[tuple[str, str, Mapping[str, str]]]:
        """The calls whose verb and path (`GET /...`) hold a pattern."""
        return [one for one in self.calls if re.search(pattern, f"{one[0]} {one[1]}")]

    def passed(self, verb: str, path: str, headers: Mapping[str, str], body: bytes) -> Given:
        """What the emulator answers, as if it had our address."""
        link = http.client.HTTPSConnection(self.behind, context=self.trusted, timeout=60)
        kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "connection")}
        link.request(verb, path, body or None, {**kept, "Host": self.behind})
        found = link.getresponse()
        data = found.read().replace(self.behind.encode(), self.host.encode())
        link.close()
        told = {
            name: value.replace(self.behind, self.host)
            for name, value in found.getheaders()
            if name.lower() not in ("content-length", "connection", "date", "server")
        }
        if "json" in told.get("Content-Type", ""):
            changed = self.change(verb, path, json.loads(data))
            data = json.dumps(changed).encode()
        return found.status, told, data


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, between: Between, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.between = between
        self.context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers go away; that is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _met(self) -> None:
        between = self.server.between
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        between.calls.append((self.command, self.path, dict(self.headers.items())))
        status, told, data = between.answer(self.command, self.path) or between.passed(
            self.command, self.path, dict(self.headers.items()), body
        )
        self.send_response(status)
        for name, value in told.items():
            self.send_header(name, value)
        if "Transfer-Encoding" not in told and status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if "Transfer-Encoding" in told:  # without end
            with contextlib.suppress(OSError):
                while True:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _met  # the names that http.server calls

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing of each call."""


@contextmanager
def between(folder: Path, emulator: Mapping[str, Any]) -> Iterator[Between]:
    """One that runs."""
    made = Between(folder, emulator)
    try:
        yield made
    finally:
        made.close()
