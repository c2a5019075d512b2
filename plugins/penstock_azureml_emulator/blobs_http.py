"""Blob storage over HTTP: what azure-storage-blob asks of a storage account, for block blobs.

Source: the Blob service's REST API, and what azure-storage-blob 12 sends. The account is the first part of the path, as
Azurite has it; `penstockstore.blob.core.windows.net` is the same account, so that URLs which a client makes of a
datastore's account name arrive here.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from penstock_azureml_emulator.blob_lists import listed_blobs, listed_blocks, listed_containers
from penstock_azureml_emulator.blobs import ACCOUNT, Blob, Blobs
from penstock_azureml_emulator.identity import BLOBS, is_meant_for
from penstock_emulator.http import Answer, Request

_PATH = re.compile(rf"/{ACCOUNT}(?:\.[^/]*)?(?:/(?P<container>[^/]+)(?:/(?P<blob>.*))?)?/?", re.IGNORECASE | re.DOTALL)
_CONTAINER = re.compile(r"(?!.*--)[a-z0-9$][a-z0-9-]{1,61}[a-z0-9]")
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_CONTENT = {
    "x-ms-blob-content-type": "content_type",
    "x-ms-blob-content-encoding": "content_encoding",
    "x-ms-blob-content-language": "content_language",
    "x-ms-blob-content-disposition": "content_disposition",
    "x-ms-blob-cache-control": "cache_control",
}
_SHOWN = {
    "content_encoding": "Content-Encoding",
    "content_language": "Content-Language",
    "content_disposition": "Content-Disposition",
    "cache_control": "Cache-Control",
}
_NEEDS = {"get": "r", "list": "l", "put": "wca", "delete": "d"}
"""What a SAS must permit: one of these letters."""


class BlobError(Exception):
    """A refusal in the shape of the Blob service."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class BlobHttp:
    """Answers for a storage account."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def find(self, request: Request) -> tuple[str, Callable[[], Answer]] | None:
        """What answers a request to the account, and the name of that call; nothing for other paths."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            return None
        container, blob = (unquote(match[one] or "") for one in ("container", "blob"))
        operation = {"GET": "get", "HEAD": "get", "DELETE": "delete"}.get(request.verb, "put")
        if request.one("comp") == "list":
            operation = "list"
        return f"blobs.{operation}", lambda: self._answer(request, operation, container, blob)

    def _answer(self, request: Request, operation: str, container: str, blob: str) -> Answer:
        try:
            _permit(request, operation)
            if not container:
                answer = self._account(request)
            elif not blob:
                answer = self._container(request, container)
            else:
                answer = self._blob(request, container, blob)
        except BlobError as error:
            answer = _refusal(error)
        version = request.headers.get("x-ms-version", "2021-12-02")
        answer.headers["x-ms-version"] = version if re.fullmatch(r"[\d-]{1,20}", version) else "2021-12-02"
        answer.headers["x-ms-request-id"] = str(uuid.uuid4())
        return answer

    def _account(self, request: Request) -> Answer:
        if request.verb == "GET" and request.one("comp") == "list":
            return _xml(listed_containers(self._blobs, request))
        if request.one("restype") == "account":
            return Answer(200, {"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2"})
        raise _unknown(request)

    def _container(self, request: Request, name: str) -> Answer:
        if request.verb == "PUT" and request.one("restype") == "container" and not request.one("comp"):
            if not _CONTAINER.fullmatch(name):
                raise BlobError(400, "InvalidResourceName", "The specified resource name contains invalid characters.")
            if not self._blobs.ensure(name):
                raise BlobError(409, "ContainerAlreadyExists", "The specified container already exists.")
            return Answer(201, self._of_container(name))
        about = self._of_container(name)
        if request.verb == "GET" and request.one("comp") == "list":
            return _xml(listed_blobs(self._blobs, name, request))
        if request.verb in ("GET", "HEAD") and request.one("comp") in ("", "metadata"):
            return Answer(200, about)
        if request.verb == "DELETE":
            self._blobs.drop(name)
            return Answer(202)
        raise _unknown(request)

    def _of_container(self, name: str) -> dict[str, str]:
        found = self._blobs.container(name)
        if found is None:
            raise BlobError(404, "ContainerNotFound", "The specified container does not exist.")
        return {"ETag": found[1], "Last-Modified": formatdate(found[0], usegmt=True), "x-ms-lease-status": "unlocked"}

    def _blob(self, request: Request, container: str, name: str) -> Answer:
        self._of_container(container)
        if len(name) > 1024:
            raise BlobError(400, "InvalidResourceName", "The name of a blob has at most 1024 characters.")
        asked = request.one("comp")
        if request.verb == "PUT" and asked == "block":
            block = request.one("blockid")
            if not re.fullmatch(r"[A-Za-z0-9+/=]{1,88}", block):
                raise BlobError(400, "InvalidQueryParameterValue", "blockid is base64 of up to 64 bytes.")
            self._blobs.put_block(container, name, block, request.body)
            return Answer(201, {"x-ms-request-server-encrypted": "true"})
        blob = self._blobs.get(container, name)
        if request.verb == "PUT" and asked in ("", "blocklist"):
            _conditions(request, blob, writing=True)
            return self._write(request, container, name)
        if request.verb == "GET" and asked == "blocklist":
            return _xml(listed_blocks(self._blobs, container, name, blob))
        if blob is None:
            raise BlobError(404, "BlobNotFound", "The specified blob does not exist.")
        _conditions(request, blob, writing=request.verb not in ("GET", "HEAD"))
        if request.verb in ("GET", "HEAD") and asked in ("", "metadata"):
            return _read(request, blob)
        if request.verb == "PUT" and asked == "metadata":
            return _written(self._blobs.tell(blob, {"metadata": _metadata(request)}), 200)
        if request.verb == "PUT" and asked == "properties":
            return _written(self._blobs.tell(blob, _content(request)), 200)
        if request.verb == "DELETE":
            self._blobs.delete(blob)
            return Answer(202)
        raise _unknown(request)

    def _write(self, request: Request, container: str, name: str) -> Answer:
        told = {**_content(request), "metadata": _metadata(request)}
        if request.one("comp") == "blocklist":
            try:
                root = ElementTree.fromstring(request.body)
                blocks = [child.text or "" for child in root]
                return _written(self._blobs.commit(container, name, blocks, told), 201)
            except ElementTree.ParseError as error:
                raise BlobError(400, "InvalidXmlDocument", f"XML specified is not valid: {error}") from None
            except KeyError:
                raise BlobError(400, "InvalidBlockList", "The specified block list is invalid.") from None
        kind = request.headers.get("x-ms-blob-type", "")
        if kind != "BlockBlob" or "x-ms-copy-source" in request.headers:
            raise BlobError(501, "NotImplemented", "the emulator has block blobs that are written, and no others")
        return _written(self._blobs.put(container, name, request.body, told), 201)


def _refusal(error: BlobError) -> Answer:
    said = f"<Error><Code>{error.code}</Code><Message>{escape(error.message)}</Message></Error>"
    text = f'<?xml version="1.0" encoding="utf-8"?>{said}'
    return Answer(error.status, {"Content-Type": "application/xml", "x-ms-error-code": error.code}, text.encode())


def _permit(request: Request, operation: str) -> None:
    """Refuse who shows neither a SAS nor a token; signatures are not checked, but what they permit and until when."""
    if not request.one("sig"):
        scheme, _, value = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "sharedkey") or not value.strip():
            raise BlobError(401, "NoAuthenticationInformation", "Server failed to authenticate the request.")
        if not is_meant_for(value, BLOBS):
            raise BlobError(401, "InvalidAuthenticationInfo", "Audience validation failed. Audience did not match.")
        return
    try:
        ends = datetime.fromisoformat(request.one("se")).astimezone(UTC)
    except ValueError:
        raise BlobError(403, "AuthenticationFailed", "Signature fields not well formed: se.") from None
    if ends < datetime.now(UTC):
        raise BlobError(403, "AuthenticationFailed", f"Signature not valid in the specified time frame: expiry {ends}.")
    if not set(_NEEDS[operation]) & set(request.one("sp")):
        raise BlobError(
            403, "AuthorizationPermissionMismatch", "This request is not authorized to perform this operation."
        )


def _conditions(request: Request, blob: Blob | None, *, writing: bool) -> None:
    wanted, unwanted = request.headers.get("If-Match"), request.headers.get("If-None-Match")
    etag = blob.etag if blob is not None else None
    if wanted and not (etag is not None and (wanted == "*" or wanted.strip('"') == etag.strip('"'))):
        raise BlobError(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")
    if unwanted and etag is not None and (unwanted == "*" or unwanted.strip('"') == etag.strip('"')):
        if not writing:
            raise BlobError(304, "ConditionNotMet", "Not modified.")
        if unwanted == "*":
            raise BlobError(409, "BlobAlreadyExists", "The specified blob already exists.")
        raise BlobError(412, "ConditionNotMet", "The condition specified using HTTP conditional header(s) is not met.")


def _read(request: Request, blob: Blob) -> Answer:
    size = blob.size
    headers = _about(blob)
    asked = request.headers.get("x-ms-range") or request.headers.get("Range") or ""
    match = _RANGE.fullmatch(asked)
    if request.verb == "HEAD" or match is None:
        if blob.md5:
            headers["Content-MD5"] = blob.md5
        return Answer(200, headers, file=(blob.file, 0, size))
    first, last = int(match[1]), min(int(match[2] or size - 1), size - 1)
    if first >= size or last < first:
        raise BlobError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
    headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    if blob.md5:
        headers["x-ms-blob-content-md5"] = blob.md5
    return Answer(206, headers, file=(blob.file, first, last - first + 1))


def _about(blob: Blob) -> dict[str, str]:
    headers = {
        "ETag": blob.etag,
        "Last-Modified": formatdate(blob.modified, usegmt=True),
        "x-ms-creation-time": formatdate(blob.modified, usegmt=True),
        "x-ms-blob-type": "BlockBlob",
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-server-encrypted": "true",
        "Accept-Ranges": "bytes",
        "Content-Type": blob.told.get("content_type") or "application/octet-stream",
    }
    headers.update({shown: blob.told[key] for key, shown in _SHOWN.items() if blob.told.get(key)})
    headers.update({f"x-ms-meta-{key}": value for key, value in blob.told.get("metadata", {}).items()})
    return headers


def _written(blob: Blob, status: int) -> Answer:
    headers = {"ETag": blob.etag, "Last-Modified": formatdate(blob.modified, usegmt=True)}
    return Answer(status, {**headers, "x-ms-request-server-encrypted": "true"})


def _content(request: Request) -> dict[str, Any]:
    told = {key: request.headers[header] for header, key in _CONTENT.items() if header in request.headers}
    return {"content_type": request.headers.get("Content-Type") or "application/octet-stream", **told}


def _metadata(request: Request) -> dict[str, str]:
    found = {}
    for name, value in request.headers.items():
        if name.lower().startswith("x-ms-meta-"):
            key = name[len("x-ms-meta-") :]
            if not re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII):
                raise BlobError(
                    400, "InvalidMetadata", "The metadata specified is invalid. It has characters not permitted."
                )
            found[key] = value
    return found


def _unknown(request: Request) -> BlobError:
    asked = f"{request.verb} comp={request.one('comp')} restype={request.one('restype')}"
    return BlobError(
        400, "InvalidQueryParameterValue", f"{re.sub('[<>&]', '', asked)} is nothing that the emulator does"
    )


def _xml(text: str) -> Answer:
    return Answer(200, {"Content-Type": "application/xml"}, text.encode())
