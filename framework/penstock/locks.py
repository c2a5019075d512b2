"""Locks on files that others hold: waited for with a limit, and what is known of who holds one."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

_PAUSE = 0.01
"""Seconds between two tries."""
_WAL_WRITE_LOCK = 120
"""The byte of the file `-shm` that whoever writes has locked: `WAL_WRITE_LOCK` in SQLite's file format."""


def take(handle: int, *, exclusive: bool, seconds: float) -> bool:
    """Lock an open file, trying for at most so many seconds; answers whether it is ours. Raises OSError."""
    how = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(handle, how | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_PAUSE)
        else:
            return True


def is_taken(path: Path, flags: int = 0) -> bool:
    """Whether somebody has a file locked alone; it is opened to read with these flags too. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def holder(path: Path, byte: int | None = None) -> str:
    """Who has a file locked, in words; empty when the machine does not say. The file is not opened.

    `byte`: who has that byte of it locked for writing, as SQLite does it.
    """
    with suppress(OSError, ValueError):
        return _described(holder_pid(path, byte))
    return ""


def sqlite_writer(database: Path) -> str:
    """Who writes to a database of SQLite that keeps a log, in words; empty when the machine does not say."""
    return holder(database.with_name(f"{database.name}-shm"), _WAL_WRITE_LOCK)


def holder_pid(path: Path, byte: int | None = None) -> int:
    """Which process locked a file that is locked, see `holder`; 0 when the machine does not say.

    One that has ended since may have left the open file, and so the lock, to another.
    """
    with suppress(OSError, ValueError):
        found = path.stat()
        place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        for line in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            # `1: POSIX  ADVISORY  WRITE 4711 08:01:262401 120 120`; who only waits for one has a `->` before its kind.
            kind, _, how, pid, where, first, last = line.split()[1:8] if "->" not in line else [""] * 7
            if where != place:
                continue
            is_byte = byte is not None and how == "WRITE" and first == last == str(byte)
            if is_byte if byte is not None else kind == "FLOCK":
                return int(pid)
    return 0


def _described(pid: int) -> str:
    """A process in words; empty for one that is not seen from here."""
    if pid <= 0:
        return ""
    if pid == os.getpid():
        return "this process"
    # `4711 (penstock) T ...`: a name may hold anything, so its end is looked for from behind.
    name, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
    state = rest.split()[0]
    named = f"process {pid} ({name.partition('(')[2]})"
    return f"{named}, which is stopped (`kill -CONT {pid}` lets it go on)" if state in "Tt" else named
