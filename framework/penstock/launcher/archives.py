"""A snapshot's archive in the form that it has at a cloud, which images without Python can unpack too."""

from __future__ import annotations

import tarfile
from typing import IO

from penstock.snapshot import Archive
from penstock.snapshot.members import check_archive

_A_TIME = 315532800
"""1980-01-01, as programs complain of times that are older."""


def write_portable(archive: Archive, file: IO[bytes]) -> None:
    """Write an archive in GNU tar's format, whose names of any length and language busybox understands.

    The same content gives the same bytes; another content than the archive's digest says goes nowhere. Raises OSError,
    tarfile.TarError, and RegistryError: `archive_missing`, `archive_corrupt`.
    """
    check_archive(archive)
    with (
        tarfile.open(archive.location) as given,
        tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as made,
    ):
        for member in sorted(given, key=lambda member: member.name):
            content = given.extractfile(member) if member.isreg() else None
            plain = tarfile.TarInfo(member.name)
            plain.type, plain.size, plain.mode, plain.linkname = member.type, member.size, member.mode, member.linkname
            plain.mtime = _A_TIME
            made.addfile(plain, content)
