"""The scoring address of a batch endpoint: a POST makes a job of a deployment's pipeline, each time another.

Source: Azure ML's page on the REST of batch endpoints, and what azure-ai-ml's `batch_endpoints.invoke` sends.
"""

from __future__ import annotations

import uuid
from typing import Any

from penstock_azureml_emulator.arm import Call, Route, answer, page
from penstock_azureml_emulator.endpoints import Endpoints
from penstock_azureml_emulator.errors import ArmError, invalid, missing
from penstock_azureml_emulator.jobs import Jobs
from penstock_azureml_emulator.submissions import Submissions, check_settings
from penstock_emulator.http import Answer

HEADER = "azureml-model-deployment"
"""Which deployment is asked for, and in the answer which one it was."""

_TYPES = {
    "literal": "literal", "urifolder": "uri_folder", "urifile": "uri_file", "mltable": "mltable",
    "custommodel": "custom_model", "mlflowmodel": "mlflow_model", "tritonmodel": "triton_model",
}  # fmt: skip
_KNOWN = frozenset({"inputdata", "outputdata", "properties", "name", "tags", "description", "displayname"})


class Invocations:
    """Answers at the scoring addresses."""

    def __init__(self, endpoints: Endpoints, submissions: Submissions, jobs: Jobs) -> None:
        self._endpoints = endpoints
        self._submissions = submissions
        self._jobs = jobs

    def routes(self) -> list[Route]:
        """What is answered."""
        return [
            Route("POST", "/batch/{endpoint}/jobs", "invoke", self._invoke, arm=False),
            Route("GET", "WORKSPACE/batchEndpoints/{endpoint}/jobs", "batchEndpoints.jobs", self._list),
        ]

    def _invoke(self, call: Call) -> Answer:
        endpoint = self._endpoints.endpoint(call)
        wanted = call.request.headers.get(HEADER) or endpoint["properties"]["defaults"]["deploymentName"]
        if not wanted:
            raise invalid(f"the endpoint {endpoint['name']} has no default deployment, and the call names none")
        deployment = self._endpoints.deployment(call, wanted)
        if deployment["properties"]["provisioningState"] != "Succeeded":
            raise invalid(f"the deployment {wanted} is {deployment['properties']['provisioningState']}")
        told = _lowered(call.body().get("properties") or {}, "properties")
        unknown = sorted(set(told) - _KNOWN)
        if unknown:
            raise invalid(f"properties: {', '.join(unknown)}: unknown")
        configuration = deployment["properties"]["deploymentConfiguration"]
        about = _lowered(told.get("properties") or {}, "properties.properties")
        given: dict[str, Any] = {
            "jobType": "Pipeline",
            "componentId": configuration["componentId"]["assetId"],
            "displayName": told.get("displayname"),
            "description": told.get("description") or configuration.get("description"),
            "experimentName": about.get("experimentname") or endpoint["name"],
            "inputs": {key: _port(one, f"InputData.{key}", "jobInputType") for key, one in _each(told, "inputdata")},
            "outputs": {
                key: _port(one, f"OutputData.{key}", "jobOutputType") for key, one in _each(told, "outputdata")
            },
            "settings": check_settings(configuration["settings"]),
            "tags": {
                **(configuration.get("tags") or {}),
                **(told.get("tags") or {}),
                "azureml.batchrun": "true",
                "azureml.deploymentname": deployment["name"],
                "azureml.jobtype": "azureml.pipelinejob",
            },
            "properties": {"azureml.endpointname": endpoint["name"], "azureml.deploymentname": deployment["name"]},
        }
        name = str(told.get("name") or f"batchjob-{uuid.uuid4()}")
        properties = self._submissions.read({"properties": given})
        if self._jobs.find(name) is not None:
            raise ArmError("Conflict", f"a job with the name {name} already exists")
        job = self._jobs.submit(name, properties)
        return answer(job, 201, **{HEADER: deployment["name"]})

    def _list(self, call: Call) -> Answer:
        self._endpoints.endpoint(call)
        wanted = call.names["endpoint"].lower()
        found = [
            one
            for one in self._jobs.all()
            if one["properties"]["properties"].get("azureml.endpointname", "").lower() == wanted
        ]
        return page(call, found)


def _each(told: dict[str, Any], key: str) -> list[tuple[str, Any]]:
    found = told.get(key) or {}
    if not isinstance(found, dict):
        raise invalid(f"properties.{key}: an object is needed")
    return list(found.items())


def _port(value: Any, where: str, key: str) -> dict[str, Any]:
    """An input or output in the words of a job, from PascalCase or camelCase. Raises ArmError."""
    told = _lowered(value, f"properties.{where}")
    said = str(told.get(key.lower(), "")).replace("_", "").lower()
    if said not in _TYPES:
        raise invalid(f"properties.{where}: {key[0].upper() + key[1:]} {said!r} is none of Literal, UriFile, UriFolder")
    return {key: _TYPES[said], **{one: told[one] for one in ("value", "uri", "mode") if told.get(one) is not None}}


def _lowered(data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise missing(where, "as an object") if data is None else invalid(f"{where}: an object is needed")
    return {str(key).lower(): value for key, value in data.items()}
