"""What archives hold, unpacked once for each root: verified, read-only, shared by all runs.

A step is given the path of what lies here, so a large default costs its size once, however many runs read it. Nobody
who keeps to modes can write to it. Where that does not hold, because steps run as root or the file system knows no
modes, each attempt gets a copy of its own, see `Unpacked.protects`.

What came to harm is noticed: on its first use an engine reads all of it and compares the digest, and before every other
use it looks whether anything was touched since, by the times of change that the system keeps.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from penstock.opening import open_file
from penstock.snapshot import Archive, extract
from penstock.snapshot.members import ContentDigest
from penstock_local import places, removal
from penstock_local.layout import Layout
from penstock_local.troubles import is_machines

_CHUNK = 1024 * 1024
_OLD = ".old."


class Unpacked:
    """The unpacked archives of one root, as one engine knows them. Everything may be called in any thread."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.unpacked
        self._looking = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, bytes] = {}

    def get(self, archive: Archive) -> Path:
        """The folder with an archive's content, unpacked if it is not there. Nobody else writes there.

        Raises RegistryError, `archive_corrupt` when the archive is not what was published, and OSError.
        """
        name = archive.digest.rpartition(":")[2]
        place = self._folder / name
        with self._looking:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:  # several steps may ask for it at once
            if not place.is_dir() or place.is_symlink():
                self._unpack(archive, place)
                self._known[name] = _state(place)
                return place
            now = _state(place)
            if now != self._known.get(name):
                if _digest(place) != archive.digest:
                    self._unpack(archive, place)
                    now = _state(place)
                self._known[name] = now
            return place

    def protects(self, place: Path) -> bool:
        """Whether modes keep the steps of this engine from writing to what lies there. Root they do not."""
        return not os.access(place, os.W_OK)

    def leftovers(self) -> list[str]:
        """What killed engines left half done and is to be removed. Ask before anything is unpacked: ours is alike."""
        with contextlib.suppress(OSError):
            places.make_folder(self._folder)
            return [entry.path for entry in os.scandir(self._folder) if entry.name.startswith(".")]
        return []

    def _unpack(self, archive: Archive, place: Path) -> None:
        """Unpack an archive, compare it with its digest, and only then give it its place, whatever lies there."""
        places.make_folder(self._folder)
        draft = self._folder / f".{place.name}.{secrets.token_hex(4)}"
        try:
            extract(archive, draft, read_only=True)
            _close(draft)
            put_aside(place)
            draft.rename(place)
        except BaseException:
            removal.remove(os.fspath(draft))
            raise


def put_aside(place: Path) -> None:
    """Remove unpacked content: it is out of everybody's way at once, and gone a moment later. Raises OSError."""
    if os.path.lexists(place):
        aside = place.with_name(f"{_OLD}{secrets.token_hex(8)}")
        place.rename(aside)
        removal.remove(os.fspath(aside))


def _close(folder: Path) -> None:
    """Let nobody write into a folder and those below it."""
    for path, _, _ in os.walk(folder, topdown=False):
        os.chmod(path, 0o500)  # noqa: PTH101  # the path is text, and there may be many


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """All that lies below a folder, and the folder, with what the system knows of each."""
    yield "", os.lstat(folder)
    waiting = [(os.fspath(folder), "")]
    while waiting:
        path, below = waiting.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                yield f"{below}{entry.name}", entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{below}{entry.name}/"))


def _state(folder: Path) -> bytes:
    """What changes as soon as anybody touches anything below a folder."""
    found = hashlib.sha256()
    for name, about in sorted(_entries(folder), key=lambda entry: entry[0]):
        times = about.st_ino, about.st_mode, about.st_nlink, about.st_uid, about.st_size, about.st_mtime_ns
        found.update(repr((os.fsencode(name), *times, about.st_ctime_ns)).encode())
    return found.digest()


def _digest(folder: Path) -> str | None:
    """The digest that an archive of a folder would have; None where there is none, or where modes let it be changed."""
    found = dict(_entries(folder))
    inner = {name.rpartition("/")[0] for name in found if name}
    digest = ContentDigest()
    try:
        for name in sorted(found, key=lambda name: unicodedata.normalize("NFC", name)):
            about = found[name]
            if about.st_mode & 0o222:
                return None
            if name == "" or name in inner:
                continue
            if stat.S_ISDIR(about.st_mode):
                digest.begin(name, 0, is_folder=True)
                continue
            digest.begin(name, about.st_size, executable=bool(about.st_mode & 0o100))
            with os.fdopen(open_file(folder / name, below=folder), "rb", buffering=0) as file:
                while piece := file.read(_CHUNK):
                    digest.add(piece)
    except (OSError, UnicodeError) as error:
        if is_machines(error):  # it says nothing of what lies there, which others may be reading
            raise
        return None
    return str(digest)
