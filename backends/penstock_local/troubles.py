"""Trouble that the machine has and no step: a full disk, no files or processes left. It passes, and what it met waits.

Nothing fails for it and no attempt is counted: the engine puts back what it met, starts nothing else for a while, says
so to whoever looks, and tries again, later each time.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time

from penstock.errors import PenstockError, TargetUnavailable, one_line
from penstock.locks import sqlite_writer
from penstock.opening import open_file
from penstock.text import printable
from penstock_local import places
from penstock_local.layout import Layout

COMES_AS = MemoryError, OSError, PenstockError, sqlite3.Error
"""The exceptions as which it may come; `is_machines` says whether one is."""
_ERRORS = frozenset(
    (
        *(errno.EAGAIN, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE),
        *(errno.ENOBUFS, errno.ENOLCK, errno.ENOMEM, errno.ENOSPC),
    )
)
_OF_SQLITE = frozenset(
    (
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    )
)
_SHORTEST, _LONGEST = 0.25, 30.0
"""Seconds between two tries, twice as long each time."""
_LONGEST_OF_LOCKS = 1.0
"""The same where somebody else writes to the queue, which costs a try nothing."""
_SIZE = 512
"""Bytes that a note has: it is written over itself, because a full disk takes no new ones."""
_PID = 16
"""Bytes behind it, in which the engine says which process it is."""


def is_machines(error: BaseException | None) -> bool:
    """Whether an error, or what it was made of, is trouble of the machine that passes by itself."""
    return _cause(error) is not None


def _cause(error: BaseException | None) -> BaseException | None:
    while error is not None:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _ERRORS):
            return error
        # The low byte is the kind; what is above says more of it.
        if isinstance(error, sqlite3.Error) and getattr(error, "sqlite_errorcode", 0) & 0xFF in _OF_SQLITE:
            return error
        error = error.__context__
    return None


def _is_lock(cause: BaseException) -> bool:
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def in_words(error: BaseException, layout: Layout) -> str:
    """What the machine lacks, or who holds us up, for people; any other error as it says it itself."""
    cause = _cause(error)
    if cause is None:
        return str(error) if isinstance(error, PenstockError) else one_line(error)
    if _is_lock(cause):
        return f"`{layout.queue.name}` is locked by {sqlite_writer(layout.queue) or 'another process'}"
    if isinstance(cause, OSError):
        where = "" if cause.filename is None else f": `{os.fsdecode(cause.filename)}`"
        what = "no process can be started" if cause.errno == errno.EAGAIN else cause.strerror or str(cause)
        return f"{what}{where}"
    return "the memory is full" if isinstance(cause, MemoryError) else str(cause)


class Pause:
    """The time in which an engine starts nothing, because the last try met trouble. Raises OSError when made."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rest = 0.0
        self._until = 0.0
        # It stays open: there may be no open file left to be had.
        self._note = places.open_ours(layout.trouble, os.O_WRONLY | os.O_CREAT)
        self._write("")
        with contextlib.suppress(OSError):
            os.pwrite(self._note, b"%d" % os.getpid() + b"\n" * _PID, _SIZE)

    @property
    def left(self) -> float:
        """Seconds until the next try; zero when it may be made."""
        return max(0.0, self._until - time.monotonic())

    def begin(self, error: BaseException) -> float:
        """Start nothing for a while, longer than the last time, and say why; returns how long, in seconds."""
        if not self.left:
            longest = _LONGEST_OF_LOCKS if _is_lock(_cause(error) or error) else _LONGEST
            self._rest = min(max(_SHORTEST, self._rest * 2), longest)
            self._until = time.monotonic() + self._rest
            self._write(in_words(error, self._layout))
        return self.left

    def over(self) -> None:
        """A try went well."""
        if self._rest:
            self._rest = self._until = 0.0
            self._write("")

    def _write(self, why: str) -> None:
        line = printable(why).encode("utf-8", "replace")[: _SIZE - 1]
        with contextlib.suppress(OSError):
            os.pwrite(self._note, line.ljust(_SIZE - 1) + b"\n", 0)


def process(layout: Layout) -> int:
    """Which process the last engine said that it is; 0 where that is not known. It may be another by now."""
    pid = _read(layout)[_SIZE:].strip()
    return int(pid) if pid.isdigit() else 0


def _read(layout: Layout) -> bytes:
    try:
        note = open_file(layout.trouble)
    except OSError:
        return b""
    try:
        return os.pread(note, _SIZE + _PID, 0)
    finally:
        os.close(note)


def noted(layout: Layout) -> TargetUnavailable | None:
    """What to say of an engine that listens and waits for its machine; None when it does not."""
    why = printable(_read(layout)[:_SIZE].decode("utf-8", "replace").strip())
    if not why:
        return None
    message = f"the engine of `{layout.root}` waits for this machine: {why}; it goes on by itself when that is over"
    return TargetUnavailable(message, code="engine_paused", retry_after=1.0)
