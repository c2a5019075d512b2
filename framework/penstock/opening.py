"""Opening what others may have put there: regular files only, no link is followed, and nothing is waited for.

What a person names is another matter: it may be a link, a terminal or a pipe of the shell, see `open_named`.

A pipe or a device in a file's place would keep whoever opens it waiting, and a link would lead elsewhere. What lies
below a folder is opened from there, name by name, so that no folder on the way can be swapped for a link either.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import Path

TOO_LARGE = errno.EOVERFLOW
"""The errno of a file that has more than it may; EFBIG is that of a limit on what this process writes."""
SAFELY = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""How anything is opened that may not be what it was."""
_PIECE = 1 << 20
"""Bytes that are read at once: as many are asked of the memory, however small the file is."""
_WAY = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC  # to pass through, no right to list is needed
SWAPPED = (errno.ELOOP, errno.ENOTDIR, errno.EINVAL, errno.EISDIR)
"""What is said where something else lies in a file's place or on the way to it."""


def open_file(path: Path, flags: int = os.O_RDONLY, mode: int = 0o600, *, below: Path | None = None) -> int:
    """Open a regular file, or make one where the flags say so; the caller closes it.

    `path` lies lexically `below` that folder, where one is given. Raises OSError, also for what is no regular file.
    """
    if below is None:
        return open_in(None, path, flags, mode)[0]
    try:
        folder = _go(_names(path, below)[:-1], below, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    try:
        return open_in(folder, path, flags, mode)[0]
    finally:
        os.close(folder)


def open_in(folder: int | None, path: Path, flags: int = os.O_RDONLY, mode: int = 0o600) -> tuple[int, os.stat_result]:
    """The same in an open folder, which is that of the path, with what the system knows of the file."""
    name = path if folder is None else path.name
    try:
        opened = os.open(name, flags | SAFELY, mode, dir_fd=folder)
    except OSError as error:
        raise _named(error, path, "it is a link") from None
    try:
        found = os.fstat(opened)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
        os.set_blocking(opened, True)  # a step that inherits it gets it as usual
    except BaseException:
        os.close(opened)
        raise
    return opened, found


def open_named(path: Path) -> int:
    """Open what a person names to be read, and follow links to it; the caller closes it. Raises OSError.

    A pipe of the shell, as `<(...)` makes, or as comes by standard input, has a writer or has ended. A pipe with a name
    may never have one, and is refused.
    """
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        if stat.S_ISFIFO(found.st_mode) and not _has_no_name(found):
            raise OSError(errno.EINVAL, "it is a named pipe, which would be waited for", os.fspath(path))
        os.set_blocking(opened, True)
    except BaseException:
        os.close(opened)
        raise
    return opened


def _has_no_name(pipe: os.stat_result) -> bool:
    """Whether a pipe was made by `pipe`: all of those lie on one device, which no folder does."""
    ends = os.pipe()
    try:
        return os.fstat(ends[0]).st_dev == pipe.st_dev
    finally:
        for end in ends:
            os.close(end)


def open_folder(path: Path, *, below: Path) -> int:
    """Open a folder that lies lexically `below` another one, or is it, to open what is in it; the caller closes it.

    Raises OSError.
    """
    return _go(_names(path, below), below, path)


def _names(path: Path, below: Path) -> list[str]:
    """The names on the way from a folder to what lies lexically below it. Raises ValueError where it does not."""
    whole, start = os.fspath(path), os.fspath(below)
    if whole.startswith(f"{start}/"):  # mostly, and every step opens its log
        return whole[len(start) + 1 :].split("/")
    return list(path.relative_to(below).parts)


def _go(names: Sequence[str], below: Path, path: Path) -> int:
    """Open what is that way from a folder, or the folder itself; the caller closes it. Raises OSError."""
    if not names:
        return os.open(below, _WAY)
    opened = _step(names[0], below, path)
    try:
        for name in names[1:]:
            opened, above = _step(name, opened, path), opened
            os.close(above)
    except BaseException:
        os.close(opened)
        raise
    return opened


def end_of(path: Path) -> tuple[Path, os.stat_result]:
    """Where a path leads, all links followed, and what the system knows of that. Raises OSError.

    The kernel is asked at once, where it tells: `realpath` asks of each folder on the way by its whole path.
    """
    if hasattr(os, "O_PATH"):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            found = os.fstat(opened)
            real = Path(os.readlink(f"/proc/self/fd/{opened}"))  # noqa: PTH115  # as text, which may be no path at all
            if real.is_absolute() and os.path.samestat(os.lstat(real), found):
                return real, found
        except OSError:
            pass  # no /proc, or something without a name
        finally:
            os.close(opened)
    real = Path(os.path.realpath(path, strict=True))
    return real, real.stat()


def read_file(path: Path, most: int, *, below: Path | None = None) -> bytes:
    """The content of a regular file of so many bytes at the most. Raises OSError."""
    with os.fdopen(open_file(path, below=below), "rb", buffering=0) as file:
        data = bytearray()
        while len(data) <= most and (piece := file.read(min(most + 1 - len(data), _PIECE))):
            data += piece
    if len(data) > most:
        raise OSError(TOO_LARGE, f"it is larger than {most:,} bytes", os.fspath(path))
    return bytes(data)


def _step(name: str, folder: int | Path, path: Path) -> int:
    """Go on to what is in a folder. One that is given by its path may be reached by links, and costs nothing more."""
    if name in ("", ".", ".."):
        raise OSError(errno.EINVAL, "its path leads elsewhere", os.fspath(path))
    place, within = (name, folder) if isinstance(folder, int) else (f"{folder}/{name}", None)
    try:
        return os.open(place, _WAY | os.O_NOFOLLOW, dir_fd=within)
    except OSError as error:
        is_link = error.errno in (errno.ELOOP, errno.ENOTDIR) and stat.S_ISLNK(os.lstat(place, dir_fd=within).st_mode)
        raise _named(error, path, "a folder on its way is a link" if is_link else error.strerror or "") from None


def _named(error: OSError, path: Path, swapped: str) -> OSError:
    """The error with the whole path; a link in the way is called by its name. ENXIO is a pipe that nobody reads."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return OSError(error.errno, swapped, os.fspath(path))
    if error.errno == errno.ENXIO:
        return OSError(errno.EINVAL, "it is no regular file", os.fspath(path))
    return OSError(error.errno, error.strerror, os.fspath(path))
