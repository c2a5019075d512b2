"""The workspace's storage account and its datastores: where data lies, by whatever name it is called."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

from penstock_azureml_emulator.arm import (
    GROUP,
    PROVIDER,
    SUBSCRIPTION,
    WORKSPACE,
    WORKSPACE_ID,
    Call,
    Route,
    answer,
    below,
    page,
)
from penstock_azureml_emulator.blobs import ACCOUNT, Blobs
from penstock_azureml_emulator.errors import missing
from penstock_emulator.http import Answer

DATASTORES = {"workspaceblobstore": f"azureml-blobstore-{WORKSPACE_ID}", "workspaceartifactstore": "azureml"}
"""Each datastore and its container. Source: what Azure ML makes with a workspace."""

SUFFIX = "core.windows.net"

_URI = re.compile(
    rf"azureml:/+(?:subscriptions/{SUBSCRIPTION}/resourcegroups/{GROUP}/(?:providers/{re.escape(PROVIDER)}/)?"
    rf"workspaces/{WORKSPACE}/)?datastores/(?P<store>[^/]+)/(?:paths/)?(?P<path>.*)",
    re.IGNORECASE | re.DOTALL,
)
_BLOB = re.compile(rf"/{ACCOUNT}(?:\.[^/]*)?/(?P<container>[^/]+)/?(?P<path>.*)", re.IGNORECASE | re.DOTALL)
_LIFE = timedelta(hours=12)


class Storage:
    """Where data of the workspace lies."""

    arm_id = (
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    )

    def __init__(self, blobs: Blobs, identity: str) -> None:
        self.blobs = blobs
        self._identity = identity
        for container in DATASTORES.values():
            blobs.ensure(container)

    def routes(self) -> list[Route]:
        """What is answered."""
        base = "WORKSPACE/datastores"
        return [
            Route("GET", base, "datastores.list", self._list),
            Route("GET", f"{base}/{{name}}", "datastores.get", self._get),
            Route("POST", f"{base}/{{name}}/listSecrets", "datastores.listSecrets", self._secrets),
        ]

    def url(self, base: str, container: str, path: str = "") -> str:
        """Where a container or a blob is read, given where the emulator is."""
        return "/".join(part for part in (f"{base}/{ACCOUNT}.blob.{SUFFIX}", container, path) if part)

    def sas(self, permissions: str, container: bool = True) -> str:
        """The query of a URL that lets one in until it ends, to do what the letters say."""
        ends = (datetime.now(UTC) + _LIFE).strftime("%Y-%m-%dT%H:%M:%SZ")
        signature = hashlib.sha256(f"{self._identity}{ends}{permissions}".encode()).hexdigest()
        asked = {"sv": "2021-08-06", "se": ends, "sr": "c" if container else "b", "sp": permissions, "sig": signature}
        return urlencode(asked)

    def place(self, uri: str) -> tuple[str, str] | None:
        """Container and path of a URI: of a datastore, or of a blob of the account wherever that was reached."""
        match = _URI.fullmatch(uri)
        if match is not None:
            container = DATASTORES.get(match["store"].lower())
            return (container, match["path"]) if container else None
        try:
            parts = urlsplit(uri)
        except ValueError:
            return None
        found = _BLOB.fullmatch(parts.path)
        if parts.scheme not in ("http", "https") or parts.hostname not in ("127.0.0.1", "localhost") or found is None:
            return None
        return unquote(found["container"]), unquote(found["path"])

    def _get(self, call: Call) -> Answer:
        return answer(self._shown(call, self._named(call)))

    def _list(self, call: Call) -> Answer:
        asked = call.request.one("isDefault").lower()
        shown = [self._shown(call, name) for name in DATASTORES]
        return page(call, [one for one in shown if asked in ("", str(one["properties"]["isDefault"]).lower())])

    def _secrets(self, call: Call) -> Answer:
        self._named(call)
        return answer({"secretsType": "Sas", "sasToken": self.sas("rcwdl")})

    def _named(self, call: Call) -> str:
        name = call.names["name"].lower()
        if name not in DATASTORES:
            raise missing("datastores", call.names["name"])
        return name

    def _shown(self, call: Call, name: str) -> dict[str, Any]:
        return {
            "id": below("datastores", name),
            "name": name,
            "type": f"{PROVIDER}/workspaces/datastores",
            "properties": {
                "datastoreType": "AzureBlob",
                # The SDK makes `https://{accountName}.blob.{endpoint}/{containerName}` of it, which has to end here.
                "accountName": f"{call.url.removeprefix('https://')}/{ACCOUNT}",
                "containerName": DATASTORES[name],
                "endpoint": SUFFIX,
                "protocol": "https",
                "credentials": {"credentialsType": "Sas"},
                "isDefault": name == "workspaceblobstore",
                "serviceDataAccessAuthIdentity": "None",
                "tags": {},
                "properties": {},
            },
            "systemData": {},
        }
