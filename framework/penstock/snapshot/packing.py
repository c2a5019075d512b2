"""Packing files into the store: content-addressed, complete or not there at all, whoever else packs or dies."""

from __future__ import annotations

import errno
import os
import tarfile
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from attrs import frozen

from penstock.drafts import draft, keep_rights
from penstock.errors import RegistryError
from penstock.making import make_folder
from penstock.opening import SWAPPED, open_folder, open_in
from penstock.snapshot.members import digest_of
from penstock.snapshot.refused import NotBundled, unreadable
from penstock.snapshot.walking import Found


def location_of(digest: str, store: Path) -> Path:
    """Where the archive with a digest lies in a store."""
    return store / f"{digest.removeprefix('sha256:')}.tar"


@frozen
class Packed:
    """An archive in the store: its digest, that with all paths in NFC, and the content's size in bytes."""

    digest: str
    normal: str
    size: int


def pack(files: Sequence[Found], store: Path) -> Packed:
    """Archive files and empty folders into the store, then hash what the archive holds.

    Raises NotBundled for a file that cannot be read, RegistryError when the store cannot be written.
    """
    try:
        make_folder(store, 0o700)
        with draft(store, ".", ".partial") as partial:
            with partial.open("wb") as archive:
                _write(files, archive)
                archive.flush()
                os.fsync(archive.fileno())
            packed = _packed(files, partial)
            _make_way(location_of(packed.digest, store))
            keep_rights(partial, location_of(packed.digest, store))
            partial.replace(location_of(packed.digest, store))
            _sync_folder(store)
    except OSError as error:
        raise _unwritable(store, error) from None
    return packed


def weigh(files: Sequence[Found]) -> Packed:
    """What `pack` would answer, with nothing kept: the archive has no name, so whoever is killed leaves nothing.

    Raises as `pack`.
    """
    import tempfile  # which a publish does not need

    folder = Path(tempfile.gettempdir())
    try:
        with tempfile.TemporaryFile(dir=folder) as archive:
            _write(files, archive)
            archive.flush()
            return _packed(files, folder, archive)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _packed(files: Sequence[Found], location: Path, file: BinaryIO | None = None) -> Packed:
    digest, size = digest_of(location, file=file)
    is_normal = all(unicodedata.is_normalized("NFC", found.path) for found in files)
    normal = digest if is_normal else digest_of(location, normal=True, file=file)[0]
    return Packed(digest, normal, size)


def _make_way(place: Path) -> None:
    """Take away a folder that lies in an archive's place; anything else gives way by itself. Raises OSError."""
    if place.is_dir() and not place.is_symlink():
        import shutil  # which hardly anybody needs
        import tempfile

        aside = Path(tempfile.mkdtemp(prefix=".", suffix=".aside", dir=place.parent))
        place.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _write(files: Iterable[Found], archive: BinaryIO) -> None:
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar, _Sources() as sources:
        for found in files:
            info = tarfile.TarInfo(found.path)
            if found.source is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
                continue
            handle, status = sources.open(found.source, found.path)
            with os.fdopen(handle, "rb") as source:
                info.size = status.st_size
                info.mode = 0o755 if status.st_mode & 0o100 else 0o644
                tar.addfile(info, _Whole(source, found.path))  # type: ignore[arg-type]  # it only reads


class _Sources:
    """Opens files by their real paths, on which no link may lie by now. The last folder stays open for the next."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._handle = -1

    def open(self, source: Path, shown: str) -> tuple[int, os.stat_result]:
        """A regular file, and what the system knows of it. Raises NotBundled."""
        try:
            if source.parent != self._folder:
                self.__exit__()
                self._handle = open_folder(source.parent, below=Path("/"))
                self._folder = source.parent
            return open_in(self._handle, source)
        except OSError as error:
            if error.errno in SWAPPED:
                message = f"`{shown}` became something else while it was read: {error.strerror}"
                raise NotBundled("file_changed", message, "try again") from None
            raise unreadable(shown, error) from None

    def __enter__(self) -> _Sources:
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            os.close(self._handle)
            self._folder = None


class _Whole:
    """A file that says so, by name, when it became shorter while it was read."""

    def __init__(self, source: BinaryIO, shown: str) -> None:
        self._source = source
        self._shown = shown

    def read(self, size: int) -> bytes:
        try:
            data = self._source.read(size)
        except OSError as error:
            raise unreadable(self._shown, error) from None
        if len(data) < size:
            raise NotBundled("file_changed", f"`{self._shown}` became shorter while it was read", "try again")
        return data


def _sync_folder(store: Path) -> None:
    handle = os.open(store, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unwritable(store: Path, error: OSError) -> RegistryError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    why = (error.strerror or str(error)).lower()
    code = "registry_disk_full" if full else "registry_read_only"
    return RegistryError(f"cannot write an archive to {store}: {why}", code=code)
