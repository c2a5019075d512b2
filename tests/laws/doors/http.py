"""The neutral API of a `penstock serve` process as a door: each verb is one request or a few over a real socket.

No request carries files: what lies in a folder is published beside the server, as by who sits there, under the name
of the same caller. What the API has no word for is asked beside it too (`check`, `force`).
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import evolve, frozen
from laws.doors.reading import read, read_error, read_submitted
from laws.doors.serving import Server, closed, opened, token_of

from penstock.config import Setting
from penstock.errors import WaitTimeout
from penstock.records import Caller, DefaultAt, EndpointRecord, HistoryRecord, Page, PublishedRecord, RunRecord
from penstock.registry import CancelOutcome, CheckReport, GateOutcome, MoveOutcome, VersionOutcome
from penstock.spec.values import RawValue
from penstock.testing.subject import Subject
from penstock.workspace import LogPart, Publishing, Submitted, Workspace

_MOST = 100_000
"""How much a listing answers at the most."""

_LONGEST_POLL = 30


@frozen
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http:
    """A workspace behind `/v1`. The handles on it are Python's own.

    With a `server` it is that one, which stays; else it shares the one of its registry.
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
        self.token = token_of(file, actor) if token is None else token
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
        headers = {"Authorization": f"Bearer {token or self.token}"}
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


class _Group:
    def __init__(self, door: Any) -> None:
        self._door = door
        self._ask = door.ask


class Pipelines(_Group):
    """Published pipelines."""

    def publish(self, source: Any, *, folder: Path | None = None, **asked: Any) -> Publishing:
        done: Publishing = self._door.beside.pipelines.publish(source, folder=folder, **asked)
        self._door.published_ids.add(done.published.id)
        return done

    def publish_from(self, ref: str, **asked: Any) -> Publishing:
        return self._ask(Publishing, "POST", "/pipelines", {"from": ref, **asked})

    def get(self, ref: str) -> PublishedRecord:
        return self._ask(PublishedRecord, "GET", f"/pipelines/{url(ref)}")

    def list(self, **asked: Any) -> Page[PublishedRecord]:
        return self._ask(Page[PublishedRecord], "GET", "/pipelines", query=paging(asked))

    def disable(self, ref: str, **asked: Any) -> GateOutcome:
        return self._ask(GateOutcome, "POST", f"/pipelines/{url(ref)}/disable", asked)

    def enable(self, ref: str) -> GateOutcome:
        return self._ask(GateOutcome, "POST", f"/pipelines/{url(ref)}/enable", {})

    def delete(self, ref: str) -> PublishedRecord:
        return self._ask(PublishedRecord, "DELETE", f"/pipelines/{url(ref)}")


class Endpoints(_Group):
    """Pipeline endpoints."""

    def create(
        self, name: str, published: str, *, description: str = "", tags: Mapping[str, str] | None = None
    ) -> EndpointRecord:
        asked = {"name": name, "published": published, "description": description, "tags": tags}
        return self._ask(EndpointRecord, "POST", "/endpoints", asked)

    def add_version(self, ref: str, published: str, **asked: Any) -> VersionOutcome:
        return self._ask(VersionOutcome, "POST", f"/endpoints/{url(ref)}/versions", {"published": published, **asked})

    def get(self, ref: str) -> EndpointRecord:
        return self._ask(EndpointRecord, "GET", f"/endpoints/{url(ref)}")

    def list(self, **asked: Any) -> Page[EndpointRecord]:
        return self._ask(Page[EndpointRecord], "GET", "/endpoints", query=paging(asked))

    def set_default(self, ref: str, version: str, *, expect: str | None = None) -> MoveOutcome:
        asked = {"version": version, "expect": expect}
        return self._ask(MoveOutcome, "PUT", f"/endpoints/{url(ref)}/default", asked)

    def rollback(self, ref: str, *, expect: str | None = None) -> MoveOutcome:
        return self._ask(MoveOutcome, "POST", f"/endpoints/{url(ref)}/rollback", {"expect": expect})

    def disable(self, ref: str, **asked: Any) -> GateOutcome:
        return self._ask(GateOutcome, "POST", f"{_gated(ref)}/disable", asked)

    def enable(self, ref: str) -> GateOutcome:
        return self._ask(GateOutcome, "POST", f"{_gated(ref)}/enable", {})

    def rename(self, ref: str, name: str) -> EndpointRecord:
        return self._ask(EndpointRecord, "PATCH", f"/endpoints/{url(ref)}", {"name": name})

    def delete(self, ref: str) -> EndpointRecord:
        return self._ask(EndpointRecord, "DELETE", f"/endpoints/{url(ref)}")

    def history(self, ref: str, **asked: Any) -> Page[HistoryRecord]:
        return self._ask(Page[HistoryRecord], "GET", f"/endpoints/{url(ref)}/history", query=paging(asked))

    def at(self, ref: str, when: datetime) -> DefaultAt:
        return self._ask(DefaultAt, "GET", f"/endpoints/{url(ref)}/at", query={"time": when})


class Runs(_Group):
    """Triggers and runs."""

    def submit(
        self,
        ref: str,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **asked: Any,
    ) -> Submitted:
        name, pinned = split_version(str(ref))
        body = {"parameters": dict(parameters or {}), **given(asked)}
        assert not any(isinstance(one, RawValue) for one in body["parameters"].values()), "JSON has its own types"
        version = pinned if version is None else version
        is_published = ":" in name or name in self._door.published_ids
        path = f"/{'pipelines' if is_published else 'endpoints'}/{url(name)}/runs"
        if version is not None:
            body["version"] = version
        return read_submitted(self._ask(dict, "POST", path, body, key=idempotency_key))

    def rerun(self, ref: str, *, idempotency_key: str | None = None) -> Submitted:
        return read_submitted(self._ask(dict, "POST", f"/runs/{url(ref)}/rerun", {}, key=idempotency_key))

    def get(self, ref: str) -> RunRecord:
        return self._ask(RunRecord, "GET", f"/runs/{url(ref)}")

    def list(self, *, all: bool = False, **asked: Any) -> Page[RunRecord]:
        return self._ask(Page[RunRecord], "GET", "/runs", query=paging(asked))

    def wait(self, ref: str, *, timeout: float | None = None, watch: Any = None) -> RunRecord:
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            poll = max(0, min(_LONGEST_POLL, math.floor(left) if left < math.inf else _LONGEST_POLL))
            run: RunRecord = self._ask(RunRecord, "GET", f"/runs/{url(ref)}", query={"wait": poll})
            if run.finished:
                return run
            if left <= 0:
                raise WaitTimeout(f"run {run.id} is still {run.state} after {timeout} s")
            time.sleep(min(0.05, left))

    def cancel(self, ref: str, *, reason: str = "", force: bool = False) -> CancelOutcome:
        if force:
            done: CancelOutcome = self._door.beside.runs.cancel(ref, reason=reason, force=True)
            return done
        return self._ask(CancelOutcome, "POST", f"/runs/{url(ref)}/cancel", {"reason": reason})

    def logs(self, ref: str, *, step: str | None = None) -> Iterator[LogPart]:
        steps = [one.name for one in self.get(ref).steps] if step is None else [step]
        return iter([LogPart(step=name, data=self._log(ref, name)) for name in steps])

    def outputs(self, ref: str) -> dict[str, Any]:
        outputs: dict[str, Any] = self._ask(dict, "GET", f"/runs/{url(ref)}/outputs")["outputs"]
        return outputs

    def _log(self, ref: str, step: str) -> bytes:
        path = f"/runs/{url(ref)}/logs/{url(step)}"
        reply: Reply = self._door.send("GET", f"/v1{path}")
        if reply.status >= 400:
            self._ask(dict, "GET", path)  # which raises what it told
        return reply.body


class Admin(_Group):
    """The workspace itself."""

    def history(self, **asked: Any) -> Page[HistoryRecord]:
        return self._ask(Page[HistoryRecord], "GET", "/history", query=paging(asked))

    def check(self) -> CheckReport:
        report: CheckReport = self._door.beside.admin.check()
        return report


def given(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What says anything."""
    return {name: value for name, value in asked.items() if value is not None}


def url(part: Any) -> str:
    """A part of a path."""
    return quote(str(part), safe="")


def paging(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The query of a listing, which answers so much at the most."""
    limit = asked.get("limit")
    return {**asked, "limit": None if limit is None else min(limit, _MOST)}


def split_version(ref: str) -> tuple[str, str | None]:
    """Cut `one@0` into the endpoint and the version; what is published keeps its target."""
    name, sign, version = ref.rpartition("@")
    return (name, version) if sign and ":" not in ref else (ref, None)


def _gated(ref: str) -> str:
    name, version = split_version(ref)
    return f"/endpoints/{url(name)}" + ("" if version is None else f"/versions/{url(version)}")


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, datetime) else str(value)
