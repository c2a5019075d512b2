"""Removing what a step left behind, whatever it is: closed folders, trees of any depth, names of any length."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from penstock.opening import open_folder

_GET_FLAGS, _SET_FLAGS, _FIXED = 0x80086601, 0x40086602, 0x30
"""The requests FS_IOC_GETFLAGS and FS_IOC_SETFLAGS of linux/fs.h on machines of 64 bits, FS_IMMUTABLE_FL and
FS_APPEND_FL."""
_DETACH = 2
"""MNT_DETACH of umount2(2): whoever has something open there keeps it."""


@contextlib.contextmanager
def held(path: str | Path, below: Path) -> Iterator[str]:
    """The same path by the open folder in which it lies, whatever is put in the place of that meanwhile.

    Raises OSError where a link leads there from the folder that it is `below`.
    """
    folder, name = os.path.split(path)
    opened = open_folder(Path(folder), below=below)
    try:
        yield f"/proc/self/fd/{opened}/{name}"
    finally:
        os.close(opened)


def remove_below(path: str | Path, below: Path) -> None:
    """The same as `remove`, and nothing where a link leads there from the folder that it is `below`."""
    with contextlib.suppress(OSError), held(path, below) as place:
        remove(place)


def make_fresh(path: str, below: Path) -> None:
    """Make an empty private folder; what an attempt left in its place goes. Raises OSError.

    That is mostly an empty folder, of an attempt that the machine did not let begin.
    """
    for _ in range(2):  # what was short for the first removal may be there for the second
        try:
            os.mkdir(path, 0o700)  # noqa: PTH102  # the path is text, and every step asks
            return
        except FileExistsError:
            pass
        try:
            Path(path).rmdir()  # it needs nothing that a machine may be short of
        except OSError:
            with held(path, below) as place:  # whose trouble is told, and not that something is still there
                remove(place)
    Path(path).mkdir(0o700)


def remove(path: str) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as our rights reach. Safe in any thread.

    No link in it is followed, nor is a mounted file system emptied: it is unmounted. Files that were made immutable are
    made as they were. What cannot be removed (another user's) stays without a word.
    """
    with contextlib.suppress(OSError):
        folder, name = os.path.split(path)
        above = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _is_gone(above, name) or not stat.S_ISDIR(os.lstat(path).st_mode):
                return
        finally:
            os.close(above)
        open_up(path)
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(path)  # noqa: PTH106  # the path is text, and every step asks


def size_of(path: str) -> int:
    """Bytes on the disk of a folder and what is in it, as far as we may look; a file with more names counts none.

    What lies behind a link in its place is none of it.
    """
    total = 0
    if os.path.islink(path):  # noqa: PTH114  # the path is text
        return total
    for place, _, names in os.walk(path):
        for name in (".", *names):
            with contextlib.suppress(OSError):
                found = os.lstat(f"{place}/{name}")
                total += 0 if name != "." and found.st_nlink > 1 else found.st_blocks * 512
    return total


def open_up(path: str, within: int | None = None) -> None:
    """Let us into a folder that its step has closed. Raises OSError."""
    os.chmod(path, 0o700, dir_fd=within)


def _empty(top: int) -> None:
    """Empty a folder. What lies deeper is first brought up to it, so that no path gets long and nothing recurs."""
    ticket = 0
    stuck: set[str] = set()
    while names := [name for name in os.listdir(top) if name not in stuck]:
        for name in names:
            try:
                if _is_gone(top, name):
                    continue
                ticket = _bring_up(top, name, ticket)
                os.rmdir(name, dir_fd=top)
            except OSError:
                stuck.add(name)


def _is_gone(top: int, name: str) -> bool:
    """Whether that was no folder, or an empty one, and could be removed. Raises OSError for a mount that stays."""
    for remove_it in (os.unlink, os.rmdir):
        try:
            remove_it(name, dir_fd=top)
            return True
        except OSError as error:
            if not _makes_way(top, name, error.errno):
                continue
        with contextlib.suppress(OSError):
            remove_it(name, dir_fd=top)
            return True
    return False


def _makes_way(top: int, name: str, why: int | None) -> bool:
    """Undo what keeps root from removing something; whether there was anything to undo. Raises OSError."""
    if why == errno.EBUSY:  # before it is looked into: what is mounted is not the step's to be emptied
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.umount2(os.fsencode(f"/proc/self/fd/{top}/{name}"), _DETACH) != 0:
            raise OSError(ctypes.get_errno(), "it is mounted", name)
        return True
    if why != errno.EPERM:
        return False
    loosened = [_loosen(top)]
    with contextlib.suppress(OSError):
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=top)
        try:
            loosened.append(_loosen(file))
        finally:
            os.close(file)
    return any(loosened)


def _loosen(file: int) -> bool:
    """Take away what `chattr +i` and `+a` gave an open file or folder; whether there was any."""
    try:
        flags = int.from_bytes(fcntl.ioctl(file, _GET_FLAGS, bytes(8)), sys.byteorder)
        if not flags & _FIXED:
            return False
        fcntl.ioctl(file, _SET_FLAGS, (flags & ~_FIXED).to_bytes(8, sys.byteorder))
        return True
    except OSError:  # a file system without them, or no right to change them
        return False


def _bring_up(top: int, name: str, ticket: int) -> int:
    """Remove the files of a folder in `top` and move its folders there, under numbers that follow `ticket`."""
    open_up(name, top)
    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
    try:
        for inner in os.listdir(folder):  # noqa: PTH208  # an open folder has no path
            with contextlib.suppress(OSError):
                if _is_gone(folder, inner):
                    continue
                open_up(inner, folder)
                ticket = _free(top, ticket)
                os.rename(inner, f"{ticket}", src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    return ticket


def _free(top: int, ticket: int) -> int:
    while True:
        ticket += 1
        try:
            os.lstat(f"{ticket}", dir_fd=top)
        except FileNotFoundError:
            return ticket
