"""Batch endpoints and their deployments of pipeline components, each change of which is a long-running operation."""

from __future__ import annotations

import re
from typing import Any

from penstock_azureml_emulator import documents as docs
from penstock_azureml_emulator.arm import LOCATION, Call, Route, answer, page, within
from penstock_azureml_emulator.assets import Assets
from penstock_azureml_emulator.documents import Documents
from penstock_azureml_emulator.errors import invalid, missing, unsupported
from penstock_azureml_emulator.operations import Operations
from penstock_azureml_emulator.submissions import check_settings
from penstock_azureml_emulator.workspace import Workspace
from penstock_emulator.http import Answer

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_BODY = frozenset({"location", "tags", "identity", "kind", "sku", "properties", "id", "name", "type", "systemData"})
_ENDPOINT = frozenset({"authMode", "defaults", "description", "properties", "keys"})
_DEPLOYMENT = frozenset(
    {
        "deploymentConfiguration", "description", "properties", "environmentVariables", "errorThreshold",
        "loggingLevel", "maxConcurrencyPerInstance", "miniBatchSize", "outputAction", "outputFileName",
        "retrySettings", "resources", "compute", "codeConfiguration", "environmentId", "model",
    }
)  # fmt: skip
_READ_ONLY = frozenset({"provisioningState", "scoringUri", "swaggerUri"})


class Endpoints:
    """Batch endpoints of the workspace."""

    def __init__(self, documents: Documents, assets: Assets, workspace: Workspace, operations: Operations) -> None:
        self._documents = documents
        self._assets = assets
        self._workspace = workspace
        self._operations = operations

    def routes(self) -> list[Route]:
        """What is answered."""
        base = "WORKSPACE/batchEndpoints"
        one = f"{base}/{{endpoint}}"
        below, schema = f"{one}/deployments/{{deployment}}", "workspaces_batchEndpoints"
        return [
            Route("GET", base, "batchEndpoints.list", self._list),
            Route("PUT", one, "batchEndpoints.put", self._put, schema=schema),
            Route("PATCH", one, "batchEndpoints.patch", self._patch),
            Route("GET", one, "batchEndpoints.get", lambda call: answer(self.endpoint(call))),
            Route("DELETE", one, "batchEndpoints.delete", lambda call: self._delete(call, self._path(call))),
            Route("GET", f"{one}/deployments", "deployments.list", self._deployments),
            Route("PUT", below, "deployments.put", self._put_deployment, schema=f"{schema}_deployments"),
            Route(
                "GET", below, "deployments.get", lambda call: answer(self.deployment(call, call.names["deployment"]))
            ),
            Route("DELETE", below, "deployments.delete", self._delete_deployment),
        ]

    def endpoint(self, call: Call) -> dict[str, Any]:
        """The endpoint that a call names. Raises ArmError."""
        found = self._documents.get(self._path(call))
        if found is None:
            raise missing("batchEndpoints", call.names["endpoint"])
        return self._shown(call, found)

    def deployment(self, call: Call, name: str) -> dict[str, Any]:
        """A deployment of the endpoint that a call names. Raises ArmError."""
        found = self._documents.get(f"{self._path(call)}/deployments/{name}")
        if found is None:
            raise missing("deployments", f"{call.names['endpoint']}/{name}")
        return self._now(found, f"{self._path(call)}/deployments/{name}")

    def _path(self, call: Call) -> str:
        return f"batchEndpoints/{call.names['endpoint']}"

    def _shown(self, call: Call, document: dict[str, Any]) -> dict[str, Any]:
        """With its addresses, which depend on where the emulator is."""
        scoring = f"{call.url}/batch/{document['name']}/jobs"
        addresses = {"scoringUri": scoring, "swaggerUri": scoring.removesuffix("jobs") + "swagger.json"}
        return self._now(
            {**document, "properties": {**document["properties"], **addresses}}, f"batchEndpoints/{document['name']}"
        )

    def _now(self, document: dict[str, Any], path: str) -> dict[str, Any]:
        """What a resource looks like while an operation works at it."""
        if not self._operations.working(path):
            return document
        return {**document, "properties": {**document["properties"], "provisioningState": "Updating"}}

    def _put(self, call: Call) -> Answer:
        body, properties = _read(call, call.names["endpoint"], _ENDPOINT)
        if str(properties.get("authMode")).lower() != "aadtoken":
            raise invalid("properties.authMode: AADToken is needed, which is all that a batch endpoint has")
        path = self._path(call)
        before = self._documents.get(path)
        docs.check_match(call.request, before)
        defaults = properties.get("defaults") or {}
        if not isinstance(defaults, dict) or set(defaults) - {"deploymentName"}:
            raise invalid("properties.defaults: an object with deploymentName is needed")
        name = defaults.get("deploymentName")
        if name is not None and self._documents.get(f"{path}/deployments/{name}") is None:
            raise invalid(f"properties.defaults.deploymentName: the deployment {name} does not exist")
        properties["defaults"] = {"deploymentName": name}
        return self._stored(call, path, {**body, "properties": properties}, before)

    def _patch(self, call: Call) -> Answer:
        """Source: an endpoint's PATCH changes tags and identity alone."""
        found, body = self._documents.get(self._path(call)), call.body()
        if found is None:
            raise missing("batchEndpoints", call.names["endpoint"])
        unknown = sorted(set(body) - {"tags", "identity"})
        if unknown:
            raise invalid(f"body: {', '.join(unknown)}: only tags and identity can be patched")
        _check_texts(body.get("tags") or {}, "tags")
        return answer(self._shown(call, self._documents.put(self._path(call), {**found, **body})))

    def _list(self, call: Call) -> Answer:
        return page(call, [self._shown(call, one) for one in self._documents.all_in("batchEndpoints")])

    def _deployments(self, call: Call) -> Answer:
        self.endpoint(call)
        below = f"{self._path(call)}/deployments"
        return page(call, [self._now(one, f"{below}/{one['name']}") for one in self._documents.all_in(below)])

    def _put_deployment(self, call: Call) -> Answer:
        self.endpoint(call)
        name = call.names["deployment"]
        body, properties = _read(call, name, _DEPLOYMENT)
        wanted = properties.get("deploymentConfiguration")
        if not isinstance(wanted, dict) or wanted.get("deploymentConfigurationType") != "PipelineComponent":
            raise unsupported("a deployment that is none of a pipeline component")
        unknown = sorted(
            set(wanted) - {"deploymentConfigurationType", "componentId", "description", "settings", "tags"}
        )
        if unknown:
            raise invalid(f"properties.deploymentConfiguration: {', '.join(unknown)}: unknown")
        reference = wanted.get("componentId")
        if not isinstance(reference, dict) or reference.get("referenceType") != "Id":
            raise invalid("properties.deploymentConfiguration.componentId: referenceType Id and an assetId are needed")
        if self._assets.component(str(reference.get("assetId")))["type"] != "pipeline":
            raise invalid(f"{within(reference['assetId'])} is no pipeline component")
        wanted["settings"] = wanted.get("settings") or {}
        if check_settings(wanted["settings"]).get("default_compute"):
            self._workspace.compute(wanted["settings"]["default_compute"], "settings.default_compute")
        path = f"{self._path(call)}/deployments/{name}"
        before = self._documents.get(path)
        docs.check_match(call.request, before)
        return self._stored(call, path, {**body, "properties": properties}, before)

    def _stored(self, call: Call, path: str, body: dict[str, Any], before: dict[str, Any] | None) -> Answer:
        """Write what an operation makes; one that fails late leaves the resource behind as failed."""
        body["properties"]["provisioningState"] = "Failed" if call.fate.error else "Succeeded"
        found = self._documents.put(path, body)
        shown = self._shown(call, found) if "/deployments/" not in path else found
        state = "Updating" if before else "Creating"
        begun = {**self._operations.begin(call, path), "ETag": docs.etag(found)}
        said = {**shown, "properties": {**shown["properties"], "provisioningState": state}}
        return answer(said, 200 if before else 201, **begun)

    def _delete_deployment(self, call: Call) -> Answer:
        endpoint = self._documents.get(self._path(call))
        name = call.names["deployment"]
        if endpoint is not None and endpoint["properties"]["defaults"]["deploymentName"] == name:
            raise invalid(f"the deployment {name} is the default of its endpoint: make another the default first")
        return self._delete(call, f"{self._path(call)}/deployments/{name}")

    def _delete(self, call: Call, path: str) -> Answer:
        found = self._documents.get(path)
        docs.check_match(call.request, found)
        if found is None:
            return Answer(204)
        if not call.fate.error:
            self._documents.delete(path)
        begun = self._operations.begin(call, path)
        return Answer(202, {"Location": begun["Location"], "x-ms-retry-after-ms": begun["x_ms_retry_after_ms"]})


def _read(call: Call, name: str, known: frozenset[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The body of a tracked resource and its properties, without what is null. Raises ArmError."""
    if not _NAME.fullmatch(name):
        raise invalid(
            f"{name}: a name has 3 to 32 letters, digits and `-`, begins with a letter and ends with none of `-`"
        )
    body = call.body()
    properties = body.get("properties")
    unknown = sorted(set(body) - _BODY)
    if not isinstance(properties, dict) or unknown:
        raise invalid(f"body: `properties` is needed, an object, and no {', '.join(unknown) or 'other type'}")
    if str(body.get("location", "")).lower().replace(" ", "") != LOCATION:
        raise invalid(f"location: {body.get('location')!r} is not the workspace's, {LOCATION}")
    _check_texts(body.get("tags") or {}, "tags")
    unknown = sorted(set(properties) - known - _READ_ONLY)
    if unknown:
        raise invalid(f"properties: {', '.join(unknown)}: unknown")
    kept = {key: value for key, value in properties.items() if value is not None and key not in _READ_ONLY}
    return {"tags": {}, **{key: value for key, value in body.items() if value is not None}}, kept


def _check_texts(data: Any, where: str) -> None:
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise invalid(f"{where}: an object of texts is needed")
