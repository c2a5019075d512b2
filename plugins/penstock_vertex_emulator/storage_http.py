"""The part of Cloud Storage's JSON API that google-cloud-storage uses for small and large files."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from penstock_emulator.http import Answer, Request
from penstock_emulator.store import Store
from penstock_vertex_emulator.storage import Storage, StorageError, check_generation

_PATH = re.compile(r"/(?P<kind>upload/|download/)?storage/v1/b(?:/(?P<bucket>[^/]+)(?P<rest>/.*)?)?")
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_CONDITIONS = ("ifGenerationMatch", "ifGenerationNotMatch")


class StorageHttp:
    """Requests on storage, answered."""

    def __init__(self, storage: Storage, store: Store) -> None:
        self._storage = storage
        self._store = store

    def find(self, request: Request) -> tuple[str, Callable[[], Answer]] | None:
        """The method's name, as Google's documentation has it, and the call that answers; nothing for another path."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            return None
        bucket, rest = unquote(match["bucket"] or ""), match["rest"] or ""
        kind, verb = match["kind"] or "", request.verb
        if kind == "upload/" and rest == "/o":
            return "storage.objects.insert", lambda: self._guard(self._upload, request, bucket)
        if not bucket:
            if verb == "POST":
                return "storage.buckets.insert", lambda: self._guard(self._create_bucket, request)
            return "storage.buckets.list", lambda: self._guard(self._buckets)
        if rest == "" and verb in ("GET", "DELETE"):
            if verb == "DELETE":
                return "storage.buckets.delete", lambda: self._guard(self._delete_bucket, bucket)
            return "storage.buckets.get", lambda: self._guard(lambda: _json(self._storage.bucket(bucket)))
        if rest == "/iam/testPermissions" and verb == "GET":
            return "storage.buckets.testIamPermissions", lambda: self._guard(self._permissions, request, bucket)
        if rest == "/o" and verb == "GET":
            return "storage.objects.list", lambda: self._guard(self._list, request, bucket)
        if rest.startswith("/o/") and "/" not in rest[3:]:
            name = unquote(rest[3:])
            known = {"GET": self._get, "DELETE": self._delete, "PATCH": self._patch, "PUT": self._patch}
            if verb in known:
                method = {"GET": "get", "DELETE": "delete"}.get(verb, "patch")
                return f"storage.objects.{method}", lambda: self._guard(known[verb], request, bucket, name)
        return "storage", lambda: _error(501, "notImplemented", f"the emulator does not do {verb} {request.path}")

    def _guard(self, call: Callable[..., Answer], *given: Any) -> Answer:
        try:
            return call(*given)
        except StorageError as error:
            return _error(error.http, error.reason, error.message)

    def _create_bucket(self, request: Request) -> Answer:
        body = _body(request)
        if not isinstance(body.get("name"), str):
            raise StorageError(400, "required", "Required parameter: name")
        kept: dict[str, Any] = {
            key: body[key] for key in ("location", "storageClass", "labels", "iamConfiguration") if key in body
        }
        return _json(self._storage.create_bucket(body["name"], kept))

    def _buckets(self) -> Answer:
        return _json({"kind": "storage#buckets", "items": self._storage.buckets()})

    def _delete_bucket(self, bucket: str) -> Answer:
        self._storage.delete_bucket(bucket)
        return Answer(204)

    def _permissions(self, request: Request, bucket: str) -> Answer:
        self._storage.bucket(bucket)
        return _json(
            {"kind": "storage#testIamPermissionsResponse", "permissions": request.query.get("permissions", [])}
        )

    def _list(self, request: Request, bucket: str) -> Answer:
        self._storage.bucket(bucket)
        prefix, delimiter = request.one("prefix"), request.one("delimiter")
        most = min(_number(request, "maxResults", 1000) or 1000, 1000)
        after = unquote(request.one("pageToken"))
        start, end = request.one("startOffset"), request.one("endOffset")
        names: list[str] = []
        prefixes: list[str] = []
        last = ""
        for name in self._storage.names(bucket, prefix):
            cut = name.find(delimiter, len(prefix)) if delimiter else -1
            shown = name if cut < 0 else name[: cut + len(delimiter)]
            if shown <= after or name < start or (end and name >= end) or shown in prefixes[-1:]:
                continue
            if len(names) + len(prefixes) == most:
                last = max(names[-1:] + prefixes[-1:])
                break
            (names if cut < 0 else prefixes).append(shown)
        found: dict[str, Any] = {"kind": "storage#objects", "items": [], "prefixes": prefixes}
        for name in names:
            try:
                found["items"].append(self._storage.get(bucket, name)[1])
            except (StorageError, FileNotFoundError):  # removed, or being written, in between
                continue
        if last:
            found["nextPageToken"] = last
        return _json(found)

    def _get(self, request: Request, bucket: str, name: str) -> Answer:
        path, resource = self._storage.get(bucket, name)
        wanted = request.one("generation")
        if wanted and wanted != resource["generation"]:
            raise StorageError(404, "notFound", f"No such object: {bucket}/{name}#{wanted}")
        check_generation(int(resource["generation"]), _conditions(request))
        if request.one("alt") != "media":
            return _json(resource)
        size = int(resource["size"])
        headers = {
            "Content-Type": resource["contentType"],
            "ETag": resource["etag"],
            "X-Goog-Hash": f"crc32c={resource['crc32c']},md5={resource['md5Hash']}",
            "X-Goog-Generation": resource["generation"],
            "X-Goog-Metageneration": "1",
            "X-Goog-Stored-Content-Length": str(size),
            "X-Goog-Stored-Content-Encoding": resource.get("contentEncoding", "identity"),
        }
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked is None or asked[0] == "bytes=-":
            return Answer(200, headers, file=(path, 0, size))
        if asked[1]:
            first, end = int(asked[1]), min(int(asked[2] or size) + 1, size)
        else:
            first, end = max(size - int(asked[2]), 0), size
        if first >= size:
            return Answer(416, {"Content-Range": f"bytes */{size}"})
        headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
        return Answer(206, headers, file=(path, first, end - first))

    def _delete(self, request: Request, bucket: str, name: str) -> Answer:
        self._storage.delete(bucket, name, _conditions(request))
        return Answer(204)

    def _patch(self, request: Request, bucket: str, name: str) -> Answer:
        return _json(self._storage.patch(bucket, name, _body(request)))

    def _upload(self, request: Request, bucket: str) -> Answer:
        kind = request.one("uploadType")
        if request.one("upload_id"):
            return self._continue(request, bucket)
        if kind == "resumable":
            self._storage.bucket(bucket)
            metadata = _body(request) if request.body else {}
            metadata.setdefault("name", request.one("name"))
            if request.headers.get("X-Upload-Content-Type"):
                metadata.setdefault("contentType", request.headers["X-Upload-Content-Type"])
            identity = secrets.token_hex(16)
            kept = json.dumps({"bucket": bucket, "metadata": metadata, "expected": _conditions(request)})
            self._store.run("insert into uploads values (?, ?)", identity, kept)
            self._part(identity).touch()
            url = f"http://{request.headers['Host']}{request.path}?uploadType=resumable&upload_id={identity}"
            return Answer(200, {"Location": url, "X-GUploader-UploadID": identity})
        if kind == "multipart":
            metadata, data = _multipart(request)
        else:
            metadata = {"name": request.one("name"), "contentType": request.headers.get("Content-Type", "")}
            data = request.body
        file = self._part(secrets.token_hex(16))
        file.write_bytes(data)
        return self._finish(file, bucket, metadata, _conditions(request))

    def _finish(self, file: Path, bucket: str, metadata: dict[str, Any], expected: dict[str, int]) -> Answer:
        try:
            name = metadata.get("name")
            if not isinstance(name, str):
                raise StorageError(400, "required", "Required parameter: name")
            return _json(self._storage.insert(bucket, name, file, metadata, expected))
        finally:
            file.unlink(missing_ok=True)

    def _continue(self, request: Request, bucket: str) -> Answer:
        identity = request.one("upload_id")
        row = self._store.row("select body from uploads where id = ?", identity)
        if not row:
            raise StorageError(404, "notFound", "No such upload")
        kept, part = json.loads(str(row[0])), self._part(identity)
        if request.verb == "DELETE":
            self._forget(identity)
            return Answer(499)
        said = _CONTENT_RANGE.fullmatch(request.headers.get("Content-Range", ""))
        size = part.stat().st_size
        total = len(request.body) if said is None else None if said[3] == "*" else int(said[3])
        if said is None or said[1]:
            first = 0 if said is None else int(said[1])
            if first > size:
                raise StorageError(503, "backendError", f"Bytes {size}-{first - 1} are missing")
            with part.open("r+b") as file:
                file.seek(first)
                file.write(request.body)
                file.truncate()
                size = file.tell()
        if total is None or size < total:
            return Answer(308, {"Range": f"bytes=0-{size - 1}"} if size else {})
        answer = self._finish(part, kept["bucket"], kept["metadata"], kept["expected"])
        self._forget(identity)
        return answer

    def _part(self, identity: str) -> Path:
        return self._storage.staging / identity

    def _forget(self, identity: str) -> None:
        self._store.run("delete from uploads where id = ?", identity)
        self._part(identity).unlink(missing_ok=True)


def _multipart(request: Request) -> tuple[dict[str, Any], bytes]:
    """The metadata and the data of a `multipart/related` body."""
    match = re.search(r'boundary="?([^";]+)"?', request.headers.get("Content-Type", ""))
    if match is None:
        raise StorageError(400, "invalid", "a multipart body without a boundary")
    mark = b"--" + match[1].encode()
    pieces = request.body.split(mark, 2)
    if len(pieces) != 3 or not request.body.rstrip().endswith(mark + b"--"):
        raise StorageError(400, "invalid", "Malformed multipart body.")
    described = message_from_bytes(pieces[1].lstrip(b"\r\n"))
    # The data may hold anything, so it ends at the last mark and is not looked through.
    head, _, rest = pieces[2].lstrip(b"\r\n").partition(b"\r\n\r\n")
    data = rest[: rest.rindex(b"\r\n" + mark)]
    try:
        metadata = json.loads(str(described.get_payload()))
    except ValueError as error:
        raise StorageError(400, "parseError", f"Parse Error: {error}") from None
    if not isinstance(metadata, dict):
        raise StorageError(400, "parseError", "an object is expected")
    metadata.setdefault("contentType", message_from_bytes(head + b"\r\n\r\n").get_content_type())
    if request.one("name"):
        metadata.setdefault("name", request.one("name"))
    return metadata, data


def _conditions(request: Request) -> dict[str, int]:
    return {key: _number(request, key, 0) for key in _CONDITIONS if request.one(key)}


def _number(request: Request, name: str, otherwise: int) -> int:
    said = request.one(name)
    if said and not re.fullmatch(r"[0-9]{1,19}", said):
        raise StorageError(400, "invalid", f"Invalid value for {name}: {said!r}")
    return int(said) if said else otherwise


def _body(request: Request) -> dict[str, Any]:
    try:
        found = json.loads(request.body)
    except ValueError as error:
        raise StorageError(400, "parseError", f"Parse Error: {error}") from None
    if not isinstance(found, dict):
        raise StorageError(400, "parseError", "an object is expected")
    return found


def _json(data: dict[str, Any]) -> Answer:
    return Answer(200, {"Content-Type": "application/json; charset=UTF-8"}, json.dumps(data).encode())


def _error(status: int, reason: str, message: str) -> Answer:
    what = {"message": message, "domain": "global", "reason": reason}
    answer = _json({"error": {"code": status, "message": message, "errors": [what]}})
    answer.status = status
    if status == 304:
        answer.body = b""
    return answer
