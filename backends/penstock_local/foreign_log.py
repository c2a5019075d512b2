"""A log that belongs to another queue, over which a copy was put: SQLite would take it for the queue's, and ruin it."""

from __future__ import annotations

import os
import sqlite3
from functools import partial
from pathlib import Path

from penstock import log_mark
from penstock.errors import TargetUnavailable


def refuse(queue: Path) -> None:
    """Raise TargetUnavailable `queue_log_foreign` when the log beside a queue is another's; nothing is changed.

    Call it before SQLite opens the queue. Raises OSError.
    """
    real = Path(os.path.realpath(queue))  # SQLite keeps the log beside the file, not beside a link to that
    log = real.with_name(f"{real.name}-wal")
    try:
        if not (log.stat().st_size and real.stat().st_size):  # beside an empty file SQLite throws any log away
            return
        # Not by `open`: closing a file takes away the locks that SQLite has on it in this process.
        without_log = partial(sqlite3.connect, f"{real.as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)
        foreign = log_mark.is_foreign(without_log, log)
    except (sqlite3.Error, FileNotFoundError):
        return  # what is wrong with it is said by whoever opens it
    if foreign:
        raise TargetUnavailable(
            f"the queue `{queue}` is not the file that was written here last: the log `{log.name}` beside it belongs "
            "to another, which it was copied over; nothing was changed. Put that one back, or move "
            f"`{log.name}` and `{log.name.removesuffix('-wal')}-shm` away to go on with what the copy holds",
            retry_after=60.0,
            code="queue_log_foreign",
        )
