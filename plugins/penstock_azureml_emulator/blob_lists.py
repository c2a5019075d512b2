"""The lists of the Blob service, which are XML."""

from __future__ import annotations

import base64
import re
from email.utils import formatdate
from xml.sax.saxutils import escape, quoteattr

from penstock_azureml_emulator.blobs import ACCOUNT, Blob, Blobs
from penstock_emulator.http import Request

_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_HEAD = '<?xml version="1.0" encoding="utf-8"?>'
_MOST = 5000
"""Blobs of one page; source: List Blobs."""


def listed_blobs(blobs: Blobs, container: str, request: Request) -> str:
    """One page of a container's blobs: `prefix`, `delimiter`, `marker`, `maxresults`, `include=metadata`."""
    prefix, delimiter = request.one("prefix"), request.one("delimiter")
    asked = request.one("maxresults")
    most = min(int(asked), _MOST) if asked.isascii() and asked.isdigit() and int(asked) else _MOST
    after = _marked(request.one("marker"))
    with_metadata = "metadata" in request.one("include")
    items: dict[str, str] = {}
    following = ""
    for blob in blobs.beginning(container, prefix):
        folded = _folded(blob.name, prefix, delimiter)
        key = folded or blob.name
        if (after and key <= after) or key in items:
            continue
        if len(items) == most:
            following = list(items)[-1]
            break
        items[key] = f"<BlobPrefix>{_name(key)}</BlobPrefix>" if folded else _listed(blob, with_metadata)
    return (
        f"{_HEAD}<EnumerationResults ServiceEndpoint={quoteattr(f'/{ACCOUNT}')} ContainerName={quoteattr(container)}>"
        f"<Prefix>{_text(prefix)}</Prefix><MaxResults>{most}</MaxResults><Delimiter>{_text(delimiter)}</Delimiter>"
        f"<Blobs>{''.join(items.values())}</Blobs><NextMarker>{_mark(following)}</NextMarker></EnumerationResults>"
    )


def listed_containers(blobs: Blobs, request: Request) -> str:
    """The containers of the account, on one page."""
    found = [name for name in blobs.containers() if name.startswith(request.one("prefix"))]
    rows = "".join(f"<Container><Name>{escape(name)}</Name><Properties/></Container>" for name in found)
    return (
        f"{_HEAD}<EnumerationResults ServiceEndpoint={quoteattr(f'/{ACCOUNT}')}>"
        f"<Containers>{rows}</Containers><NextMarker/></EnumerationResults>"
    )


def listed_blocks(blobs: Blobs, container: str, name: str, blob: Blob | None) -> str:
    """The blocks of a blob: those that it is made of, and those that wait."""
    waiting = "".join(
        f"<Block><Name>{escape(block)}</Name><Size>{size}</Size></Block>"
        for block, size in blobs.blocks(container, name).items()
    )
    made = (blob.told.get("blocks") or []) if blob is not None else []
    committed = "".join(f"<Block><Name>{escape(block)}</Name><Size>0</Size></Block>" for block in made)
    return (
        f"{_HEAD}<BlockList><CommittedBlocks>{committed}</CommittedBlocks>"
        f"<UncommittedBlocks>{waiting}</UncommittedBlocks></BlockList>"
    )


def _listed(blob: Blob, with_metadata: bool) -> str:
    pairs = blob.told.get("metadata", {}) if with_metadata else {}
    inner = "".join(f"<{key}>{_text(value)}</{key}>" for key, value in pairs.items())
    metadata = f"<Metadata>{inner}</Metadata>" if inner else ""
    modified = formatdate(blob.modified, usegmt=True)
    return (
        f"<Blob>{_name(blob.name)}<Properties><Creation-Time>{modified}</Creation-Time>"
        f"<Last-Modified>{modified}</Last-Modified><Etag>{escape(blob.etag)}</Etag>"
        f"<Content-Length>{blob.size}</Content-Length><Content-Type>{_text(blob.told.get('content_type') or '')}"
        f"</Content-Type><Content-MD5>{blob.md5}</Content-MD5><BlobType>BlockBlob</BlobType>"
        f"<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState></Properties>"
        f"{metadata}</Blob>"
    )


def _folded(name: str, prefix: str, delimiter: str) -> str:
    """The common prefix under which a name is listed with a delimiter, or nothing."""
    head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
    return f"{prefix}{head}{delimiter}" if found else ""


def _name(text: str) -> str:
    return f"<Name>{_text(text)}</Name>"


def _text(text: str) -> str:
    """Text as XML 1.0 can hold it: what it cannot becomes `?`."""
    return escape(_NO_XML.sub("?", text))


def _mark(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode("utf-8", "surrogateescape")).decode()


def _marked(marker: str) -> str:
    try:
        return base64.urlsafe_b64decode(marker).decode("utf-8", "surrogateescape")
    except ValueError:
        return ""
