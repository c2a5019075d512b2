"""The target's own processes on this machine: found by a folder of the kit's that they name, and killed.

Nobody else names that folder, so nobody else is ever touched. Linux only: elsewhere none are found.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

_PROC = Path("/proc")
_ROUNDS = 50


def naming(folder: Path) -> list[int]:
    """The processes whose command line, environment or working directory names a folder; never this one."""
    own, pids = _own(), []
    with contextlib.suppress(FileNotFoundError):
        pids = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if pid not in own and _names(pid, folder)]


def kill_naming(folder: Path, spare: Callable[[int], bool] = lambda pid: False) -> int:
    """KILL every process that names a folder, but those to `spare`, and what they started meanwhile. Answers how many.

    Where somebody starts each of them anew, it leaves off after a while.
    """
    killed: set[int] = set()
    for _ in range(_ROUNDS):
        found = [pid for pid in naming(folder) if not spare(pid)]
        if not found:
            break
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(pid)
                try:
                    if _names(pid, folder):  # the handle is on whoever has the number now
                        signal.pidfd_send_signal(handle, signal.SIGKILL)
                finally:
                    os.close(handle)
        killed.update(found)
    return len(killed)


def _names(pid: int, folder: Path) -> bool:
    wanted = os.fsencode(folder)
    with contextlib.suppress(OSError):
        place = _PROC / str(pid)
        texts = (place / "cmdline").read_bytes(), (place / "environ").read_bytes()
        return any(wanted in text for text in texts) or wanted in os.fsencode((place / "cwd").readlink())
    return False


def _own() -> set[int]:
    """This process and those above it."""
    found, pid = set(), os.getpid()
    while pid > 1 and pid not in found:
        found.add(pid)
        try:
            status = (_PROC / str(pid) / "stat").read_bytes()
        except OSError:
            break
        pid = int(status.rpartition(b")")[2].split()[1])
    return found
