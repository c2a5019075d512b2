"""The logs of steps: opened to be written on and to be read, whatever a step has put in their place."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path

from attrs import frozen

from penstock.opening import SWAPPED, open_file, open_folder
from penstock_local import places

CHUNK = 1024 * 1024
"""Bytes that are read at once, at the most."""

_GENERATION = 0x80087601
"""FS_IOC_GETVERSION: which file of those that had its number one after the other, where the file system counts them."""


NO_LOG = "none"
"""Which log it is that is not there: what is read of it was said by nobody, at no time."""


@frozen
class Piece:
    """Some bytes of a log, how long the log is, and which it is of those that were in its place one after the other."""

    data: bytes
    size: int
    identity: str = NO_LOG


class Opened:
    """A step's log that was opened before its turn. It is closed when it is taken, or when nobody has it any more."""

    _file = -1

    def __init__(self, log: Path) -> None:
        """Open it as `open_to_append` does. Raises OSError."""
        self._log = log
        self._file = open_to_append(log)

    def take(self) -> int:
        """The log to write on, opened again unless it lies in its place still; the caller closes it. Raises OSError."""
        file, self._file = self._file, -1
        if file >= 0:
            with contextlib.suppress(OSError):
                if os.path.samestat(self._log.lstat(), os.fstat(file)):
                    return file
            os.close(file)
        return open_to_append(self._log)

    def __del__(self) -> None:
        """Close it."""
        if self._file >= 0:
            os.close(self._file)


def open_to_append(log: Path) -> int:
    """Open a step's log to go on with it, and make it where it is not there; the caller closes it.

    What is no file in its place goes. Raises OSError, also where a folder on the way was swapped.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    try:
        return open_regular(log, flags)
    except FileNotFoundError:  # somebody cleared the logs away
        os.close(places.open_made(log.parent, root_of(log)))
        return open_regular(log, flags)


def open_regular(path: Path, flags: int) -> int:
    """Open a file among the logs of a run, in a folder that is there. What is no file in its place goes.

    Raises OSError, also where a folder on the way was swapped.
    """
    root = root_of(path)
    try:
        return open_file(path, flags, below=root)
    except OSError as error:
        if error.errno not in SWAPPED:
            raise
        try:
            folder = open_folder(path.parent, below=root)
        except OSError:
            raise error from None  # which names the file
        try:
            os.unlink(path.name, dir_fd=folder)  # `Path` takes no handle
        finally:
            os.close(folder)
    return open_file(path, flags, below=root)


def root_of(log: Path) -> Path:
    """The root that a log lies in: no folder between them may be a link, that of all runs neither."""
    return log.parents[3]


def age(log: Path) -> float:
    """Seconds since something was written on a log, by the time of the file; 0.0 where that is not known.

    Of a step that waits for its next attempt the last that was written is mostly that another one begins.
    """
    try:
        return max(0.0, time.time() - log.lstat().st_mtime)
    except OSError:
        return 0.0


def lost(log: Path, *, was_made: bool) -> bytes:
    """The line of a log that is not there any more; nothing where it is there, or where none `was_made`.

    Raises OSError.
    """
    try:
        os.close(open_file(log, below=root_of(log)))
    except FileNotFoundError as error:
        return _no_more(log, error) if was_made else b""
    except OSError as error:
        return _no_more(log, error)
    return b""


def read(log: Path, offset: int, was_made: Callable[[], bool]) -> Piece:
    """A piece of a log from an offset on. Raises OSError.

    Where it is not there any more, or something else lies in its place, the log is a line that says so: one log that
    cannot be read hides no other. `was_made` is asked where nothing is there, whether there was a log at all.
    """
    try:
        try:
            return _piece(log, offset)
        except FileNotFoundError:
            if not was_made():
                return Piece(b"", 0)  # the step has not started, or never will
            return _piece(log, offset)  # it may have been made before that was asked
    except OSError as error:
        line = _no_more(log, error)
    if 0 < offset < len(line):  # what was read so far was another log's: whoever follows it begins again
        return Piece(b"", 0)
    return Piece(line[offset:], len(line))


def _piece(log: Path, offset: int) -> Piece:
    with os.fdopen(open_file(log, below=root_of(log)), "rb", buffering=0) as file:
        found = os.fstat(file.fileno())
        file.seek(offset)
        return Piece(file.read(CHUNK), found.st_size, _identity(file.fileno(), found))


def _identity(file: int, found: os.stat_result) -> str:
    """Which file this is. The number of one that was removed is mostly that of the next one that is made."""
    try:
        generation = fcntl.ioctl(file, _GENERATION, bytes(8)).hex()
    except OSError:  # not every file system has one, as tmpfs, which gives no number twice
        generation = ""
    return f"{found.st_dev:x}:{found.st_ino:x}:{generation}"


def _no_more(log: Path, error: OSError) -> bytes:
    """The line that stands for a log; the error is raised where it is of another kind."""
    if error.errno not in (*SWAPPED, errno.ENXIO, errno.ENOENT):
        raise error
    why = "it was removed" if error.errno == errno.ENOENT else error.strerror
    return f"--- the log `{log}` is not there any more: {why} ---\n".encode("utf-8", "replace")
