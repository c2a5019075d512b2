"""Artifacts as bytes: a file as it is, a directory as a tar stream, opened so that no link leads elsewhere."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from attrs import frozen

from penstock.contract.artifacts import stays
from penstock.contract.local_artifacts import PIECE, Handle, open_here, read, walk
from penstock.errors import PenstockError
from penstock.workspace import Artifact

_BLOCK = tarfile.BLOCKSIZE
END = bytes(2 * _BLOCK)
"""The end of a tar archive."""


@frozen
class OpenFile:
    """A regular file that is open; `length` is in bytes, as it was then."""

    length: int
    _file: BinaryIO

    def __del__(self) -> None:
        self._file.close()  # of what is only measured, nobody asks for the pieces

    def pieces(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from `first` up to `end`, and the file is closed. Raises PenstockError if it became shorter."""
        with self._file:
            self._file.seek(first)
            yield from read(self._file, end - first)


@frozen
class OpenFolder:
    """A directory that is open."""

    name: str
    _handle: Handle

    def pieces(self) -> Iterator[bytes]:
        """A tar archive of it under its output's name, without what is neither file, folder nor a link within it."""
        try:
            yield from together(self._tar())
        except OSError as error:
            raise PenstockError(f"the output `{self.name}` changed while it was read: {error}") from None

    def _tar(self) -> Iterator[bytes]:
        yield _head(self.name, self._handle.found, tarfile.DIRTYPE)
        for entry in walk(self._handle):
            path = f"{self.name}/{entry.path}"
            if entry.to is not None:
                if stays(entry.to, entry.path.count("/")):
                    yield _head(path, entry.found, tarfile.SYMTYPE, entry.to)
            elif entry.content is None:
                yield _head(path, entry.found, tarfile.DIRTYPE)
            else:
                yield _head(path, entry.found, tarfile.REGTYPE)
                yield from padded(read(entry.content, entry.found.st_size), entry.found.st_size)
        yield END


def open_artifact(artifact: Artifact) -> OpenFile | OpenFolder:
    """Open what lies at an artifact's path. Raises NotFound `artifact_gone` when that is not what was reported."""
    assert artifact.path is not None
    handle = open_here(artifact.path, artifact.name, artifact.type, below=artifact.below)
    if artifact.type == "directory":
        return OpenFolder(artifact.name, handle)
    return OpenFile(handle.found.st_size, os.fdopen(os.dup(handle.number), "rb", buffering=0))


def head(name: str, kind: bytes, *, mode: int, modified: int, size: int = 0, to: str = "") -> bytes:
    """The head of an entry, which says nothing of this machine's users."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime, info.size, info.linkname = kind, mode & 0o777, modified, size, to
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padded(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The content of an entry of so many bytes."""
    yield from pieces
    yield bytes(-size % _BLOCK)


def together(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth being sent."""
    waiting = bytearray()
    for part in parts:
        waiting += part
        if len(waiting) >= PIECE:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting)


def _head(name: str, found: os.stat_result, kind: bytes, to: str = "") -> bytes:
    size = found.st_size if kind == tarfile.REGTYPE else 0
    return head(name, kind, mode=found.st_mode, modified=int(found.st_mtime), size=size, to=to)
