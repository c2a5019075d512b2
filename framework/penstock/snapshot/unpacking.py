"""Unpacking an archive: once per step on this machine, so it is quick, and no path in it can lead outside."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.errors import RegistryError
from penstock.snapshot.members import members
from penstock.snapshot.types import Archive

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def extract(archive: Archive, destination: Path) -> None:
    """Write an archive's files below `destination`, which is made when it is not there. Nothing is overwritten.

    Executable files stay executable. A `file` archive becomes one file under its base name. Raises RegistryError:
    `archive_missing`, `archive_corrupt`, `archive_unpack` (no space, no permission, a file that is there already).
    """
    root = os.fspath(destination)
    made = {""}
    try:
        destination.mkdir(parents=True, exist_ok=True)
        for member in members(archive.location):
            _check(member.path, archive)
            folder = member.path.rpartition("/")[0]
            if folder not in made:
                (destination / folder).mkdir(parents=True, exist_ok=True)
                made.add(folder)
            handle = os.open(f"{root}/{member.path}", _FLAGS, 0o755 if member.executable else 0o644)
            try:
                for chunk in member.chunks:
                    _write(handle, chunk)
            finally:
                os.close(handle)
    except OSError as error:
        where = error.filename or root
        message = f"cannot unpack `{archive.path}` to {where}: {(error.strerror or str(error)).lower()}"
        raise RegistryError(message, code="archive_unpack") from None


def _check(path: str, archive: Archive) -> None:
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        message = f"the archive {archive.location} names a path outside its folder"
        raise RegistryError(message, code="archive_corrupt")


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
