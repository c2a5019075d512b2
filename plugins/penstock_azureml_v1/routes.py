"""Every route of the wire, by path. Success is exactly 200."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from penstock.contract.http import HttpAnswer, HttpRoute, Triggers
from penstock_azureml_v1 import endpoints, pipelines, runs
from penstock_azureml_v1.answers import answer, refuse
from penstock_azureml_v1.call import Call
from penstock_azureml_v1.hooks import AzuremlV1
from penstock_azureml_v1.submissions import read_body

_AT = "subscriptions/{s}/resourceGroups/{g}/providers/Microsoft.MachineLearningServices/workspaces/{w}"
_WS = f"/pipelines/v1.0/{_AT}"
_HISTORY = f"/history/v1.0/{_AT}"
_DATA_TYPES = ("AnyFile", "AnyDirectory")

Handler = Callable[[Call], HttpAnswer]


def _by_id(path: Mapping[str, str], _: Mapping[str, tuple[str, ...]]) -> str | None:
    return path["id"]


def _by_name(_: Mapping[str, str], query: Mapping[str, tuple[str, ...]]) -> str | None:
    names = {value for key, values in query.items() if key.lower() == "name" for value in values}
    return names.pop() if len(names) == 1 else None


_TRIGGERS: dict[Handler, Triggers] = {runs.submit_endpoint: _by_id, runs.submit_endpoint_by_name: _by_name}
"""Which endpoint a request triggers."""

_ROUTES: tuple[tuple[str, str, Handler], ...] = (
    ("POST", f"{_WS}/Pipelines/Create", pipelines.create),
    ("GET", f"{_WS}/Pipelines", pipelines.list_all),
    ("GET", f"{_WS}/Pipelines/{{id}}", pipelines.get),
    ("PUT", f"{_WS}/Pipelines/{{id}}/status", pipelines.set_status),
    ("POST", f"{_WS}/PipelineRuns/PipelineSubmit/{{id}}", runs.submit_pipeline),
    ("POST", f"{_WS}/Experiments/PipelineSubmit/{{id}}", runs.submit_pipeline),
    ("POST", f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Id/{{id}}", runs.submit_endpoint),
    ("POST", f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Id/{{id}}/{{version}}", runs.submit_endpoint),
    ("POST", f"{_WS}/PipelineRuns/PipelineEndpointSubmit/Name", runs.submit_endpoint_by_name),
    ("GET", f"{_WS}/PipelineRuns/Pipeline/{{id}}", runs.list_of_pipeline),
    ("GET", f"{_WS}/PipelineRuns/{{id}}", runs.get),
    ("DELETE", f"{_WS}/PipelineRuns/{{id}}/Execution", runs.cancel),
    ("POST", f"{_WS}/PipelineRuns/{{id}}/Cancel", runs.cancel),
    ("POST", f"{_WS}/PipelineEndpoints/Create", endpoints.create),
    ("GET", f"{_WS}/PipelineEndpoints", endpoints.list_all),
    ("GET", f"{_WS}/PipelineEndpoints/Name", endpoints.get_by_name),
    ("GET", f"{_WS}/PipelineEndpoints/Id/{{id}}", endpoints.get),
    ("PUT", f"{_WS}/PipelineEndpoints/{{id}}", endpoints.put),
    ("GET", f"{_WS}/PipelineEndpoints/{{id}}/pipelines", endpoints.pipelines_of),
    ("GET", f"{_HISTORY}/experiments/{{experiment}}/runs/{{id}}", runs.history),
    ("GET", f"{_HISTORY}/experiments/{{experiment}}/runs/{{id}}/details", runs.history_details),
    ("GET", f"{_HISTORY}/runs/{{id}}", runs.history),
    ("GET", f"{_HISTORY}/runs/{{id}}/details", runs.history_details),
    ("POST", f"{_HISTORY}/experiments/{{experiment}}/runs:query", runs.history_query),
)


def routes(door: AzuremlV1) -> tuple[HttpRoute, ...]:
    """The routes of one door."""

    def route(method: str, path: str, handler: Handler, *, open: bool = False) -> HttpRoute:
        return HttpRoute(
            method=method,
            path=path,
            handler=lambda request: handler(Call(request, door)),
            refuse=refuse,
            door="azureml_v1",
            open=open,
            triggers=_TRIGGERS.get(handler),
        )

    return (
        *(route(*each) for each in _ROUTES),
        route("GET", f"{_WS}/DataTypes", _data_types),
        route("POST", f"{_WS}/DataTypes", _make_data_type),
        route("GET", "/discovery", _discovery, open=True),
        route("GET", "/pipelines/v1.0/discovery", _discovery, open=True),
    )


def _discovery(call: Call) -> HttpAnswer:
    names = ("api", "experimentation", "history", "hyperdrive", "modelmanagement", "studio", "pipelines")
    return answer(dict.fromkeys(names, call.request.base_url))


def _data_types(_: Call) -> HttpAnswer:
    return answer([_data_type({"Name": name}) for name in _DATA_TYPES])


def _make_data_type(call: Call) -> HttpAnswer:
    """Clients make the data types that they miss when they start; which ones there are means nothing here."""
    return answer(_data_type(read_body(call.request.body)))


def _data_type(given: dict[str, Any]) -> dict[str, Any]:
    name = str(given.get("Name") or given.get("Id") or "")
    return {
        "Id": str(given.get("Id") or name),
        "Name": name,
        "Description": str(given.get("Description") or ""),
        "IsDirectory": bool(given.get("IsDirectory", name == "AnyDirectory")),
        "ParentDataTypeIds": given.get("ParentDataTypeIds") or [],
    }
