"""Artifacts of a run into a destination: the blobs at the URI that run history names for an output of a node.

A directory is all blobs whose names begin with its path and a slash. A storage account with a hierarchical namespace
lists its folders as well, as blobs that say so; any other has no empty folders.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

from attrs import frozen

from penstock.contract.artifacts import Destination
from penstock.contract.run import RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound, TargetRefused
from penstock_azureml import datastores, jobs
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


def fetch(target: Target, run: RunRef, name: str, destination: Destination) -> None:
    """Put an artifact into a destination. Raises NotFound, TargetRefused."""
    azure = connect(target.options)
    uri = jobs.outputs(target, run).outputs.get(name)
    if uri is None or not uri.startswith("azureml:"):  # it has none, or a value
        raise NotFound(f"the run `{run.id}` made no artifact `{name}` on this target", code="output_not_found")
    store, path = datastores.split(azure, uri)
    path = path.rstrip("/")
    if not path:
        raise TargetRefused(f"the output `{name}` is said to be all of `{uri[:200]}`", code="artifact_unsafe")
    if destination.type == "file":
        blob = next(blobs(azure, store, path), None)  # in their order the shortest is the first
        if blob is None or blob.name != path or blob.is_folder:
            raise _gone(name, f"`{uri[:200]}` is no blob")
        destination.file("", blob.size, _pieces(azure, store, blob, name))
        return
    destination.folder("")
    for blob in blobs(azure, store, f"{path}/"):
        below = blob.name.removeprefix(f"{path}/")
        if blob.is_folder or below.endswith("/") or not below:
            destination.folder(below.removesuffix("/"))
        else:
            destination.file(below, blob.size, _pieces(azure, store, blob, name))


def blobs(azure: Azure, store: str, beginning: str) -> Iterator[Blob]:
    """The blobs of a datastore whose names begin so, in order and page by page (Blob service: List Blobs)."""
    what = f"`{beginning[:200]}` of the datastore `{store}` cannot be listed"
    query = {"restype": "container", "comp": "list", "include": "metadata", "maxresults": str(_PAGE)}
    marker, asked = "", set[str]()
    while marker not in asked:
        asked.add(marker)
        more = {"prefix": beginning, **({"marker": marker} if marker else {})}
        found = datastores.asked(azure, "GET", store, "", what, headers={}, query={**query, **more})
        try:
            page = ElementTree.fromstring(found.body)
            listed = [_blob(element) for element in page.iterfind("Blobs/Blob")]
        except (ElementTree.ParseError, ValueError):
            raise found.strange() from None
        yield from listed
        marker = page.findtext("NextMarker") or ""
        if not marker:
            return
    raise found.strange()  # it would never end


def part(azure: Azure, store: str, blob: Blob, first: int, end: int) -> bytes | None:
    """The bytes of a blob from `first` up to `end`, or None when it was changed or removed since it was listed."""
    what = f"`{blob.name[:200]}` of the datastore `{store}` cannot be read"
    headers = {"Range": f"bytes={first}-{end - 1}", "If-Match": f'"{blob.etag}"'}
    most = end - first
    found = datastores.asked(azure, "GET", store, blob.name, what, headers=headers, allow=(404, 412), most=most)
    if found.status in (404, 412):
        return None
    if found.status != 206:  # all of it, from its beginning
        raise found.strange()
    return found.body


def _pieces(azure: Azure, store: str, blob: Blob, name: str) -> Iterator[bytes]:
    for first in range(0, blob.size, _PIECE):
        data = part(azure, store, blob, first, min(blob.size, first + _PIECE))
        if data is None:
            raise _gone(name, f"`{blob.name[:200]}` was changed or removed while it was read")
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
