"""Artifacts of a run into a destination: the blobs at the URI that run history names for an output of a node.

A directory is all blobs whose names begin with its path and a slash. A storage account with a hierarchical namespace
lists its folders as well, as blobs that say so; any other has no empty folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote, urlencode
from xml.etree import ElementTree

from attrs import frozen

from penstock.contract.artifacts import Destination
from penstock.contract.run import RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound, TargetRefused, TargetUnavailable
from penstock_azureml import jobs, places
from penstock_azureml.client import Azure, connect

_PIECE = 4 * 2**20
"""Bytes of one piece."""
_PAGE = 1000
"""Blobs of one page of a listing."""


@frozen(kw_only=True)
class Blob:
    """A blob by its name in the container; one that `is_folder` is no file."""

    name: str
    size: int
    etag: str
    is_folder: bool


@frozen(kw_only=True)
class Container:
    """The container behind a datastore: its address, the query that lets one in or nothing, and else the audience of a
    token that does.
    """

    azure: Azure
    address: str
    query: str
    audience: str | None
    headers: dict[str, str]

    @classmethod
    def of(cls, azure: Azure, store: str) -> Container:
        """The container of a datastore. Raises TargetRefused for one that holds no blobs."""
        url, headers, audience = places._blob(azure, f"azureml://datastores/{store}/paths/")
        address, _, query = url.partition("?")
        return cls(azure=azure, address=address.rstrip("/"), query=query, audience=audience, headers=headers)

    def blobs(self, beginning: str, shown: str) -> Iterator[Blob]:
        """The blobs whose names begin so, in order and page by page; `shown` is where that is, for people."""
        marker = ""
        while True:
            asked = {"restype": "container", "comp": "list", "include": "metadata", "maxresults": str(_PAGE)}
            query = urlencode({**asked, "prefix": beginning, **({"marker": marker} if marker else {})}, quote_via=quote)
            found = self._call(f"{self.address}?{query}", f"`{shown}` cannot be listed")
            try:
                page = ElementTree.fromstring(found.body)
                yield from [_blob(element) for element in page.iterfind("Blobs/Blob")]
            except (ElementTree.ParseError, ValueError):
                raise TargetUnavailable(f"`{shown}` cannot be listed: the answer is not understood") from None
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return

    def part(self, blob: Blob, first: int, end: int, shown: str) -> bytes | None:
        """The bytes of a blob from `first` up to `end`, or None when it was changed or removed since it was found."""
        asked = {"Range": f"bytes={first}-{end - 1}", "If-Match": f'"{blob.etag}"'}
        found = self._call(f"{self.address}/{quote(blob.name)}", f"`{shown}` cannot be read", (404, 412), asked)
        if found.status in (404, 412):
            return None
        body: bytes = found.body
        return body if found.status == 206 else body[first:end]

    def _call(self, url: str, what: str, allow: tuple[int, ...] = (), headers: dict[str, str] | None = None) -> Any:
        if self.query:
            url = f"{url}{'&' if '?' in url else '?'}{self.query}"
        told = {**self.headers, **(headers or {})}
        return self.azure.call("GET", url, what, allow=allow, headers=told, audience=self.audience)


def fetch(target: Target, run: RunRef, name: str, destination: Destination) -> None:
    """Put an artifact into a destination. Raises NotFound, TargetRefused."""
    azure = connect(target.options)
    uri = jobs.outputs(target, run).outputs.get(name)
    found = None if uri is None else places._URI.fullmatch(uri)
    if uri is None or found is None:  # it has none, or a value
        raise NotFound(f"the run `{run.id}` made no artifact `{name}` on this target", code="output_not_found")
    container, path = Container.of(azure, found["store"]), found["path"].rstrip("/")
    if not path:
        raise TargetRefused(f"the output `{name}` is said to be all of `{uri[:200]}`", code="artifact_unsafe")
    if destination.type == "file":
        blob = next(container.blobs(path, uri), None)  # in their order the shortest is the first
        if blob is None or blob.name != path or blob.is_folder:
            raise _gone(name, f"`{uri}` is no blob")
        destination.file("", blob.size, _pieces(container, blob, name, uri))
        return
    destination.folder("")
    for blob in container.blobs(f"{path}/", uri):
        below = blob.name.removeprefix(f"{path}/")
        if blob.is_folder or below.endswith("/") or not below:
            destination.folder(below.rstrip("/"))
        else:
            destination.file(below, blob.size, _pieces(container, blob, name, uri))


def _pieces(container: Container, blob: Blob, name: str, uri: str) -> Iterator[bytes]:
    for first in range(0, blob.size, _PIECE):
        data = container.part(blob, first, min(blob.size, first + _PIECE), uri)
        if data is None:
            raise _gone(name, f"`{blob.name}` was changed or removed while it was read")
        yield data


def _blob(element: ElementTree.Element) -> Blob:
    """A blob of a listing. Source: List Blobs, and for folders its `ResourceType` and the metadata of Data Lake."""
    named = element.find("Name")
    text = "" if named is None else named.text or ""
    is_encoded = named is not None and named.get("Encoded") == "true"
    is_folder = "true" in (element.findtext("Metadata/hdi_isfolder"), element.findtext("Metadata/Hdi_isfolder"))
    return Blob(
        name=unquote(text) if is_encoded else text,
        size=int(element.findtext("Properties/Content-Length") or "0"),
        etag=(element.findtext("Properties/Etag") or "").strip('"'),
        is_folder=is_folder or element.findtext("Properties/ResourceType") == "directory",
    )


def _gone(name: str, why: str) -> NotFound:
    return NotFound(f"the output `{name}` is not there any more: {why}", code="artifact_gone")
