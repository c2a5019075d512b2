"""A real `penstock serve` process and plain HTTP to it, for the tests of every door."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from penstock.workspace import Workspace

PENSTOCK = Path(sys.executable).with_name("penstock")


@frozen
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """One server process on a free port; `log` is its standard error."""

    def __init__(self, folder: Path, *options: str, env: Mapping[str, str] | None = None) -> None:
        self.log = folder / f"serve-{time.monotonic_ns()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [PENSTOCK, "serve", "--port", "0", "--json", *options],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(env or {})},
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.log.read_text()
        said = json.loads(line)
        self.url: str = said["url"]
        assert said["pid"] == self.process.pid
        self.host, self.port = str(urlsplit(self.url).hostname), int(urlsplit(self.url).port or 0)

    def call(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        """One request on a connection of its own; `data` is sent as JSON."""
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if data is not None:
            body = json.dumps(data).encode()
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()


def connected(server: Served) -> socket.socket:
    """A connection to a server."""
    return socket.create_connection((server.host, server.port), timeout=20)


def answer_to(server: Served, data: bytes) -> Reply:
    """The answer to bytes as they are, after which the server must close."""
    with connected(server) as connection:
        connection.sendall(data)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        reply = Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        with suppress(ConnectionResetError):  # it did not read all
            assert connection.recv(1) == b""
        return reply


def penstock(folder: Path, *arguments: str) -> str:
    """What a command prints that succeeds."""
    done = subprocess.run([PENSTOCK, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def token(folder: Path, name: str, scope: Any, endpoints: Sequence[str] | None = None) -> str:
    """A new token."""
    with Workspace.open(folder, env={}, actor="ada") as workspace:
        return workspace.tokens.create(name, scope=scope, endpoints=endpoints).token
