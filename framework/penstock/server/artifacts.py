"""Artifacts as bytes: a file as it is, a directory as a tar stream, opened so that no link leads elsewhere."""

from __future__ import annotations

import os
import re
import stat
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

from attrs import frozen

from penstock.errors import NotFound, PenstockError
from penstock.workspace import Artifact

_PIECE = 256 * 1024
_BLOCK = tarfile.BLOCKSIZE
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in its place must not keep us waiting


class _Handle:
    """A folder that is open for as long as somebody has this."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


@frozen
class OpenFile:
    """A regular file that is open; `length` is in bytes, as it was then."""

    length: int
    _file: BinaryIO

    def pieces(self, first: int, end: int) -> Iterator[bytes]:
        """The bytes from `first` up to `end`, and the file is closed. Raises PenstockError if it became shorter."""
        with self._file:
            self._file.seek(first)
            yield from _read(self._file, end - first)


@frozen
class OpenFolder:
    """A directory that is open."""

    name: str
    _handle: _Handle

    def pieces(self) -> Iterator[bytes]:
        """A tar archive of it under its output's name, without what is neither file, folder nor a link within it."""
        waiting = bytearray()
        try:
            for piece in _tar(self._handle, self.name):
                waiting += piece
                if len(waiting) >= _PIECE:
                    yield bytes(waiting)
                    waiting.clear()
        except OSError as error:
            raise PenstockError(f"the output `{self.name}` changed while it was read: {error}") from None
        yield bytes(waiting)


def open_artifact(artifact: Artifact) -> OpenFile | OpenFolder:
    """Open what lies at an artifact's path. Raises NotFound `artifact_gone` when that is not what was reported."""
    try:
        handle = os.open(artifact.path, _FLAGS)
    except OSError as error:
        raise _gone(artifact, error.strerror or "it cannot be opened") from None
    found = os.fstat(handle)
    if artifact.type == "directory" and stat.S_ISDIR(found.st_mode):
        return OpenFolder(artifact.name, _Handle(handle))
    if artifact.type == "file" and stat.S_ISREG(found.st_mode):
        return OpenFile(found.st_size, os.fdopen(handle, "rb", buffering=0))
    os.close(handle)
    raise _gone(artifact, f"it is no {artifact.type} any more")


def _gone(artifact: Artifact, why: str) -> NotFound:
    return NotFound(f"the output `{artifact.name}` is not there any more: {why}", code="artifact_gone")


def _tar(root: _Handle, name: str) -> Iterator[bytes]:
    """The pieces of a tar archive, walked by handles: what is swapped for a link meanwhile is not followed."""
    yield _head(tarfile.TarInfo(name), os.fstat(root.number), tarfile.DIRTYPE)
    stack = [(root, name, _names(root))]
    while stack:
        folder, path, names = stack[-1]
        entry = next(names, None)
        if entry is None:
            stack.pop()
            continue
        info = tarfile.TarInfo(f"{path}/{entry}")
        found = os.stat(entry, dir_fd=folder.number, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            # Python's tarfile takes `a//b` for a place outside when `a` is a link to itself (3.11).
            info.linkname = re.sub("/+", "/", os.readlink(entry, dir_fd=folder.number))
            if _stays(info.linkname, depth=len(stack) - 1):
                yield _head(info, found, tarfile.SYMTYPE)
        elif stat.S_ISDIR(found.st_mode):
            inner = _Handle(os.open(entry, _FLAGS | os.O_DIRECTORY, dir_fd=folder.number))
            yield _head(info, found, tarfile.DIRTYPE)
            stack.append((inner, info.name, _names(inner)))
        elif stat.S_ISREG(found.st_mode):
            with os.fdopen(os.open(entry, _FLAGS, dir_fd=folder.number), "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(f"`{info.name}` is no file any more")
                info.size = found.st_size
                yield _head(info, found, tarfile.REGTYPE)
                yield from _read(file, info.size)
                yield bytes(-info.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def _names(folder: _Handle) -> Iterator[str]:
    return iter(sorted(os.listdir(folder.number)))  # noqa: PTH208  # `Path` takes no handle


def _head(info: tarfile.TarInfo, found: os.stat_result, kind: bytes) -> bytes:
    """The head of an entry, which says nothing of this machine's users."""
    info.type = kind
    info.mode = found.st_mode & 0o777
    info.mtime = int(found.st_mtime)
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def _stays(target: str, depth: int) -> bool:
    """Whether a link `depth` folders below the top leads to something below the top.

    It may go up first, out of real folders, and then only down: what it passes there stays within by the same rule.
    """
    words = [word for word in target.split("/") if word not in ("", ".")]
    ups = 0
    while ups < len(words) and words[ups] == "..":
        ups += 1
    return not target.startswith("/") and ups <= depth and ".." not in words[ups:]


def _read(file: BinaryIO, size: int) -> Iterator[bytes]:
    """So many bytes of a file from where it stands. Raises PenstockError when there are fewer."""
    while size > 0:
        data = file.read(min(size, _PIECE))
        if not data:
            raise PenstockError("an artifact became shorter while it was read")
        size -= len(data)
        yield data
