"""Until when an emulator serves, and what keeps two from one state."""

from __future__ import annotations

import fcntl
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, TypeVar

from penstock import trust
from penstock.errors import ConfigInvalid
from penstock.making import make_folder
from penstock_emulator.server import Server

S = TypeVar("S", bound=Server)

_LOOK = 0.05
"""Seconds between looks whether it is to end."""


class InUse(Exception):
    """Another emulator has this state."""


def lock(folder: Path) -> IO[str]:
    """Make a state's folder, for its owner alone, and hold it while the answer is open.

    Raises InUse, ConfigInvalid `not_trusted` when somebody else could have written there, OSError.
    """
    if not folder.exists():
        trust.refuse_place(folder.absolute(), "the state")
    make_folder(folder, 0o700)
    state = folder / "state.db"
    distrust = trust.distrust(folder, "the state") or trust.distrust(state, "the state")
    distrust = distrust or trust.distrust_database(state, "the state")
    if distrust is not None:
        raise ConfigInvalid(distrust, code="not_trusted")
    held = (folder / "lock").open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise InUse(f"another emulator works on {folder.resolve()}") from None
    return held


def listening(folder: Path, port: int, open_at: Callable[[int], S]) -> S:
    """What `open_at` opens on a port; for 0 on the one that this state had before, as long as it is free.

    So whoever was told an address finds the emulator there again. Raises OSError.
    """
    file = folder / "port"
    opened = None
    if not port:
        with suppress(OSError, ValueError, OverflowError):
            opened = open_at(int(file.read_text()))
    opened = open_at(port) if opened is None else opened
    file.write_text(str(opened.server_address[1]))
    return opened


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
