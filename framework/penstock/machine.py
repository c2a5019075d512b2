"""What a machine lacks for a while: open files, memory, threads, inodes."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

_ERRORS = frozenset((errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))
_FILES = 4
"""How many files SQLite may have to open at once: a database, its log, the index of that, and the folder."""


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


def lacked(error: BaseException) -> str:
    """The same of an error, or of what it was made of: whatever it says itself, or advises, is beside the point.

    What would block (EAGAIN) counts for itself alone: who finds a lock taken meets that, too.
    """
    words, seen = lacks(error), {id(error)}
    made_of = error.__cause__ or error.__context__
    while made_of is not None and not words and id(made_of) not in seen:  # errors may be made of each other
        seen.add(id(made_of))
        words = "" if getattr(made_of, "errno", None) == errno.EAGAIN else lacks(made_of)
        made_of = made_of.__cause__ or made_of.__context__
    return words


def note_files_lacking(error: Exception) -> str:
    """What SQLite lacked that could open no file, in words; empty where there are some to be had, as it does not say.

    It is noted as the error's cause, for `lacked` of whatever is made of it.
    """
    held: list[int] = []
    try:
        held.extend(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC) for _ in range(_FILES))
    except OSError as found:
        if words := lacks(found):
            error.__cause__ = found
        return words
    finally:
        for one in held:
            with suppress(OSError):
                os.close(one)
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
