"""An engine that a signal has stopped (SIGSTOP, Ctrl-Z): nothing is started, ended or noted, and who looks is told.

So is whoever starts one, and is stopped before it comes up; and one that does not come up, as where its folders hang.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from penstock import locks
from penstock.errors import TargetUnavailable
from penstock_local import processes, troubles
from penstock_local.layout import Layout

_ENGINE = b"penstock_local.engine"
_PATIENCE = 5.0
"""Seconds that an engine may take to come up before that is said; it takes some tenths of one."""


def found(layout: Layout) -> TargetUnavailable | None:
    """What to say of an engine that is stopped, or is long in coming; None of one that is neither, or not seen."""
    pid = troubles.process(layout)
    is_up = bool(pid) and _is_engine(pid, layout)
    if not is_up:
        pid = _coming_up(layout)
    if not pid or not processes.is_stopped(pid):
        return _late(layout, pid) if pid and not is_up else None
    who = "the engine" if _is_engine(pid, layout) else "what starts the engine"
    message = (
        f"{who} of `{layout.root}`, process {pid}, was stopped by a signal, and nothing is started or noted "
        f"meanwhile: `kill -CONT {pid}` lets it go on"
    )
    return TargetUnavailable(message, code="engine_stopped", retry_after=1.0)


def _late(layout: Layout, pid: int) -> TargetUnavailable | None:
    # As its first act an engine says what TERM is to it.
    if processes.age(pid) < _PATIENCE or not _is_engine(pid, layout) or processes.catches(pid, signal.SIGTERM):
        return None
    message = f"the engine of `{layout.root}`, process {pid}, has not come up yet; see `{layout.log}`"
    return TargetUnavailable(message, code="engine_not_started", retry_after=1.0)


def _coming_up(layout: Layout) -> int:
    """The engine that has the lock and has not noted itself yet, or who has the lock to start one; 0 for none."""
    starter = locks.holder_pid(layout.lock)
    if not starter or processes.is_stopped(starter):
        return starter
    # The lock was handed over, and is under the name of who took it, which may be gone.
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return next((pid for pid in pids if _is_engine(pid, layout)), 0)


def _is_engine(pid: int, layout: Layout) -> bool:
    """Whether a process is an engine, and of this root, not of one that it is a copy of."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return _ENGINE in words and os.fsencode(layout.root) in words
