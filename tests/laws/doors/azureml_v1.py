"""The wire of Azure ML v1 as a door: what it can say goes by it, everything else by `/v1` of the same server.

What it answers has less in it than a record; the rest is read by `/v1`, and the two have to agree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from laws.doors import http_verbs
from laws.doors.http import Http, Reply
from laws.doors.http_verbs import split_version, url
from laws.doors.reading import read_error

from penstock.errors import Conflict
from penstock.records import EndpointRecord, PublishedRecord, RunRecord
from penstock.registry import CancelOutcome, GateOutcome, MoveOutcome
from penstock.spec.values import RawValue
from penstock.testing.laws import require, same
from penstock.workspace import Submitted

_WS = "/pipelines/v1.0/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
_NO_MORE = {"where": None, "hint": None, "severity": "error"}
_SAID = ("experiment", "description", "tags")
_ETAG_TRIES = 20
_NOT_ONLY_TEXT = re.compile(r"[-+.0-9\[{]|(true|false|nan|inf|infinity|null)$", re.IGNORECASE)
_ID = re.compile(r"[0-9a-f-]{36}")


class AzuremlV1(Http):
    """A workspace behind the wire. The handles on it are Python's own."""

    def _groups(self) -> tuple[Any, Any, Any, Any]:
        return _Pipelines(self), _Endpoints(self), _Runs(self), http_verbs.Admin(self)

    def wire(self, method: str, path: str, data: Any = None, **more: Any) -> Any:
        """What the wire answers to one request, None for nothing. Raises the PenstockError that it told."""
        reply: Reply = self.send(method, _WS + path, data, **more)
        if reply.status >= 400:
            told = json.loads(reply.body)["Error"]
            details = [
                {"code": one["Code"], "message": one["Message"], "path": one["Target"], **_NO_MORE}
                for one in told["Details"]
            ]
            told = {"code": told["Code"], "message": told["Message"], "details": details}
            raise read_error(told, http_status=reply.status)
        require(11, reply.status == 200, f"{method} {path} answers {reply.status}: clients of the wire expect 200")
        return json.loads(reply.body) if reply.body else None


class _Pipelines(http_verbs.Pipelines):
    def get(self, ref: str) -> PublishedRecord:
        found = super().get(ref)
        told = self._door.wire("GET", f"/Pipelines/{url(ref)}")
        _shown(told, found.id, Id=found.id, Name=found.name, Version=found.label, GraphId=found.digest)
        return found

    def enable(self, ref: str) -> GateOutcome:
        before = super().get(ref)
        self._door.wire("PUT", f"/Pipelines/{url(ref)}/status", "Active")
        subject = f"{before.name}:{before.label}@{before.target}"
        return GateOutcome(
            changed=not before.enabled, subject_id=before.id, subject=subject, gate=super().get(ref).gate
        )


class _Endpoints(http_verbs.Endpoints):
    def create(self, name: str, published: str, **asked: Any) -> EndpointRecord:
        body = {"Name": name, "PipelineId": published, "Description": asked.get("description") or None}
        told = self._door.wire("POST", "/PipelineEndpoints/Create", {**body, "tags": asked.get("tags")})
        return super().get(told["Id"])

    def get(self, ref: str) -> EndpointRecord:
        told = self._entity(ref)
        found = super().get(ref)
        if f'"{found.revision}"' == told["Etag"]:
            versions = [{"Version": one.version, "PipelineId": one.published} for one in found.versions]
            said = {"DefaultVersion": found.default, "PipelineVersionList": versions, "Name": found.name}
            _shown(told, found.id, Id=found.id, EntityStatus="Active" if found.enabled else "Disabled", **said)
        return found

    def set_default(self, ref: str, version: str, *, expect: str | None = None, reason: str = "") -> MoveOutcome:
        if expect is not None or reason:  # for which the wire has no word
            return super().set_default(ref, version, expect=expect, reason=reason)
        before, after = self._put(ref, lambda _: {"DefaultVersion": str(version)})
        was, now = before["DefaultVersion"], after["DefaultVersion"]
        return MoveOutcome(endpoint=super().get(ref), from_=was, to=now, moved=was != now)

    def _put(self, ref: str, change: Callable[[Any], dict[str, Any]]) -> tuple[Any, Any]:
        """Read the whole entity and write it back with a change, as the SDK does: before and after."""
        for _ in range(_ETAG_TRIES):
            before = self._entity(ref)
            try:
                after = self._door.wire("PUT", f"/PipelineEndpoints/{before['Id']}", {**before, **change(before)})
            except Conflict as error:
                if error.code != "revision_changed":
                    raise
            else:
                return before, after
        raise AssertionError(f"endpoint {ref} was changed meanwhile {_ETAG_TRIES} times")

    def _entity(self, ref: str) -> Any:
        if _ID.fullmatch(ref):
            return self._door.wire("GET", f"/PipelineEndpoints/Id/{url(ref)}")
        return self._door.wire("GET", "/PipelineEndpoints/Name", query={"name": ref})


class _Runs(http_verbs.Runs):
    _turn = 0

    def submit(
        self,
        ref: str,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
        **asked: Any,
    ) -> Submitted:
        values = dict(parameters or {})
        if {name for name, value in asked.items() if value} - set(_SAID) or not all(map(_is_sayable, values.values())):
            return super().submit(ref, version=version, parameters=values, idempotency_key=idempotency_key, **asked)
        body = {
            "ParameterAssignments": {name: _as_text(value) for name, value in values.items()},
            "ExperimentName": asked.get("experiment"),
            "Description": asked.get("description"),
            "tags": asked.get("tags"),
        }
        path, query = self._way(str(ref), version)
        began = datetime.now(UTC)
        told = self._door.wire("POST", f"/PipelineRuns/{path}", body, query=query, key=idempotency_key)
        run = self._door.ask(RunRecord, "GET", f"/runs/{told['Id']}", token=self._door.reading_token)
        replayed = run.created < began  # the wire does not say, and it is one machine
        require(
            10, replayed or run.door == "azureml_v1", f"run {run.id} came by the wire and is said to be `{run.door}`'s"
        )
        _run_shown(told, run)
        return Submitted(run=run, replayed=replayed, warnings=())

    def get(self, ref: str) -> RunRecord:
        told = self._door.wire("GET", f"/PipelineRuns/{url(ref)}")
        run = super().get(ref)
        _run_shown(told, run)
        return run

    def cancel(self, ref: str, *, reason: str = "", force: bool = False) -> CancelOutcome:
        if reason or force:
            return super().cancel(ref, reason=reason, force=force)
        before = super().get(ref)
        self._turn += 1
        way = ("DELETE", "Execution") if self._turn % 2 else ("POST", "Cancel")
        self._door.wire(way[0], f"/PipelineRuns/{url(ref)}/{way[1]}")
        run = super().get(ref)
        requested = run.cancel_requested and not before.cancel_requested
        return CancelOutcome(run=run, ended=requested and run.finished, requested=requested)

    def _way(self, ref: str, version: str | int | None) -> tuple[str, dict[str, Any]]:
        """One of the ways to trigger this, each in its turn."""
        name, pinned = split_version(ref)
        version = pinned if version is None else str(version)
        if ":" in name or name in self._door.published_ids:
            return f"PipelineSubmit/{url(name)}", {}
        self._turn += 1
        if self._turn % 3 == 0:
            return "PipelineEndpointSubmit/Name", {"name": name, "pipelineVersion": version}
        if self._turn % 3 == 1 or version is None:
            return f"PipelineEndpointSubmit/Id/{url(name)}", {"pipelineVersion": version}
        return f"PipelineEndpointSubmit/Id/{url(name)}/{url(version)}", {}


def _is_sayable(value: Any) -> bool:
    """Whether a value means the same as text. What is read by the declared type must not become what it was not."""
    if isinstance(value, str) and not isinstance(value, RawValue):
        return not _NOT_ONLY_TEXT.match(value)
    return not isinstance(value, bool)


def _as_text(value: Any) -> Any:
    """A value as the SDK sends it."""
    return repr(value) if isinstance(value, int | float) else value


def _run_shown(told: Mapping[str, Any], run: RunRecord) -> None:
    """Hold that the wire shows the run that there is; states go on meanwhile."""
    said = {"Id": run.id, "PipelineId": run.published, "GraphId": run.digest, "Description": run.description}
    _shown(told, run.id, **said, RunHistoryExperimentName=run.experiment, tags=dict(run.tags))
    if run.state == "queued":
        _shown(told["Status"], run.id, StatusCode="NotStarted")


def _shown(told: Mapping[str, Any], what: str, **expected: Any) -> None:
    same(11, {name: told[name] for name in expected}, expected, f"what the wire says of {what}")
