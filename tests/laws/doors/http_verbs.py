"""The verbs of the neutral API: each is one request or a few."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from laws.doors.reading import read_submitted

from penstock.errors import WaitTimeout
from penstock.records import DefaultAt, EndpointRecord, HistoryRecord, Page, PublishedRecord, RunRecord
from penstock.registry import CancelOutcome, CheckReport, GateOutcome, MoveOutcome, VersionOutcome
from penstock.spec.values import RawValue
from penstock.workspace import LogPart, Publishing, Submitted

_MOST = 100_000
"""How much a listing answers at the most."""

_LONGEST_POLL = 30


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

    def set_default(self, ref: str, version: str, *, expect: str | None = None, reason: str = "") -> MoveOutcome:
        asked = {"version": version, "expect": expect, "reason": reason}
        return self._ask(MoveOutcome, "PUT", f"/endpoints/{url(ref)}/default", asked)

    def rollback(self, ref: str, **asked: Any) -> MoveOutcome:
        return self._ask(MoveOutcome, "POST", f"/endpoints/{url(ref)}/rollback", asked)

    def disable(self, ref: str, **asked: Any) -> GateOutcome:
        return self._ask(GateOutcome, "POST", f"{_gated(ref)}/disable", asked)

    def enable(self, ref: str) -> GateOutcome:
        return self._ask(GateOutcome, "POST", f"{_gated(ref)}/enable", {})

    def access(self, ref: str, access: str) -> EndpointRecord:
        return self._ask(EndpointRecord, "PUT", f"/endpoints/{url(ref)}/access", {"access": access})

    def deduplicate(self, ref: str, window: int | None) -> EndpointRecord:
        path = f"/endpoints/{url(ref)}/deduplication"
        if window is None:
            return self._ask(EndpointRecord, "DELETE", path)
        return self._ask(EndpointRecord, "PUT", path, {"deduplication_window": window})

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
        large_code: bool = False,
        **asked: Any,
    ) -> Submitted:
        assert not large_code, "a file is named by nobody here"
        name, pinned = split_version(str(ref))
        body = {"parameters": dict(parameters or {}), **given(asked)}
        assert not any(isinstance(one, RawValue) for one in body["parameters"].values()), "JSON has its own types"
        version = pinned if version is None else version
        is_published = ":" in name or name in self._door.published_ids
        path = f"/{'pipelines' if is_published else 'endpoints'}/{url(name)}/runs"
        if version is not None:
            body["version"] = version
        return read_submitted(self._ask(dict, "POST", path, body, key=idempotency_key))

    def rerun(
        self, ref: str, *, parameters: dict[str, Any] | None = None, idempotency_key: str | None = None
    ) -> Submitted:
        data = {} if parameters is None else {"parameters": parameters}
        return read_submitted(self._ask(dict, "POST", f"/runs/{url(ref)}/rerun", data, key=idempotency_key))

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
        reply = self._door.send("GET", f"/v1{path}")
        if reply.status >= 400:
            self._ask(dict, "GET", path)  # which raises what it told
        body: bytes = reply.body
        return body


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
