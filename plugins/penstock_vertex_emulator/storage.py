"""Buckets and objects as folders and files, so that steps read and write the same files.

An object is a file below `<folder>/<bucket>/`; what a step wrote there is an object like any other. Its generation is
the file's time of change in microseconds, which every write through the API moves forward.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penstock_emulator.store import Store

_BUCKET = re.compile(r"[a-z0-9][-a-z0-9_.]{1,220}[a-z0-9]")


class StorageError(Exception):
    """What a call on storage is refused with: HTTP status, Google's reason, a line."""

    def __init__(self, http: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.http = http
        self.reason = reason
        self.message = message


class Storage:
    """All buckets, below one folder."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self._store = store
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self.staging = folder.parent / "uploads"
        self.staging.mkdir(exist_ok=True)

    def create_bucket(self, name: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make a bucket."""
        if not _BUCKET.fullmatch(name):
            raise StorageError(400, "invalid", f"Invalid bucket name: '{name}'")
        made = {"timeCreated": _time(time.time()), "location": "US", "storageClass": "STANDARD", **(body or {})}
        if not self._store.run("insert or ignore into buckets values (?, ?)", name, json.dumps(made)):
            raise StorageError(409, "conflict", f"The bucket {name} exists already")
        (self.folder / name).mkdir(exist_ok=True)
        return self.bucket(name)

    def bucket(self, name: str) -> dict[str, Any]:
        """A bucket's resource."""
        row = self._store.row("select body from buckets where name = ?", name)
        if not row:
            raise StorageError(404, "notFound", "The specified bucket does not exist.")
        return {
            **json.loads(str(row[0])),
            "kind": "storage#bucket",
            "id": name,
            "name": name,
            "metageneration": "1",
            "etag": "CAE=",
        }

    def buckets(self) -> list[dict[str, Any]]:
        """All buckets."""
        return [self.bucket(str(name)) for (name,) in self._store.rows("select name from buckets order by name")]

    def delete_bucket(self, name: str) -> None:
        """Remove a bucket that holds nothing."""
        self.bucket(name)
        if self.names(name):
            raise StorageError(409, "conflict", "The bucket you tried to delete is not empty.")
        for path, _, _ in os.walk(self.folder / name, topdown=False):
            Path(path).rmdir()
        self._store.run("delete from buckets where name = ?", name)

    def path(self, bucket: str, name: str) -> Path:
        """The file of an object. A name that cannot be a path is refused, which Google would not do."""
        if not _is_path(name):
            shown = ascii(name[:100])
            raise StorageError(400, "invalid", f"Invalid object name here: {shown} cannot be a file's path")
        return self.folder.joinpath(bucket, *name.split("/"))

    def local(self, uri: str) -> str:
        """The file of a `gs://` URI, or the URI itself where it is of another kind."""
        return str(self.folder / uri.removeprefix("gs://")) if uri.startswith("gs://") else uri

    def names(self, bucket: str, prefix: str = "") -> list[str]:
        """The names of a bucket's objects, in order."""
        base = self.folder / bucket
        above = prefix.rpartition("/")[0]
        if above and not _is_path(above):
            return []
        start = base / above
        found = []
        for folder, _, files in os.walk(start):
            found += [Path(folder, one).relative_to(base).as_posix() for one in files]
        return sorted((one for one in found if one.startswith(prefix)), key=lambda name: name.encode())

    def get(self, bucket: str, name: str) -> tuple[Path, dict[str, Any]]:
        """An object's file and resource."""
        self.bucket(bucket)
        path = self.path(bucket, name)
        if not path.is_file():
            raise StorageError(404, "notFound", f"No such object: {bucket}/{name}")
        return path, self._resource(bucket, name, path)

    def insert(
        self, bucket: str, name: str, content: Path, metadata: dict[str, Any], expected: dict[str, int]
    ) -> dict[str, Any]:
        """Move a file into its place as an object, if the preconditions (`ifGenerationMatch`, ...) hold."""
        self.bucket(bucket)
        path = self.path(bucket, name)
        crc, md5 = _sums(content)
        for key, sum_ in (("crc32c", crc), ("md5Hash", md5)):
            if metadata.get(key, sum_) != sum_:
                raise StorageError(
                    400, "invalid", f"Provided {key} {metadata[key]!r} is not that of the data, {sum_!r}"
                )
        with self._lock:
            before = _generation(path) if path.is_file() else 0
            check_generation(before, expected)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                moment = max(time.time_ns() // 1000, before + 1)
                os.utime(content, ns=(moment * 1000, moment * 1000))
                _remove_empty_folders(path)
                content.replace(path)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                message = f"'{name}' cannot be a file here: an object above or below it has its place"
                raise StorageError(400, "invalid", message) from None
            kept: dict[str, Any] = {
                key: metadata[key]
                for key in ("contentType", "contentEncoding", "metadata", "cacheControl")
                if key in metadata
            }
            kept |= {"crc32c": crc, "md5Hash": md5}
            self._remember(bucket, name, moment, kept)
        return self._resource(bucket, name, path)

    def delete(self, bucket: str, name: str, expected: dict[str, int]) -> None:
        """Remove an object, if the preconditions hold."""
        with self._lock:
            path, _ = self.get(bucket, name)
            check_generation(_generation(path), expected)
            path.unlink()

    def patch(self, bucket: str, name: str, changes: dict[str, Any]) -> dict[str, Any]:
        """Change what is said about an object."""
        with self._lock:
            path, resource = self.get(bucket, name)
            kept = {key: value for key, value in {**resource, **changes}.items() if key in _KEPT}
            self._remember(bucket, name, _generation(path), kept)
        return self._resource(bucket, name, path)

    def _remember(self, bucket: str, name: str, generation: int, kept: dict[str, Any]) -> None:
        row = (bucket, name, generation, json.dumps(kept))
        self._store.run("insert or replace into objects values (?, ?, ?, ?)", *row)

    def _resource(self, bucket: str, name: str, path: Path) -> dict[str, Any]:
        status = path.stat()
        generation = status.st_mtime_ns // 1000
        row = self._store.row("select generation, body from objects where bucket = ? and name = ?", bucket, name)
        if row and row[0] == generation:
            kept = json.loads(str(row[1]))
        else:  # a step wrote it
            crc, md5 = _sums(path)
            kept = {"crc32c": crc, "md5Hash": md5}
            self._remember(bucket, name, generation, kept)
        return {
            "kind": "storage#object",
            "id": f"{bucket}/{name}/{generation}",
            "name": name,
            "bucket": bucket,
            "generation": str(generation),
            "metageneration": "1",
            "contentType": "application/octet-stream",
            "storageClass": "STANDARD",
            "size": str(status.st_size),
            "etag": f"{generation:x}",
            "timeCreated": _time(generation / 1e6),
            "updated": _time(generation / 1e6),
            **kept,
        }


_KEPT = ("contentType", "contentEncoding", "metadata", "cacheControl", "crc32c", "md5Hash")


def check_generation(before: int, expected: dict[str, int]) -> None:
    """Hold preconditions against the generation that is there, 0 for none. Raises StorageError (412, 304)."""
    wanted, other = expected.get("ifGenerationMatch"), expected.get("ifGenerationNotMatch")
    if wanted is not None and wanted != before:
        message = "At least one of the pre-conditions you specified did not hold."
        raise StorageError(412, "conditionNotMet", message)
    if other is not None and other == before:
        raise StorageError(304, "notModified", "")


def _remove_empty_folders(path: Path) -> None:
    """What deleted objects left where an object is to lie; nothing happens to a folder that holds any."""
    if path.is_dir():
        with contextlib.suppress(OSError):
            for folder, _, _ in os.walk(path, topdown=False):
                Path(folder).rmdir()


def _generation(path: Path) -> int:
    return path.stat().st_mtime_ns // 1000


def _sums(path: Path) -> tuple[str, str]:
    import google_crc32c

    crc, md5 = google_crc32c.Checksum(), hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            crc.update(block)
            md5.update(block)
    return base64.b64encode(crc.digest()).decode(), base64.b64encode(md5.digest()).decode()


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_path(name: str) -> bool:
    """Whether a name can be a path below a folder: 1,024 bytes as at Google, 255 a part as file systems take."""
    try:
        parts = name.encode().split(b"/")
    except UnicodeEncodeError:
        return False
    named = all(0 < len(one) <= 255 and one not in (b".", b"..") for one in parts)
    return named and len(name.encode()) <= 1024 and "\0" not in name
