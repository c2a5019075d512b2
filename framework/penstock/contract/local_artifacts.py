"""Artifacts that lie on this machine, opened and walked by handles so that no link leads elsewhere."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from penstock.contract.artifacts import Destination
from penstock.errors import NotFound, PenstockError
from penstock.opening import open_folder

PIECE = 256 * 1024
"""Bytes that are read at once, at the most."""

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe in its place must not keep us waiting


class Handle:
    """A file or folder that is open for as long as somebody has this."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.found = os.fstat(number)

    def __del__(self) -> None:
        os.close(self.number)


@frozen(kw_only=True)
class Entry:
    """Something in a folder. `path` is its way from there; of a link `to` is what it says, of a file `content` is open
    until the next entry is asked for.
    """

    path: str
    found: os.stat_result
    to: str | None = None
    content: BinaryIO | None = None


def open_here(path: Path, name: str, type: str, *, below: Path | None = None) -> Handle:
    """Open what lies at a path, without a link between it and the folder that it is `below`, where that is given.

    Raises NotFound `artifact_gone` when it is not what the output `name` was.
    """
    try:
        if below is None:
            handle = Handle(os.open(path, _FLAGS))
        else:
            folder = open_folder(path.parent, below=below)
            try:
                handle = Handle(os.open(path.name, _FLAGS, dir_fd=folder))
            finally:
                os.close(folder)
    except OSError as error:
        raise _gone(name, error.strerror or "it cannot be opened") from None
    except ValueError:
        raise _gone(name, "it does not lie where its target keeps what runs make") from None
    is_what = stat.S_ISDIR if type == "directory" else stat.S_ISREG
    if not is_what(handle.found.st_mode):
        raise _gone(name, f"it is no {type} any more")
    return handle


def walk(root: Handle) -> Iterator[Entry]:
    """Files, folders and links in a folder, each folder before what is in it. Raises OSError.

    What is swapped for a link meanwhile is not followed; what is neither of them is left out.
    """
    stack = [(root, "", _names(root))]
    while stack:
        folder, above, names = stack[-1]
        name = next(names, None)
        if name is None:
            stack.pop()
            continue
        path = f"{above}{name}"
        found = os.stat(name, dir_fd=folder.number, follow_symlinks=False)
        if stat.S_ISLNK(found.st_mode):
            # Python's tarfile takes `a//b` for a place outside when `a` is a link to itself (3.11).
            to = re.sub("/+", "/", os.readlink(name, dir_fd=folder.number))
            yield Entry(path=path, found=found, to=to)
        elif stat.S_ISDIR(found.st_mode):
            inner = Handle(os.open(name, _FLAGS | os.O_DIRECTORY, dir_fd=folder.number))
            yield Entry(path=path, found=found)
            stack.append((inner, f"{path}/", _names(inner)))
        elif stat.S_ISREG(found.st_mode):
            with os.fdopen(os.open(name, _FLAGS, dir_fd=folder.number), "rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if not stat.S_ISREG(found.st_mode):
                    raise OSError(f"`{path}` is no file any more")
                yield Entry(path=path, found=found, content=file)


def read(file: BinaryIO, size: int) -> Iterator[bytes]:
    """So many bytes of a file from where it stands. Raises PenstockError when there are fewer."""
    while size > 0:
        data = file.read(min(size, PIECE))
        if not data:
            raise PenstockError("an artifact became shorter while it was read")
        size -= len(data)
        yield data


def send(path: Path, destination: Destination, *, below: Path | None = None) -> None:
    """Put what lies at a path of this machine into a destination; see `open_here`.

    Raises NotFound `artifact_gone`, PenstockError when it changes meanwhile, and what the destination raises.
    """
    root = open_here(path, destination.name, destination.type, below=below)
    if destination.type == "file":
        with os.fdopen(os.dup(root.number), "rb", buffering=0) as file:
            _send_file("", root.found, file, destination)
        return
    destination.folder("")
    entries = walk(root)
    while True:
        try:
            entry = next(entries, None)
        except OSError as error:
            raise PenstockError(f"the output `{destination.name}` changed while it was read: {error}") from None
        if entry is None:
            return
        if entry.to is not None:
            destination.link(entry.path, entry.to)
        elif entry.content is not None:
            _send_file(entry.path, entry.found, entry.content, destination)
        else:
            destination.folder(entry.path)


def _send_file(path: str, found: os.stat_result, file: BinaryIO, destination: Destination) -> None:
    pieces = read(file, found.st_size)
    destination.file(path, found.st_size, pieces, executable=bool(found.st_mode & 0o100))


def _names(folder: Handle) -> Iterator[str]:
    return iter(sorted(os.listdir(folder.number)))  # noqa: PTH208  # `Path` takes no handle


def _gone(name: str, why: str) -> NotFound:
    return NotFound(f"the output `{name}` is not there any more: {why}", code="artifact_gone")
