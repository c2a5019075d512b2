"""The workspace itself, its computes, and the documents by which its other services are found."""

from __future__ import annotations

import re
from typing import Any

from penstock_azureml_emulator import identity
from penstock_azureml_emulator.arm import (
    LOCATION,
    PROVIDER,
    WORKSPACE,
    WORKSPACE_ID,
    WORKSPACE_PATH,
    Call,
    Route,
    answer,
    page,
)
from penstock_azureml_emulator.documents import Documents
from penstock_azureml_emulator.errors import ArmError, invalid, missing
from penstock_azureml_emulator.operations import Operations
from penstock_azureml_emulator.storage import SUFFIX, Storage
from penstock_emulator.http import Answer

_COMPUTES = ("cpu", "gpu")
"""Those that every workspace begins with."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,31}")


class Workspace:
    """What is asked of the workspace as a whole."""

    def __init__(self, documents: Documents, storage: Storage, operations: Operations) -> None:
        self._documents = documents
        self._storage = storage
        self._operations = operations
        for name in _COMPUTES:
            if documents.get(f"computes/{name}") is None:
                documents.put(f"computes/{name}", _compute({"computeType": "AmlCompute", "properties": {}}))

    def routes(self) -> list[Route]:
        """What is answered."""
        computes = "WORKSPACE/computes"
        return [
            Route("GET", "WORKSPACE", "workspaces.get", self._get),
            Route("GET", "WORKSPACE/providers/Microsoft.Authorization/permissions", "permissions.list", _permissions),
            Route("GET", computes, "computes.list", lambda call: page(call, self._documents.all_in("computes"))),
            Route("GET", f"{computes}/{{name}}", "computes.get", self._compute),
            Route("PUT", f"{computes}/{{name}}", "computes.put", self._put_compute),
            Route("DELETE", f"{computes}/{{name}}", "computes.delete", self._delete_compute),
            Route("GET", "/discovery", "discovery", self._discovery, arm=False, open=True),
            Route("GET", "/metadata/endpoints", "metadata", self._metadata, arm=False, open=True),
            Route("POST", "/{tenant}/oauth2/v2.0/token", "token", self._token, arm=False, open=True),
            Route("GET", "/common/discovery/instance", "instance", self._instances, arm=False, open=True),
            Route("GET", "/msi/token", "msi", lambda call: identity.managed(call.request), arm=False, open=True),
            Route(
                "GET",
                "/{tenant}/v2.0/.well-known/openid-configuration",
                "openid",
                lambda call: identity.configuration(call.url, call.names["tenant"]),
                arm=False,
                open=True,
            ),
        ]

    def compute(self, identifier: Any, where: str) -> str:
        """The name of a compute by its id or name, if it is there; `serverless` always is. Raises ArmError."""
        name = str(identifier).removeprefix("azureml:").rpartition("/")[2]
        if name != "serverless" and self._documents.get(f"computes/{name}") is None:
            raise invalid(f"{where}: the compute {identifier} does not exist")
        return name

    def _get(self, call: Call) -> Answer:
        return answer(
            {
                "id": WORKSPACE_PATH,
                "name": WORKSPACE,
                "type": f"{PROVIDER}/workspaces",
                "location": LOCATION,
                "kind": "Default",
                "identity": {"type": "SystemAssigned", "tenantId": identity.TENANT, "principalId": WORKSPACE_ID},
                "sku": {"name": "Basic", "tier": "Basic"},
                "tags": {},
                "systemData": {},
                "properties": {
                    "workspaceId": WORKSPACE_ID,
                    "friendlyName": WORKSPACE,
                    "description": "",
                    "provisioningState": "Succeeded",
                    "discoveryUrl": f"{call.url}/discovery",
                    "mlFlowTrackingUri": f"azureml://{call.url.removeprefix('https://')}/mlflow/v1.0{WORKSPACE_PATH}",
                    "storageAccount": self._storage.arm_id,
                    "publicNetworkAccess": "Enabled",
                    "hbiWorkspace": False,
                    "v1LegacyMode": False,
                },
            }
        )

    def _compute(self, call: Call) -> Answer:
        found = self._documents.get(f"computes/{call.names['name']}")
        if found is None:
            raise missing("computes", call.names["name"])
        return answer(found)

    def _put_compute(self, call: Call) -> Answer:
        name, properties = call.names["name"], call.body().get("properties")
        if not _NAME.fullmatch(name) or not isinstance(properties, dict):
            raise invalid(f"computes/{name}: a name of letters, digits and `-`, and properties are needed")
        if properties.get("computeType") != "AmlCompute":
            raise ArmError("NotImplemented", "computeType: the emulator has AmlCompute alone")
        there = self._documents.get(f"computes/{name}") is not None
        found = self._documents.put(f"computes/{name}", _compute(properties))
        return answer(found, 200 if there else 201, **self._operations.begin(call))

    def _delete_compute(self, call: Call) -> Answer:
        if not self._documents.delete(f"computes/{call.names['name']}"):
            return Answer(204)
        return Answer(202, {key.replace("_", "-"): value for key, value in self._operations.begin(call).items()})

    def _discovery(self, call: Call) -> Answer:
        names = ("api", "catalog", "experimentation", "gallery", "history", "hyperdrive", "labeling")
        more = ("modelmanagement", "pipelines", "studio")
        return answer(dict.fromkeys((*names, *more), call.url))

    def _metadata(self, call: Call) -> Answer:
        """Source: ARM's `/metadata/endpoints`, which the SDK reads where `ARM_CLOUD_METADATA_URL` points to it."""
        return answer(
            [
                {
                    "name": "PenstockEmulator",
                    "portal": "https://portal.azure.com",
                    "resourceManager": f"{call.url}/",
                    "authentication": {
                        "loginEndpoint": call.url,
                        "audiences": ["https://management.azure.com/"],
                        "tenant": "common",
                    },
                    "suffixes": {"storage": SUFFIX},
                }
            ]
        )

    def _token(self, call: Call) -> Answer:
        return identity.issue(call.request)

    def _instances(self, call: Call) -> Answer:
        return identity.instances(call.url)


def _permissions(call: Call) -> Answer:
    """What whoever asks may do: everything. Source: ARM's `Permissions - List For Resource`."""
    return page(call, [{"actions": ["*"], "notActions": [], "dataActions": ["*"], "notDataActions": []}])


def _compute(properties: dict[str, Any]) -> dict[str, Any]:
    about = {"provisioningState": "Succeeded", "isAttachedCompute": False, "computeLocation": LOCATION, **properties}
    return {"location": LOCATION, "properties": {**about, "provisioningState": "Succeeded"}}
