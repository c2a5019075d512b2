"""Until when an emulator serves, and what keeps two from one state."""

from __future__ import annotations

import fcntl
import signal
import time
from pathlib import Path
from typing import IO, Any

_LOOK = 0.05
"""Seconds between looks whether it is to end."""


class InUse(Exception):
    """Another emulator has this state."""


def lock(folder: Path) -> IO[str]:
    """Make a state's folder, for its owner alone, and hold it while the answer is open. Raises InUse."""
    folder.mkdir(0o700, parents=True, exist_ok=True)
    held = (folder / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise InUse(f"another emulator works on {folder.resolve()}") from None
    return held


def until_signal() -> Any:
    """A function that returns when SIGTERM or SIGINT has come, also if that was before it was called."""
    # No `threading.Event`: a handler that sets one waits for itself when it comes as the wait begins.
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))

    def wait() -> None:
        while not ended:
            time.sleep(_LOOK)

    return wait
