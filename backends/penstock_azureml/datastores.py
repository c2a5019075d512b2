"""Files in the blob datastores of a workspace: written, and read as far as somebody wants.

The calls are those of the Blob service's REST API (learn.microsoft.com: Put Blob, Get Blob), what a datastore is that
of Azure ML's (Datastores, REST reference), and which of them have blobs the list in azure-ai-ml (`DatastoreType`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from attrs import frozen

from penstock.errors import PenstockError, TargetRefused
from penstock_azureml.addresses import STORAGE, cloud_of, is_storage
from penstock_azureml.client import Azure
from penstock_azureml.kept import kept
from penstock_azureml.shared_access import good_until, signed
from penstock_azureml.troubles import Answer, Place

NOTED = "_container"
"""The key in a publication's details of the target's datastore, its name and its container's address."""

_URI = re.compile(
    r"azureml:/+(?:subscriptions/(?P<subscription>[^/]+)/resourcegroups/(?P<resource_group>[^/]+)/(?:providers/[^/]+/)?"
    r"workspaces/(?P<workspace>[^/]+)/)?datastores/(?P<store>[^/]+)/(?:paths/)?(?P<path>.*)",
    re.I | re.S,
)
"""Where data of a datastore lies (learn.microsoft.com: Data concepts, Datastore URI), with its workspace or without."""
_BLOBS = ("AzureBlob", "AzureDataLakeGen2")
_VERSION = "2021-08-06"
"""The version of the Blob service's API: any since tokens (2017-11-09) would do; azure-storage-blob has it."""
_WRITE = {"x-ms-blob-type": "BlockBlob", "Content-Type": "application/octet-stream"}
_DENIED = "ask for the role `Storage Blob Data Contributor` there"
"""The role that may read and write blobs by a token (learn.microsoft.com: Authorize access to blobs)."""
_SECRET = "is the secret that the workspace keeps of it still good, and may this machine reach it?"


@frozen
class Container:
    """A container: its address, and the SAS that lets one in; without it, a token does."""

    url: str
    sas: str = ""


def read(azure: Azure, uri: str, most: int) -> bytes | None:
    """The first bytes of a file of a datastore by its URI, `most` of them, or None where it is not there."""
    store, path = split(azure, uri)
    what = f"`{path[:200]}` of the datastore `{store}` cannot be read"
    headers = {"Range": f"bytes=0-{most - 1}"}
    found = asked(azure, "GET", store, path, what, headers=headers, allow=(404, 416), most=most)
    if found.status == 404:
        return None
    return b"" if found.status == 416 else found.body  # a range of an empty file is no range


def write(azure: Azure, path: str, data: bytes, noted: Mapping[str, str] | None = None) -> str:
    """Write a file of the target's datastore, whose name says what is in it; its URI.

    `noted` are the details of a publication: where they say which container it is, nobody else is asked.
    """
    return _written(azure, path, data, noted, _WRITE)[0]


def _written(
    azure: Azure,
    path: str,
    data: bytes,
    noted: Mapping[str, str] | None,
    headers: Mapping[str, str],
    allow: Collection[int] = (),
) -> tuple[str, Answer]:
    store = azure.options.datastore
    name, _, url = (noted or {}).get(NOTED, "").partition(" ")
    known = Container(url) if name == store and is_storage(azure.options, url) else None
    what = f"`{path[:200]}` of the datastore `{store}` cannot be written"
    answer = asked(azure, "PUT", store, path, what, data, headers=headers, allow=allow, known=known)
    return f"azureml://datastores/{store}/paths/{path}", answer


def keep(azure: Azure, path: str, data: bytes, noted: Mapping[str, str] | None = None) -> str:
    """Write a file as `write` does, unless it is there: its name says its content, and a step may be reading it.

    Raises TargetRefused `publication_damaged` where something else is there: who may run a step may write there, too.
    """
    uri, answer = _written(azure, path, data, noted, {**_WRITE, "If-None-Match": "*"}, allow=(409, 412))
    if answer.status in (409, 412) and read(azure, uri, len(data) + 1) != data:
        raise TargetRefused(
            f"`{uri}` was changed by somebody, and is not what its name says: remove it, and try again",
            code="publication_damaged",
        )
    return uri


def about(azure: Azure, url: str) -> Answer:
    """The first byte of a blob at an address, to whom a token makes us, for what storage says of all of it in headers.

    401, 403, 404, 409 and 416 are answers: not everybody may ask, an account may take nobody from here, and an empty
    blob has no first byte.
    """
    parts = urlsplit(url)
    place = _place("the workspace's storage", Container(f"https://{parts.netloc}"))
    headers, allowed = _told({"Range": "bytes=0-0"}), (401, 403, 404, 409, 416)
    what = f"`{parts.path[:200]}` cannot be looked at"
    return azure.call("GET", url, what, allow=allowed, headers=headers, audience=STORAGE, place=place, most=1)


def put(azure: Azure, url: str, data: Any) -> None:
    """Write a blob at an address that lets one in by itself: bytes, or an open file."""
    parts = urlsplit(url)
    what = f"`{parts.path[:200]}` cannot be written"
    if not is_storage(azure.options, url):
        raise TargetRefused(f"{what}: `{(parts.hostname or '')[:100]}` is no address of blobs of this cloud")
    place = _place("the place of uploads", Container(f"https://{parts.netloc}", sas=parts.query))
    _of_storage(azure.call("PUT", url, what, data, headers=_told(_WRITE), audience=None, place=place))


def noted(azure: Azure) -> dict[str, str]:
    """What a publication notes of the target's datastore, so that a submit in a new process need not ask.

    It is nothing secret, and nothing where the datastore cannot be used: whoever needs it hears why.
    """
    store = azure.options.datastore
    try:
        return {NOTED: f"{store} {_described(azure, store)[0]}"}
    except TargetRefused:
        return {}
    except PenstockError as error:
        if error.code == "permission_denied":
            return {}
        raise


def asked(
    azure: Azure,
    verb: str,
    store: str,
    path: str,
    what: str,
    data: bytes | None = None,
    *,
    headers: Mapping[str, str],
    allow: Collection[int] = (),
    query: Mapping[str, str] | None = None,
    most: int | None = None,
    known: Container | None = None,
) -> Answer:
    """Ask for a file of a datastore, or without a path for its container; with what lets one in now, where what let one
    in before is refused. `what` begins the message of an error; statuses in `allow` are answers.
    """
    key = (azure.key, "datastore", store)

    def fresh() -> Container:
        return kept.get(key, lambda: _container(azure, store), _until)

    container = fresh() if known is None or kept.has(key) else known
    again = True
    while True:
        url = f"{container.url}/{quote(path)}" if path else container.url
        asking = "&".join(filter(None, [urlencode(query or {}, quote_via=quote), container.sas]))
        found = azure.call(
            verb,
            f"{url}?{asking}" if asking else url,
            what,
            data,
            allow=(*allow, 401, 403) if again else allow,
            headers=_told(headers),
            audience=None if container.sas else STORAGE,
            place=_place(f"the datastore `{store}`", container),
            most=most,
        )
        if found.status not in (401, 403):
            return _of_storage(found)
        kept.forget(key)
        container, again = fresh(), False


def _place(what: str, container: Container) -> Place:
    where = f"{what} (`{container.url.removeprefix('https://')[:200]}`)"
    denied = _SECRET if container.sas else _DENIED
    return Place(where, denied, "was it deleted, or is the target's `datastore` another?")


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    return {"Accept": "*/*", "x-ms-version": _VERSION, **headers}


def _of_storage(answer: Answer) -> Answer:
    """The answer, if it is one of storage's, which has the request's id in each (Blob service: Common headers)."""
    if "x-ms-request-id" not in answer.headers:
        raise answer.strange()
    return answer


def split(azure: Azure, uri: str) -> tuple[str, str]:
    """The datastore that a URI names, and the path in it. Raises TargetRefused for what is not of this workspace."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise TargetRefused(f"`{uri[:200]}` lies in no datastore")
    for key in ("subscription", "resource_group", "workspace"):  # its datastores have the same names as ours
        if found[key] is not None and found[key].lower() != getattr(azure.options, key).lower():
            raise TargetRefused(f"`{uri[:200]}` lies in another workspace than the target's")
    return found["store"], found["path"]


def _until(container: Container) -> float:
    return good_until(container.sas)


def _container(azure: Azure, store: str) -> Container:
    """A datastore's container, with what the workspace keeps for it: a SAS, the account's key, or nothing."""
    url, account, is_open = _described(azure, store)
    if not is_open:
        return Container(url)
    what = f"the datastore `{store}` cannot be read"
    secrets = azure.arm("POST", f"datastores/{quote(store, safe='')}/listSecrets", what).json()
    if secrets.get("sasToken"):
        return Container(url, str(secrets["sasToken"]).lstrip("?"))
    if secrets.get("key"):
        return Container(url, signed(account, url.rpartition("/")[2], str(secrets["key"])))
    return Container(url)  # those of a service principal are for Azure: we come as ourselves


def _described(azure: Azure, store: str) -> tuple[str, str, bool]:
    """The address of a datastore's container, its account, and whether the workspace keeps a secret for it."""
    what = f"the datastore `{store}` cannot be read"
    answer = azure.arm("GET", f"datastores/{quote(store, safe='')}", what)
    about = answer.part("properties")
    kind = answer.part("properties", "datastoreType")
    if kind not in _BLOBS:
        raise TargetRefused(f"{what}: it is of type {kind}, and penstock reads and writes blobs; name another one")
    # AzureDataLakeGen2 calls its container so; the account has it at its address of blobs, too.
    container = answer.part("properties", "containerName" if kind == _BLOBS[0] else "filesystem")
    account, suffix = str(answer.part("properties", "accountName")), cloud_of(azure.options).blobs[0]
    if about.get("endpoint"):
        suffix = f".blob.{about['endpoint']}"
    url = f"{about.get('protocol') or 'https'}://{account}{suffix}/{container}"
    if not is_storage(azure.options, url):
        raise TargetRefused(f"{what}: `{url[:200]}` is no address of blobs of this cloud, and nothing is sent there")
    kind_of_secret = (about.get("credentials") or {}).get("credentialsType") or "None"
    return url, account, kind_of_secret != "None"
