"""Journals of keepers as the engine makes and reads them: what became of each step that was handed over."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import define

from penstock import locks
from penstock.errors import TargetUnavailable
from penstock.opening import SAFELY, open_file, read_file
from penstock_local.keeper import ALONE, ENDED, FAILED, FORMAT, KEEPER, RECORD, STARTED, namespace, record

STARTS = 1000
"""How many steps are handed to one keeper; then another takes over, so that no journal grows for ever."""
PATIENCE = 10.0
"""Seconds for a keeper to say where it is, or for the child of a dead one to become a step's program."""
_OURS = (2 * STARTS + 2) * RECORD
"""Where in a journal the engine's records begin: what is before is the keeper's."""
_SIZE = _OURS + STARTS * RECORD
"""Bytes of a journal: a full disk takes no end away, whoever notes it."""
_LARGEST = 1 << 24
"""Bytes of a journal and what engines append to it, which is far less."""
_TRIED = "T"
_PAUSE = 0.002


@define
class Trace:
    """What a journal says of one step. `code` is its exit code, None while it runs; times are monotonic seconds.

    `tries` counts the engines that have begun to work out what it came to.
    """

    pid: int = 0
    started: float = 0.0
    error: int | None = None
    where: str = ""
    code: int | None = None
    ended: float = 0.0
    tries: int = 0

    @property
    def runs(self) -> bool:
        """Whether nothing has been noted of its end."""
        return self.code is None and self.error is None

    @property
    def starting(self) -> bool:
        """Whether its keeper was just about to start it, and may have."""
        return self.runs and not self.pid


@define
class Entries:
    """What a journal says: the keeper's pid (0 when it had not begun), whether it has no engine, each step by token."""

    keeper: int
    alone: bool
    traces: Mapping[str, Trace]
    namespace: str = "-"
    """The PID namespace of all pids; `-` where that is not known."""


def create(path: Path) -> int:
    """Make a journal, locked, with the space that it will need; returns the open file. Raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            os.posix_fallocate(file, 0, _SIZE)
        except OSError as error:  # a file system that cannot; on a full one there is no room for a journal
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
    except BaseException:
        os.close(file)
        path.unlink()
        raise
    return file


def read(path: Path) -> Entries:
    """What a journal says by now; a record that is not whole is none.

    Raises OSError, TargetUnavailable `queue_newer` where a newer penstock's keeper writes it in a way of its own.
    """
    found = Entries(0, False, traces := {})
    data = read_file(path, _LARGEST).rstrip(b"\0")
    for begin in range(0, len(data), RECORD):
        words = data[begin : begin + RECORD].split()
        try:
            kind, token, first, second = (word.decode() for word in words)
            if kind == KEEPER:
                found.keeper, found.namespace = int(first), token
                _refuse_newer(path, int(second))
            elif kind == ALONE:
                found.alone = True
            elif kind == STARTED:
                traces[token] = Trace(pid=int(first), started=float(second))
            elif kind == FAILED:
                traces[token] = Trace(error=int(first), where=second)
            elif kind == ENDED:
                trace = traces.setdefault(token, Trace())
                trace.code, trace.ended = int(first), float(second)
            elif kind == _TRIED:
                traces.setdefault(token, Trace()).tries += 1
        except (ValueError, UnicodeDecodeError):
            continue
    return found


def _refuse_newer(path: Path, written: int) -> None:
    if written > FORMAT:  # 0 is what there was before it was counted, and the same as 1
        raise TargetUnavailable(
            f"the journal `{path}` of steps was written by a newer penstock (format {written}, and this one reads "
            f"{FORMAT}); use that one until they have ended",
            code="queue_newer",
        )


def refuse_newer(folder: Path) -> None:
    """Raise TargetUnavailable `queue_newer` when a journal of that folder cannot be read by us, OSError."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # nothing runs, or has just been cleared away
        for path in folder.iterdir():
            if stat.S_ISREG(path.lstat().st_mode):
                read(path)


def knows(folder: Path, token: str) -> bool:
    """Whether a keeper of that folder has begun to start a step; False where that cannot be read."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError, TargetUnavailable):
                if token in read(path).traces:
                    return True
    return False


def is_elsewhere(folder: Path) -> bool:
    """Whether a keeper of that folder lives in another PID namespace. Raises OSError.

    Its pids are others here, and nobody here would hear of the end of its steps.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # as above
        for path in folder.iterdir():
            if stat.S_ISREG(path.lstat().st_mode):
                words = read_file(path, _LARGEST)[:RECORD].split()
                known = len(words) > 1 and words[0] == KEEPER.encode() and b"-" not in (words[1], namespace().encode())
                if known and words[1] != namespace().encode() and is_kept(path):
                    return True
    return False


def refuse_elsewhere(folder: Path) -> None:
    """Raise TargetUnavailable `engine_not_started` when a keeper there lives in another PID namespace, OSError."""
    if is_elsewhere(folder):
        raise TargetUnavailable(
            f"no engine of `{folder.parent}` can start here: steps of it run in another PID namespace, such as a "
            "container, and cannot be looked after from here; look there, or here once they have ended",
            code="engine_not_started",
        )


def is_kept(path: Path) -> bool:
    """Whether the keeper lives, or a child of it has not become a step's program yet. Raises OSError."""
    return locks.is_taken(path, SAFELY)


def settled(path: Path, patience: float, *, dead: bool = False) -> tuple[Entries, bool]:
    """What a journal says once it says all, and whether its keeper still lives; a `dead` one is not asked.

    All is what a keeper was asked to start: it has died, or it has found out that it has no engine and starts nothing
    any more. Raises TimeoutError when neither comes within `patience` seconds, OSError.
    """
    deadline = time.monotonic() + patience
    while True:
        kept = is_kept(path)  # before it is read, so that nothing comes after
        found = read(path)
        if not kept or (found.alone and not dead):
            return found, kept
        if time.monotonic() > deadline:
            raise TimeoutError(f"the keeper of steps with the journal `{path}` does not answer")
        time.sleep(_PAUSE)


def append(path: Path, entry: bytes) -> None:
    """Add a record of the engine's, behind the space that is the keeper's. Raises OSError."""
    file = open_file(path, os.O_RDWR)
    try:
        noted = os.pread(file, _LARGEST, _OURS).rstrip(b"\0")
        os.pwrite(file, entry, _OURS + -(-len(noted) // RECORD) * RECORD)
    finally:
        os.close(file)


def ended(token: str, code: int) -> bytes:
    """The record of an end that the engine noted, because the keeper had died."""
    return record(ENDED, token, code, f"{time.monotonic():.3f}")


def tried(token: str) -> bytes:
    """The record of an engine that works out what an ended step came to."""
    return record(_TRIED, token, 0, 0)
