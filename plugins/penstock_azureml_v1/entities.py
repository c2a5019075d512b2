"""Our records as the entities of the wire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from attrs import frozen

from penstock.codec import time_text
from penstock.contract.run import RunState
from penstock.records import EndpointRecord, PublishedRecord, RunRecord
from penstock.spec.values import describe, json_text

_RUN_STATES: Mapping[RunState, tuple[str, int]] = {
    "queued": ("NotStarted", 0),
    "running": ("Running", 1),
    "failed": ("Failed", 2),
    "succeeded": ("Finished", 3),
    "canceled": ("Canceled", 4),
}
_HISTORY_STATES: Mapping[RunState, str] = {
    "queued": "NotStarted",
    "running": "Running",
    "failed": "Failed",
    "succeeded": "Completed",
    "canceled": "Canceled",
}
_ACTIVE, _DISABLED = ("Active", 0), ("Disabled", 2)


@frozen
class Entities:
    """Writes entities. `enums` says whether states are words or numbers; `base` is the URL of the workspace."""

    enums: Literal["strings", "integers"]
    base: str

    def pipeline(self, one: PublishedRecord) -> dict[str, Any]:
        """A published pipeline as a PipelineEntity."""
        return {
            "Id": one.id,
            "Name": one.name,
            "Description": one.description,
            "Version": one.label,
            "Url": f"{self.base}/PipelineRuns/PipelineSubmit/{one.id}",
            "ParameterAssignments": {},
            "DataSetDefinitionValueAssignments": {},
            "GraphId": one.digest,
            "TotalRunSteps": 0,
            "Etag": _etag(one.revision),
            "CreatedDate": time_text(one.created),
            "LastModifiedDate": time_text(one.modified),
            "EntityStatus": self._status(one.enabled),
            "ContinueRunOnStepFailure": True,
            "Properties": {"penstock_target": one.target},
            "EnableNotification": False,
        }

    def endpoint(self, one: EndpointRecord) -> dict[str, Any]:
        """An endpoint as a PipelineEndpointEntity."""
        return {
            "Id": one.id,
            "Name": one.name,
            "DefaultVersion": one.default,
            "Description": one.description,
            "PipelineVersionList": [
                {"Version": version.version, "PipelineId": version.published} for version in one.versions
            ],
            "Url": f"{self.base}/PipelineRuns/PipelineEndpointSubmit/Id/{one.id}",
            "Etag": _etag(one.revision),
            "CreatedDate": time_text(one.created),
            "LastModifiedDate": time_text(one.modified),
            "EntityStatus": self._status(one.enabled),
            "Properties": {},
            "SwaggerUrl": None,
            "tags": dict(one.tags),
        }

    def run(self, one: RunRecord) -> dict[str, Any]:
        """A run as a PipelineRunEntity."""
        word, number = _RUN_STATES[one.state]
        return {
            "Id": one.id,
            "Status": {
                "StatusCode": number if self.enums == "integers" else word,
                "StatusDetail": _detail(one),
                "CreationTime": time_text(one.created),
                "EndTime": _time(one.ended),
            },
            "PipelineId": one.published,
            "ParameterAssignments": {
                name: None if value is None else _text(value) for name, value in one.parameters.items()
            },
            "DataSetDefinitionValueAssignments": {},
            "RunHistoryExperimentName": one.experiment,
            "Description": one.description,
            "RunSource": "Unknown",
            "RunType": "HTTP",
            "IsSubmitted": one.external is not None,
            "HasErrors": one.state == "failed",
            "HasWarnings": False,
            "UploadState": "Completed",
            "TotalRunSteps": len(one.steps),
            "ScheduleId": None,
            "tags": dict(one.tags),
            "Properties": {},
            "EntityStatus": self._status(True),
            "CreatedDate": time_text(one.created),
            "LastModifiedDate": time_text(one.ended or one.started or one.created),
            "Etag": f'"{one.state}"',
            "GraphId": one.digest,
        }

    def _status(self, enabled: bool) -> str | int:
        word, number = _ACTIVE if enabled else _DISABLED
        return number if self.enums == "integers" else word


def history(one: RunRecord) -> dict[str, Any]:
    """A run as the run history writes it, with keys in lower case."""
    error = one.error
    return {
        "runId": one.id,
        "runNumber": None,
        "rootRunId": one.id,
        "experimentId": one.experiment,
        "status": _HISTORY_STATES[one.state],
        "createdUtc": time_text(one.created),
        "startTimeUtc": _time(one.started),
        "endTimeUtc": _time(one.ended),
        "runType": "azureml.PipelineRun",
        "description": one.description,
        "properties": {"azureml.pipelineid": one.published or "", "penstock.digest": one.digest},
        "tags": dict(one.tags),
        "error": None if error is None else {"error": {"code": error.code, "message": error.message}},
    }


def is_enabled(status: object) -> bool | None:
    """Whether an `EntityStatus` as callers write it, a word or a number, means open; None when it is not one."""
    return {"active": True, "0": True, "disabled": False, "2": False}.get(str(status).lower())


def _etag(revision: int) -> str:
    return f'"{revision}"'


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else time_text(moment)


def _detail(one: RunRecord) -> str | None:
    if one.error is not None:
        return f"{one.error.code}: {one.error.message}"
    return one.trouble or None


def _text(value: Any) -> str:
    """A value as the wire writes all of them, as text."""
    if isinstance(value, str):
        return value
    try:
        return json_text(value)
    except ValueError:
        return describe(value)
