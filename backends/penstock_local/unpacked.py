"""What archives hold, unpacked once for each root: verified, read-only, shared by all runs.

A step is given the path of what lies here, so a large default costs its size once, however many runs read it. Nobody
who keeps to modes can write to it. Where that does not hold, because steps run as root or the file system knows no
modes, each attempt gets a copy of its own, see `Unpacked.protects`.

Content lies alone in a folder that is closed like itself, `unpacked/DIGEST.closed/DIGEST`. Else a step could put
another folder in the place of its input, which others read, and what it writes beside it would lie among everybody's.
Earlier versions had no such folder; theirs, `unpacked/DIGEST`, are nobody's but the steps' that began with them.

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
from collections.abc import Collection, Iterator
from pathlib import Path

from penstock.opening import open_file, open_folder
from penstock.snapshot import Archive, extract
from penstock.snapshot.members import ContentDigest
from penstock_local import places, removal
from penstock_local.layout import Layout
from penstock_local.troubles import is_machines

_CHUNK = 1024 * 1024
_OLD = ".old."
_CLOSED = ".closed"
"""How the names of closed folders end. No earlier content is called so, and what still reads that goes on."""


class Unpacked:
    """The unpacked archives of one root, as one engine knows them. Everything may be called in any thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._folder = layout.unpacked
        self._looking = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, bytes] = {}

    def get(self, archive: Archive) -> Path:
        """The folder with an archive's content, unpacked if it is not there. Nobody else writes there.

        Raises RegistryError, `archive_corrupt` when the archive is not what was published, and OSError.
        """
        name = archive.digest.rpartition(":")[2]
        place = self._folder / f"{name}{_CLOSED}"
        content = place / name
        with self._looking:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:  # several steps may ask for it at once
            places.make_folder(self._folder)
            if not _is_whole(place):
                self._unpack(archive, place)
                self._known[name] = _state(place)
                return content
            now = _state(place)
            if now != self._known.get(name):
                if _digest(place) != archive.digest:
                    self._unpack(archive, place)
                    now = _state(place)
                self._known[name] = now
            return content

    def protects(self, content: Path) -> bool:
        """Whether modes keep this engine's steps from writing to it, beside it or in its place. Root they do not."""
        return not any(os.access(folder, os.W_OK) for folder in (content, content.parent))

    def leftovers(self, *, in_use: bool = False) -> list[str]:
        """What is no finished unpacking and is to be removed. Ask before anything is unpacked: ours is alike.

        Steps that are running may use what an earlier version unpacked: while it is `in_use`, only drafts are told.
        """
        with contextlib.suppress(OSError):
            places.make_folder(self._folder)
            return [os.fspath(left) for path in self._folder.iterdir() if (left := _left(path, in_use))]
        return []

    def _unpack(self, archive: Archive, place: Path) -> None:
        """Unpack an archive, compare it with its digest, and only then give it its place, whatever lies there."""
        self._layout.see_archives()
        draft = self._folder / f".{place.name}.{secrets.token_hex(4)}"
        try:
            extract(archive, draft / _content_of(place).name, read_only=True)
            _close(draft)
            put_aside(place)
            draft.rename(place)
        except BaseException:
            removal.remove_below(draft, self._layout.root)
            raise


def put_aside(place: Path) -> None:
    """Remove unpacked content: it is out of everybody's way at once, and gone a moment later. Raises OSError."""
    if os.path.lexists(place):
        removal.remove(os.fspath(_aside(place)))


def keep_only(layout: Layout, names: Collection[str]) -> None:
    """Remove all content but that of archives with these hexadecimal digests. Raises OSError."""
    if not os.path.lexists(layout.unpacked):
        return
    places.make_folder(layout.unpacked)
    folder = open_folder(layout.unpacked, below=layout.root)
    try:
        for path in Path(f"/proc/self/fd/{folder}").glob("[!.]*"):
            if path.name.removesuffix(_CLOSED) not in names:
                put_aside(path)
    finally:
        os.close(folder)


def _aside(place: Path) -> Path:
    return place.rename(place.with_name(f"{_OLD}{secrets.token_hex(8)}"))


def _content_of(place: Path) -> Path:
    """Where in a closed folder the content lies, under the name that steps see."""
    return place / place.name.removesuffix(_CLOSED)


def _is_whole(place: Path) -> bool:
    """Whether that is a closed folder with content, by what is there: it got its name when it was finished."""
    try:
        folders = place, _content_of(place)
        return place.name.endswith(_CLOSED) and all(stat.S_ISDIR(os.lstat(folder).st_mode) for folder in folders)
    except OSError:
        return False


def _left(path: Path, in_use: bool) -> Path | None:
    """What is to be removed of something beside unpacked content, put aside if its name is one that we may need."""
    if path.name.startswith("."):
        return path
    if in_use or _is_whole(path):
        return None
    if not path.name.endswith(_CLOSED):
        return path
    with contextlib.suppress(OSError):
        return _aside(path)
    return None


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


def _digest(place: Path) -> str | None:
    """The digest that an archive of what lies in a closed folder would have.

    None where there is none, where modes let it be changed or replaced, or where something lies beside it.
    """
    folder = _content_of(place)
    if os.lstat(place).st_mode & 0o222 or os.listdir(place) != [folder.name]:  # noqa: PTH208  # only the names
        return None
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
