"""A root that was moved, removed or replaced while its engine runs: the lock there is not the one that it holds."""

from __future__ import annotations

import os
from pathlib import Path

from penstock_local import database, queue, wake
from penstock_local.layout import Layout

_GONE = " (deleted)"


def has_moved(layout: Layout, lock: int) -> bool:
    """Whether the root that an engine was started for is not at its place any more. `lock` is its open lock.

    Raises OSError.
    """
    try:
        return not os.path.samestat(os.lstat(layout.lock), os.fstat(lock))
    except (FileNotFoundError, NotADirectoryError):
        return True


def elsewhere(layout: Layout, lock: int) -> Layout | None:
    """Where the root lies now if that is not its place any more; None also when it was removed. Raises OSError."""
    return place_of(lock) if has_moved(layout, lock) else None


def place_of(lock: int) -> Layout | None:
    """Where the root of an open lock lies now; None when it was removed. Raises OSError."""
    path = Path(f"/proc/self/fd/{lock}").readlink()
    place = Layout(path.parent)
    return None if path.name.endswith(_GONE) or has_moved(place, lock) else place


def hand_on(layout: Layout, lock: int) -> None:
    """Give up the lock, and wake an engine where the root lies now if it has moved and there is something to do.

    Whoever woke us there thinks that it is done. Raises OSError, PenstockError, sqlite3.Error.
    """
    place = elsewhere(layout, lock)
    os.close(lock)
    if place is not None:
        with database.opened(place) as connection:
            waiting = queue.counts(connection)
        if waiting:
            wake.wake(place)
