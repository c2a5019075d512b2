"""Reading our archives: what is in them, the digest over it, and unpacking, where no path can lead outside.

Archives are plain tar (ustar, pax headers for long or non-ASCII names) that `tar tf` reads. Only regular files and
empty folders are written, so this reader knows nothing else, and starts in a tenth of the time that `tarfile` needs.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from penstock.errors import RegistryError
from penstock.opening import open_file
from penstock.snapshot.types import Archive
from penstock.text import disk_name

_BLOCK = 512
_CHUNK = 1024 * 1024
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@frozen
class Member:
    """One file in an archive: its path with `/`, whether it is executable, and its bytes in chunks.

    An empty folder is one too: `is_folder`, without bytes.
    """

    path: str
    executable: bool
    size: int
    chunks: Iterator[bytes]
    is_folder: bool = False


def members(location: Path, file: BinaryIO | None = None) -> Iterator[Member]:
    """The files and empty folders of an archive, in its order; read the chunks of one before going on to the next.

    `file` is it where it is open, and then `location` what errors call it. Raises RegistryError: `archive_missing`,
    `archive_corrupt`.
    """
    try:
        with os.fdopen(open_file(location), "rb") if file is None else nullcontext(file) as archive:
            archive.seek(0)
            yield from _members(archive, location)
    except FileNotFoundError:
        raise RegistryError(f"the archive {location} is missing", code="archive_missing") from None
    except (OSError, ValueError) as error:
        raise _corrupt(location, error) from None


class ContentDigest:
    """`sha256:...` over paths, executable bits and bytes of what travels, as it comes. `size` are the bytes so far."""

    def __init__(self) -> None:
        self.size = 0
        self._sum = hashlib.sha256()

    def begin(self, path: str, size: int, *, executable: bool = False, is_folder: bool = False) -> None:
        """The next file, whose bytes are to follow, or the next empty folder."""
        mark = "d" if is_folder else "x" if executable else "-"
        self._sum.update(f"{mark} {size} {path}\0".encode())
        self.size += size

    def add(self, chunk: bytes) -> None:
        """Some bytes of the file."""
        self._sum.update(chunk)

    def __str__(self) -> str:
        return f"sha256:{self._sum.hexdigest()}"


def digest_of(location: Path, *, normal: bool = False, file: BinaryIO | None = None) -> tuple[str, int]:
    """The digest of what an archive holds, see `ContentDigest`, and its bytes' number.

    With `normal` the paths count in NFC. `file` is as for `members`. Raises RegistryError: `archive_missing`,
    `archive_corrupt`.
    """
    digest = ContentDigest()
    for member in members(location, file):
        path = unicodedata.normalize("NFC", member.path) if normal else member.path
        digest.begin(path, member.size, executable=member.executable, is_folder=member.is_folder)
        for chunk in member.chunks:
            digest.add(chunk)
    return str(digest), digest.size


def check_archive(archive: Archive) -> None:
    """Read an archive and compare. Raises RegistryError: `archive_missing`, `archive_corrupt`."""
    digest, _ = digest_of(archive.location)
    if digest != archive.digest:
        raise wrong_content(archive)


def extract(archive: Archive, destination: Path, *, read_only: bool = False) -> None:
    """Write an archive's files and empty folders below `destination`, which is made when it is not there.

    Nothing is overwritten. Executable files stay executable. A `file` archive becomes one file under its base name.
    `read_only` files are their owner's alone, and not to be written to; the folders are. The content is held against
    the archive's digest on its way: use what is there only when nothing was raised. Raises RegistryError:
    `archive_missing`, `archive_corrupt`, `archive_unpack` (no space, no permission, a file that is there already).
    """
    root = os.fspath(destination)
    modes = (0o400, 0o500) if read_only else (0o644, 0o755)
    made = {""}
    digest = ContentDigest()
    try:
        destination.mkdir(parents=True, exist_ok=True)
        for member in members(archive.location):
            _check(member.path, archive)
            digest.begin(member.path, member.size, executable=member.executable, is_folder=member.is_folder)
            if digest.size > archive.size:  # whatever it is, it is not to fill the disk
                raise wrong_content(archive)
            folder = member.path.rpartition("/")[0]
            if folder not in made:
                (destination / disk_name(folder)).mkdir(parents=True, exist_ok=True)
                made.add(folder)
            if member.is_folder:
                (destination / disk_name(member.path)).mkdir()
                continue
            handle = os.open(f"{root}/{disk_name(member.path)}", _FLAGS, modes[member.executable])
            try:
                for chunk in member.chunks:
                    digest.add(chunk)
                    _write(handle, chunk)
            finally:
                os.close(handle)
    except OSError as error:
        where = error.filename or root
        message = f"cannot unpack `{archive.path}` to {where}: {(error.strerror or str(error)).lower()}"
        raise RegistryError(message, code="archive_unpack") from None
    if str(digest) != archive.digest:
        raise wrong_content(archive)


def wrong_content(archive: Archive) -> RegistryError:
    """What is said of an archive that is one, and another than its name says."""
    message = f"the archive {archive.location} of `{archive.path}` does not hold what was published"
    return RegistryError(message, code="archive_corrupt")


def _members(file: BinaryIO, location: Path) -> Iterator[Member]:
    offset, special = 0, dict[str, str]()
    while True:
        file.seek(offset)
        header = file.read(_BLOCK)
        if len(header) < _BLOCK:
            raise ValueError("it ends in the middle")
        if not header.strip(b"\0"):
            return
        kind = header[156:157]
        size = int(special.get("size") or header[124:136].rstrip(b"\0 ") or b"0", 10 if "size" in special else 8)
        offset += _BLOCK + (size + _BLOCK - 1) // _BLOCK * _BLOCK
        if kind == b"x":
            special = _pax(file.read(size))
        elif kind in (b"0", b"5"):
            path = special.get("path") or header[:100].rstrip(b"\0").decode("ascii")
            executable = bool(int(header[100:108].rstrip(b"\0 "), 8) & 0o100)
            special = {}
            if kind == b"0":
                yield Member(path, executable, size, _chunks(file, size, location))
            elif size == 0:
                yield Member(path.removesuffix("/"), False, 0, iter(()), is_folder=True)
            else:
                raise ValueError("it holds a folder with content")
        else:
            raise ValueError("it holds something else than files and folders")


def _pax(data: bytes) -> dict[str, str]:
    records = {}
    while data:
        length = int(data[: data.index(b" ")])
        key, _, value = data[data.index(b" ") + 1 : length - 1].partition(b"=")
        if length < 5:
            raise ValueError("a header record is damaged")
        records[key.decode()] = value.decode()
        data = data[length:]
    return records


def _chunks(file: BinaryIO, size: int, location: Path) -> Iterator[bytes]:
    while size:
        try:
            chunk = file.read(min(size, _CHUNK))
        except OSError as error:
            raise _corrupt(location, error) from None
        if not chunk:
            raise _corrupt(location, "it ends in the middle of a file")
        size -= len(chunk)
        yield chunk


def _corrupt(location: Path, why: object) -> RegistryError:
    return RegistryError(f"the archive {location} cannot be read: {why}", code="archive_corrupt")


def _check(path: str, archive: Archive) -> None:
    if "\0" in path or any(part in ("", ".", "..") for part in path.split("/")):
        message = f"the archive {archive.location} names a path outside its folder"
        raise RegistryError(message, code="archive_corrupt")


def _write(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]
