"""What a machine lacks for a while: open files, memory, threads, inodes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_ERRORS = frozenset((errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


def lacks(error: BaseException) -> str:
    """What a machine did not have for somebody who then got this error, in words; empty for any other error."""
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, RuntimeError) and str(error) == "can't start new thread":  # CPython's, of EAGAIN
        return "no more threads or processes may be begun (`ulimit -u`)"
    if isinstance(error, OSError) and error.errno in _ERRORS:
        limit = " (`ulimit -n`)" if error.errno == errno.EMFILE else ""
        return f"{(error.strerror or type(error).__name__).lower()}{limit}"
    return ""


def lacks_inodes(folder: Path) -> bool:
    """Whether no file can be made on the disk of a folder, which counts its inodes and has none left.

    False where that is not known.
    """
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_files > 0 and disk.f_favail == 0  # one that does not count them has zero of them in all
