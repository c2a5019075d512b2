"""Files that get their name once they are whole: a draft that says whether its writer lives, and goes when it died."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.acls import NAME as ACL
from penstock.acls import acl_of
from penstock.locks import take

SQLITE = ("-wal", "-shm", "-journal")
"""What SQLite may lay beside a database, by how its name goes on."""
LINK = "-link"
"""The same of a second name of another file, which its writer lays beside the draft to rename it: it has no lock."""
_RANDOM = r"\.[0-9a-f]{12}"
"""How the names of drafts end that are named after what they become, before their suffix."""
_RIGHTS = 0o664
"""What is kept of a mode: never what would let everybody write."""


@contextmanager
def draft(folder: Path, prefix: str, suffix: str) -> Iterator[Path]:
    """An empty file to fill, private to its owner, in a folder from which those of dead writers are swept first.

    What still has its name in the end is removed, with what was laid beside it. Raises OSError.
    """
    sweep(folder, prefix, suffix)
    place, handle = _make(folder, prefix, suffix)
    try:
        yield place
    finally:
        try:
            _remove(place)
        finally:
            os.close(handle)


def sweep(folder: Path, prefix: str, suffix: str, begins: bytes | None = None) -> None:
    """Remove the drafts of writers that died; what cannot be removed stays.

    With `begins` only what is named as a draft is by us, and begins so, or is empty: others may have files there.
    """
    ours = re.compile(f"{re.escape(prefix)}.+{_RANDOM}{re.escape(suffix)}", re.DOTALL)
    with suppress(OSError):
        left = [path for path in folder.iterdir() if path.name.startswith(prefix) and path.name.endswith(suffix)]
        for path in sorted(left):
            with suppress(OSError):
                if begins is None or ours.fullmatch(path.name):
                    _sweep_one(path, begins or b"")


def keep_rights(place: Path, replaced: Path) -> None:
    """Let those read a draft whom its owner let read the file that it is about to replace: its mode, group and ACL.

    Nobody is let in who was not: a group that cannot be given, because this user is not in it, is shut out, and nobody
    but the group keeps a right to write. What is another user's, or no file, is not asked. Raises OSError.
    """
    try:
        found = replaced.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return
    mode, acl = found.st_mode & _RIGHTS, acl_of(replaced)
    if acl is not None and found.st_mode & stat.S_IWOTH:  # it would let everybody write until the mode is set
        return
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(handle).st_gid != found.st_gid:
            try:
                os.fchown(handle, -1, found.st_gid)
            except OSError:
                all_may = mode & mode >> 3 & 0o4 if acl is None else 0
                mode, acl = all_may << 3 | all_may, None
        try:
            if acl is not None:
                os.setxattr(handle, ACL, acl)
            elif acl_of(handle) is not None:  # of the folder, which lets in whom the file did not
                os.removexattr(handle, ACL)
        except OSError:
            return
        os.fchmod(handle, mode | 0o600)
        os.fsync(handle)
    finally:
        os.close(handle)


def _make(folder: Path, prefix: str, suffix: str) -> tuple[Path, int]:
    while True:
        place = folder / f"{prefix}{os.urandom(6).hex()}{suffix}"
        handle = os.open(place, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            # Whoever sweeps between these two lines takes it for a dead writer's, and is not waited for.
            if take(handle, exclusive=True, seconds=0) and _has_name(handle, place):
                return place, handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _sweep_one(place: Path, begins: bytes) -> None:
    handle = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.pread(handle, len(begins), 0) in (begins, b""):
                _remove(place)
    finally:
        os.close(handle)


def _remove(place: Path) -> None:
    for more in (*SQLITE, LINK, ""):  # the draft last: by it the others are found
        place.with_name(place.name + more).unlink(missing_ok=True)


def _has_name(handle: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False
