"""What SQLite says against a queue, in our words."""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path

from penstock.errors import TargetUnavailable
from penstock.locks import sqlite_writer
from penstock.machine import lacks_inodes, note_files_lacking

_ELSEWHERE = "or give the target a `root` that can be written"


def lies_alone(queue: Path) -> bool:
    """Whether a queue is whole without what SQLite may lay beside it, and nobody has it open."""
    real = os.path.realpath(queue)
    return not (_has(f"{real}-wal") or _has(f"{real}-journal") or os.path.lexists(f"{real}-shm"))


def _has(path: str) -> bool:
    """Whether there is something in a file, or that is not known."""
    try:
        return os.stat(path).st_size > 0  # noqa: PTH116  # the path is text
    except OSError as error:
        return not isinstance(error, FileNotFoundError)


def unavailable(path: Path, error: sqlite3.Error) -> TargetUnavailable:
    """The error for whoever cannot use a queue: what is known, and what to do."""
    why = str(error)
    if "malformed" in why or "not a database" in why or "corrupt" in why:
        return TargetUnavailable(
            f"the queue `{path}` is damaged ({why}); move it away and the runs it holds end as lost",
            retry_after=60.0,
            code="queue_corrupt",
        )
    todo = f"free some space {_ELSEWHERE}"
    if "full" in why or ("disk I/O" in why and _free(path.parent) < 256 * 1024):
        why = "the disk is full"
    elif "unable to open" in why and (lacking := note_files_lacking(error)):
        why, todo = lacking, "nothing is lost by it"
    elif "readonly" in why or "unable to open" in why:
        why, todo = _not_written(path)
    elif "locked" in why:
        by = sqlite_writer(path)
        return TargetUnavailable(f"the queue `{path}` is busy{by and f', {by} writes it'}; try again", code="lock_held")
    return TargetUnavailable(f"cannot use the queue `{path}`: {why}; {todo}", retry_after=10.0)


def _not_written(path: Path) -> tuple[str, str]:
    """Why nothing can be written beside a queue, as far as the machine says, and what to do."""
    why, todo = "it cannot be written", f"check the permissions of its folder, {_ELSEWHERE}"
    if _is_read_only(path.parent):
        why, todo = "its file system is read-only", f"mount it so that it can be written, {_ELSEWHERE}"
    elif lacks_inodes(path.parent):
        return "the disk is full: it has no inodes left", f"free some space {_ELSEWHERE}"
    real = os.path.realpath(path)
    if _has(f"{real}-wal") and not os.path.lexists(f"{real}-shm") and not os.access(path.parent, os.W_OK):
        why = f"a process that died left a log, which cannot be taken in here, because {why}"
    return why, todo


def _is_read_only(folder: Path) -> bool:
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
