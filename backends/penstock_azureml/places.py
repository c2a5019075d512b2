"""Where Azure keeps what is not in ARM: the run history of a workspace, and blobs behind its datastores."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import quote

from penstock.errors import TargetRefused
from penstock_azureml.client import Answer, Azure

T = TypeVar("T")

_URI = re.compile(
    r"azureml:/+(?:(?P<where>.*?)/)?datastores/(?P<store>[^/]+)/(?:paths/)?(?P<path>.*)", re.IGNORECASE | re.DOTALL
)
_BLOBS = {"x-ms-version": "2021-08-06"}
_STORAGE = "https://storage.azure.com"
"""What tokens for blobs are for."""

_KEPT = 256
_found: dict[tuple[Hashable, str], Any] = {}
_lock = Lock()


def once(azure: Azure, key: str, ask: Callable[[], T]) -> T:
    """What does not change is asked for once in a process, at each place."""
    with _lock:
        if (azure.key, key) in _found:
            held: T = _found[azure.key, key]
            return held
    made = ask()
    with _lock:
        while len(_found) >= _KEPT:
            _found.pop(next(iter(_found)))
        _found[azure.key, key] = made
    return made


def workspace(azure: Azure) -> Any:
    """What the workspace says of itself."""
    return once(azure, "workspace", lambda: azure.arm("GET", "", "the workspace cannot be read").json())


def service(azure: Azure, name: str) -> str:
    """The address of one of the workspace's services (`history`, `api`), as the workspace itself says."""

    def ask() -> Any:
        url = workspace(azure)["properties"]["discoveryUrl"]
        return azure.call("GET", url, "the services cannot be found", audience=None).json()

    return str(once(azure, "services", ask)[name]).rstrip("/")


def history(azure: Azure, run: str, part: str, what: str) -> Answer:
    """Ask run history of a run: `part` is empty, `/details` or `/children`. 404 is an answer."""
    url = f"{service(azure, 'history')}/history/v1.0{azure.options.path}/runs/{quote(run, safe='')}{part}"
    return azure.call("GET", url, what, allow=(404,))


def resolved(azure: Azure, assets: list[str]) -> dict[str, str]:
    """The URIs that ids of data mean; those that mean nothing are left out."""
    if not assets:
        return {}
    url = f"{service(azure, 'api')}/data/v1.0{azure.options.path}/dataversion/batchGetResolvedUris"
    found = azure.call("POST", url, "the outputs cannot be found", {"values": assets}).json()
    return {asset: str(about["uri"]) for asset, about in found.get("values", {}).items() if about.get("uri")}


def read(azure: Azure, uri: str) -> bytes | None:
    """The content of a file of a datastore by its URI, or None."""
    url, headers, audience = _blob(azure, uri)
    found = azure.call("GET", url, f"`{uri}` cannot be read", allow=(404,), headers=headers, audience=audience)
    return None if found.status == 404 else found.body


def write(azure: Azure, path: str, data: bytes) -> str:
    """Write a file of the target's datastore, whose name says what is in it; its URI."""
    uri = f"azureml://datastores/{azure.options.datastore}/paths/{path}"
    url, headers, audience = _blob(azure, uri)
    put(azure, url, data, headers, audience)
    return uri


def put(azure: Azure, url: str, data: Any, headers: dict[str, str] | None = None, audience: str | None = None) -> None:
    """Write a blob at an address: bytes, or an open file."""
    told = {**_BLOBS, **(headers or {}), "x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
    azure.call("PUT", url, f"`{url.partition('?')[0]}` cannot be written", data, headers=told, audience=audience)


def _blob(azure: Azure, uri: str) -> tuple[str, dict[str, str], str | None]:
    """The address of a blob, headers, and what a token is needed for: none where the address lets one in."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise TargetRefused(f"`{uri[:200]}` lies in no datastore")
    if found["where"] and not _is_here(azure, found["where"]):
        raise TargetRefused(f"`{uri[:200]}` lies in another workspace than the target's")
    base, query = once(azure, f"datastore {found['store']}", lambda: _datastore(azure, found["store"]))
    url = f"{base}/{quote(found['path'])}"
    return (f"{url}?{query}", dict(_BLOBS), None) if query else (url, dict(_BLOBS), _STORAGE)


def _is_here(azure: Azure, where: str) -> bool:
    """Whether the beginning of a URI means the target's workspace, as Azure writes it with and without its provider."""
    wanted = azure.options.path.lower().strip("/")
    return where.lower() in (wanted, wanted.replace("providers/microsoft.machinelearningservices/", ""))


def _datastore(azure: Azure, name: str) -> tuple[str, str]:
    """The address of a datastore's container, and the query that lets one in, or nothing."""
    what = f"the datastore `{name}` cannot be read"
    about = azure.arm("GET", f"datastores/{name}", what).json()["properties"]
    if about.get("datastoreType") not in ("AzureBlob", "AzureDataLakeGen2"):
        raise TargetRefused(f"{what}: it is a {about.get('datastoreType')}, and penstock reads blobs")
    container = about.get("containerName") or about.get("filesystem")
    account, suffix = about["accountName"], about.get("endpoint") or "core.windows.net"
    base = f"{about.get('protocol') or 'https'}://{account}.blob.{suffix}/{container}"
    if about.get("credentials", {}).get("credentialsType") == "None":
        return base, ""
    secrets = azure.arm("POST", f"datastores/{name}/listSecrets", what).json()
    if secrets.get("sasToken"):
        return base, str(secrets["sasToken"]).lstrip("?")
    if secrets.get("key"):
        return base, _signed(account, str(container), str(secrets["key"]))
    return base, ""


def _signed(account: str, container: str, key: str) -> str:
    """A query that lets one into a container for a day, made of an account's key."""
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import ContainerSasPermissions, generate_container_sas

    may = ContainerSasPermissions(read=True, write=True, create=True, list=True)
    ends = datetime.now(UTC) + timedelta(days=1)
    return str(generate_container_sas(account, container, account_key=key, permission=may, expiry=ends))


def head(azure: Azure, uri: str, most: int) -> bytes | None:
    """The first so many bytes of a file of a datastore by its URI, or None: whoever writes it may write gigabytes."""
    url, headers, audience = _blob(azure, uri)
    headers["Range"] = f"bytes=0-{most - 1}"
    found = azure.call("GET", url, f"`{uri}` cannot be read", allow=(404, 416), headers=headers, audience=audience)
    if found.status == 404:
        return None
    return b"" if found.status == 416 else found.body[:most]  # 416: it is empty


def about(azure: Azure, url: str) -> Answer:
    """What storage says of a blob at an address, in headers; who may not ask, or not for this one, is told 40x."""
    allowed = (401, 403, 404, 409)  # 409: the account takes nobody from here
    return azure.call(
        "HEAD", url, f"`{url}` cannot be looked at", allow=allowed, headers=dict(_BLOBS), audience=_STORAGE
    )


def keep(azure: Azure, path: str, data: bytes) -> str:
    """Write a file of the target's datastore whose name says its content, unless it is there; its URI.

    A step may be reading it, so it is not written over. Raises TargetRefused `publication_damaged` where something else
    is there: whoever may run a step may write to the datastore, too.
    """
    uri = f"azureml://datastores/{azure.options.datastore}/paths/{path}"
    url, headers, audience = _blob(azure, uri)
    told = {**headers, "x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream", "If-None-Match": "*"}
    what = f"`{uri}` cannot be written"
    answer = azure.call("PUT", url, what, data, allow=(409, 412), headers=told, audience=audience)
    if answer.status in (409, 412) and head(azure, uri, len(data) + 1) != data:
        raise TargetRefused(
            f"`{uri}` was changed by somebody, and is not what its name says: remove it, and try again",
            code="publication_damaged",
        )
    return uri
