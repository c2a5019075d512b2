"""The neutral API of a `penstock serve` process as a door: each verb is one request or a few over a real socket.

No request carries files: what lies in a folder is published beside the server, as by who sits there, under the name
of the same caller. What the API has no word for is asked beside it too (`check`, `force`).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from attrs import evolve, frozen
from laws.doors.http_verbs import Admin, Endpoints, Pipelines, Runs
from laws.doors.reading import ANYBODY, read, read_error
from laws.doors.serving import Server, closed, opened, token_of

from penstock.callers import Caller
from penstock.config import Setting
from penstock.testing.subject import Subject
from penstock.workspace import Workspace


@frozen
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A workspace behind `/v1`. The handles on it are Python's own.

    With a `server` it is that one, which stays; else it shares the one of its registry. Who is `anonymous` has no
    token.
    """

    def __init__(
        self,
        subject: Subject,
        registry: str,
        *,
        actor: str = "ada",
        server: Server | None = None,
        token: str | None = None,
    ) -> None:
        subject.ready()
        file = subject.config.home / f"{registry}.db"
        self.config = evolve(subject.config, registry=Setting(file, "laws"))
        self.server = opened(subject, file) if server is None else server
        usual = "" if actor == ANYBODY else token_of(file, actor)
        self.token = usual if token is None else token
        self.reading_token = self.token or token_of(file, "ada")
        self._shared = server is None
        self._beside: Workspace | None = None
        self._caller = Caller(actor=actor, verified=True, door="rest", folder=Path())
        self._lines = threading.local()
        self.published_ids: set[str] = set()
        self.pipelines, self.endpoints, self.runs, self.admin = self._groups()

    def _groups(self) -> tuple[Any, Any, Any, Any]:
        return Pipelines(self), Endpoints(self), Runs(self), Admin(self)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. The server ends with the last of its doors."""
        self._hang_up()
        if self._beside is not None:
            self._beside.close()
            self._beside = None
        if self._shared:
            self._shared = False
            closed(self.server)

    publish = Workspace.publish
    published = Workspace.published
    create_endpoint = Workspace.create_endpoint
    endpoint = Workspace.endpoint
    submit = Workspace.submit
    run = Workspace.run

    @property
    def beside(self) -> Workspace:
        """The same workspace for the same caller, without the server between."""
        if self._beside is None:
            self._beside = Workspace.for_server(self.config)[0]
        return self._beside.as_(self._caller)

    def ask(self, cls: Any, method: str, path: str, data: Any = None, **more: Any) -> Any:
        """What the neutral API answers, as an instance of a class. Raises the PenstockError that it told."""
        reply = self.send(method, f"/v1{path}", data, **more)
        if reply.status >= 400:
            told = json.loads(reply.body)
            assert told["status"] == reply.status, told
            raise read_error({**told, "message": told["detail"]}, http_status=reply.status)
        return read(cls, json.loads(reply.body))

    def send(
        self,
        method: str,
        path: str,
        data: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        key: str | None = None,
        token: str | None = None,
        revision: str | None = None,
    ) -> Reply:
        """One request; a key goes as `Idempotency-Key`, a revision as `If-Match`."""
        said = {name: _said(value) for name, value in (query or {}).items() if value is not None}
        bearer = token or self.token
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        if key is not None:
            headers["Idempotency-Key"] = key.encode().decode("latin-1")
        if revision is not None:
            headers["If-Match"] = revision
        body = None if data is None else json.dumps(data).encode()
        line = self._line()
        try:
            line.request(method, f"{path}?{urlencode(said)}" if said else path, body, headers)
            answer = line.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except BaseException:
            self._hang_up()
            raise

    def _line(self) -> HTTPConnection:
        where = urlsplit(self.server.url)
        line: HTTPConnection | None = getattr(self._lines, "line", None)
        if line is None or (line.host, line.port) != (where.hostname, where.port):
            assert where.hostname is not None
            line = self._lines.line = HTTPConnection(where.hostname, where.port, timeout=120)
        return line

    def _hang_up(self) -> None:
        line: HTTPConnection | None = getattr(self._lines, "line", None)
        if line is not None:
            line.close()
            self._lines.line = None


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
