"""Copies of unpacked content that whoever gets them may write to; nothing is copied where the file system can share."""

from __future__ import annotations

import errno
import fcntl
import os
import stat

_FICLONE = 0x40049409
"""`ioctl` that lets a file share the blocks of another until one of them is written to (btrfs, XFS, bcachefs)."""
_LARGE = 64 * 1024
"""Bytes from which sharing is worth being asked for."""
_CANNOT = (errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EXDEV, errno.ENOSYS, errno.EPERM, errno.EBADF)


def copy_tree(source: str, destination: str) -> None:
    """Copy what is in a folder, files and folders, into an empty one. Modes are those of new files, writable.

    Raises OSError, also for what is neither.
    """
    waiting = [(source, destination)]
    cloning = True
    while waiting:
        there, here = waiting.pop()
        with os.scandir(there) as entries:
            for entry in entries:
                made = f"{here}/{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    os.mkdir(made, 0o755)  # noqa: PTH102  # the path is text, and there may be many
                    waiting.append((entry.path, made))
                else:
                    cloning = _copy_file(entry.path, made, cloning)


def _copy_file(source: str, destination: str, cloning: bool) -> bool:
    """Copy a file; whether asking the file system to share is still worth it."""
    given = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(given)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", source)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        made = os.open(destination, flags, 0o755 if found.st_mode & 0o100 else 0o644)
        try:
            if cloning and found.st_size >= _LARGE:
                cloning = _clone(given, made)
            if not cloning or found.st_size < _LARGE:
                while os.sendfile(made, given, None, 1 << 24):
                    pass
        finally:
            os.close(made)
    finally:
        os.close(given)
    return cloning


def _clone(given: int, made: int) -> bool:
    try:
        fcntl.ioctl(made, _FICLONE, given)
    except OSError as error:
        if error.errno in _CANNOT:
            return False
        raise
    return True
