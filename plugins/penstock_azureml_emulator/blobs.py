"""The blobs of the workspace's storage account: files of this state, and what is known of them.

A blob's content lies in a file whose name says nothing; so a name may be anything, and a blob may lie below another.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import time
import uuid
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock_emulator.store import Store

ACCOUNT = "penstockstore"
"""The storage account's name."""

_KEPT = 60.0
"""Seconds that content which was replaced or deleted stays for who is reading it."""

TABLES = """
create table if not exists blobs (
    container text not null, name text not null, file text not null, outside integer not null, etag text not null,
    modified real not null, md5 text not null, body text not null, primary key (container, name)
);
create table if not exists blocks (
    container text not null, name text not null, id text not null, file text not null,
    primary key (container, name, id)
);
create table if not exists containers (name text primary key, modified real not null, etag text not null);
"""


@dataclass
class Blob:
    """What is known of one blob. `told` are its content's headers (`content_type`, ...) and its `metadata`."""

    container: str
    name: str
    file: Path
    etag: str
    modified: float
    md5: str
    told: dict[str, Any]

    @property
    def size(self) -> int:
        """Bytes, as they are now: what a step writes into its log is seen at once."""
        return self.file.stat().st_size if self.file.is_file() else 0


class Blobs:
    """The containers and blobs of one state."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store
        (folder / "content").mkdir(parents=True, exist_ok=True)
        self._replaced: deque[tuple[float, Path]] = deque()
        self._sweep()

    def ensure(self, container: str) -> bool:
        """Make a container if it is not there; whether that was so."""
        statement = "insert or ignore into containers values (?, ?, ?)"
        return bool(self._store.run(statement, container, time.time(), _etag()))

    def container(self, name: str) -> tuple[float, str] | None:
        """When a container changed, and its etag."""
        row: Any = self._store.row("select modified, etag from containers where name = ?", name)
        return (row[0], row[1]) if row else None

    def containers(self) -> list[str]:
        """The names of all containers."""
        return [str(name) for (name,) in self._store.rows("select name from containers order by name")]

    def drop(self, container: str) -> None:
        """Delete a container and what is in it."""
        for blob in self.beginning(container, ""):
            self.delete(blob)
        self._store.run("delete from containers where name = ?", container)

    def get(self, container: str, name: str) -> Blob | None:
        """A blob, or nothing."""
        row: Any = self._store.row(
            "select name, file, outside, etag, modified, md5, body from blobs where container = ? and name = ?",
            container,
            name,
        )
        return self._blob(container, *row) if row else None

    def beginning(self, container: str, prefix: str) -> list[Blob]:
        """All blobs whose names begin so, in the order of their names."""
        rows: Any = self._store.rows(
            "select name, file, outside, etag, modified, md5, body from blobs"
            " where container = ? and substr(name, 1, ?) = ? order by name",
            container,
            len(prefix),
            prefix,
        )
        return [self._blob(container, *row) for row in rows]

    def put(self, container: str, name: str, data: bytes, told: dict[str, Any]) -> Blob:
        """Write a blob as a whole."""
        file = self._file()
        (self._folder / file).write_bytes(data)
        return self._enter(container, name, file, told)

    def put_file(self, container: str, name: str, source: Path) -> Blob:
        """Write a blob from a file, which is copied."""
        file = self._file()
        shutil.copyfile(source, self._folder / file)
        return self._enter(container, name, file, {"content_type": "application/octet-stream"})

    def show(self, container: str, name: str, file: Path) -> None:
        """Show a file of the emulator's own, which may still grow, as a blob."""
        told = json.dumps({"content_type": "text/plain"})
        self._store.run(
            "insert or replace into blobs values (?, ?, ?, 1, ?, ?, '', ?)",
            container,
            name,
            str(file),
            _etag(),
            time.time(),
            told,
        )

    def put_block(self, container: str, name: str, block: str, data: bytes) -> None:
        """Keep a block of a blob until a list of blocks names it."""
        file = self._file()
        (self._folder / file).write_bytes(data)
        self._store.run("insert or replace into blocks values (?, ?, ?, ?)", container, name, block, file)

    def blocks(self, container: str, name: str) -> dict[str, int]:
        """The blocks that wait, and their bytes."""
        rows = self._store.rows("select id, file from blocks where container = ? and name = ?", container, name)
        return {str(block): (self._folder / str(file)).stat().st_size for block, file in rows}

    def commit(self, container: str, name: str, blocks: list[str], told: dict[str, Any]) -> Blob:
        """Make a blob of blocks that wait. Raises KeyError for one that does not."""
        with self._store.transaction():
            rows = self._store.rows("select id, file from blocks where container = ? and name = ?", container, name)
            files = {str(block): self._folder / str(file) for block, file in rows}
            wanted = [files[block] for block in blocks]
            file = self._file()
            with (self._folder / file).open("wb") as joined:
                for one in wanted:
                    with one.open("rb") as part:
                        shutil.copyfileobj(part, joined)
            self._store.run("delete from blocks where container = ? and name = ?", container, name)
        for one in files.values():
            one.unlink(missing_ok=True)
        told = {**told, "blocks": blocks}
        return self._enter(container, name, file, told)

    def tell(self, blob: Blob, told: dict[str, Any]) -> Blob:
        """Change what is told of a blob."""
        changed = "update blobs set body = ?, etag = ?, modified = ? where container = ? and name = ?"
        self._store.run(changed, json.dumps({**blob.told, **told}), _etag(), time.time(), blob.container, blob.name)
        return self.get(blob.container, blob.name) or blob

    def delete(self, blob: Blob) -> None:
        """Delete a blob."""
        self._store.run("delete from blobs where container = ? and name = ?", blob.container, blob.name)
        self._forget(blob.file)

    def _enter(self, container: str, name: str, file: str, told: dict[str, Any]) -> Blob:
        with (self._folder / file).open("rb") as content:
            digest = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).digest()
        md5 = base64.b64encode(digest).decode()
        with self._store.transaction():
            before = self.get(container, name)
            self._store.run(
                "insert or replace into blobs values (?, ?, ?, 0, ?, ?, ?, ?)",
                container,
                name,
                file,
                _etag(),
                time.time(),
                md5,
                json.dumps(told),
            )
        if before is not None:
            self._forget(before.file)
        found = self.get(container, name)
        assert found is not None
        return found

    def _blob(
        self, container: str, name: str, file: str, outside: int, etag: str, modified: float, md5: str, body: str
    ) -> Blob:
        place = Path(file) if outside else self._folder / file
        if outside and place.is_file():  # it grows: what was read before is not what is there
            status = place.stat()
            etag, modified = f'"0x{status.st_size:X}{status.st_mtime_ns:X}"', status.st_mtime
        return Blob(container, name, place, etag, modified, md5, json.loads(body))

    def _forget(self, file: Path) -> None:
        """Remove content of our own, but not from under somebody who has just found it."""
        if file.is_relative_to(self._folder):
            self._replaced.append((time.monotonic(), file))
        while self._replaced and self._replaced[0][0] < time.monotonic() - _KEPT:
            self._replaced.popleft()[1].unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove content that no blob and no block has: what was replaced before an end, or half written."""
        rows: Any = self._store.rows("select file from blobs where not outside union select file from blocks")
        known = {str(file) for (file,) in rows}
        for file in (self._folder / "content").iterdir():
            if f"content/{file.name}" not in known:
                file.unlink(missing_ok=True)

    def _file(self) -> str:
        return f"content/{uuid.uuid4().hex}"


def _etag() -> str:
    return f'"0x{time.time_ns():X}"'
