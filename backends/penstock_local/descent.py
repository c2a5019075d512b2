"""Which step a process is of that has no environment of the step's, as after `env -i`: its parents tell.

A parent may have the token still. Where the program that the keeper started has thrown it away itself, the keeper is
the first parent of ours, and its journal knows the program by its pid. What has left its parents is not found.
"""

from __future__ import annotations

import contextlib
import functools
import os

from penstock.errors import TargetUnavailable
from penstock_local import database, journal, keeper, neighbours, processes, queue, request
from penstock_local.layout import Layout

ABOVE = "PENSTOCK_STEP_ABOVE"
"""The variable with the tokens of the steps that triggered a step's run, the nearest first."""
_HIGHEST = 64
"""How many parents are asked."""


def step_above() -> tuple[str, ...]:
    """The tokens of the step that this process descends from, and of those that triggered its run; none where there is
    no such step, or nothing is known of it.
    """
    return _found(os.getpid(), os.getppid())


@functools.lru_cache(maxsize=1)  # who is whose child stays, until the parent ends
def _found(pid: int, parent: int) -> tuple[str, ...]:
    with contextlib.suppress(OSError, ValueError, TargetUnavailable):
        for _ in range(_HIGHEST):
            if parent <= 1:
                break
            if os.stat(f"/proc/{parent}").st_uid == os.geteuid():  # noqa: PTH116  # the path is text
                token = processes.token_of(parent)
                if token:
                    return token, *(processes.variable_of(parent, ABOVE) or "").split()
                root = neighbours.root_of(parent)
                if root is not None:
                    return _noted(Layout(root), pid)
            pid, parent = parent, processes.parent_of(parent)
    return ()


def _noted(layout: Layout, pid: int) -> tuple[str, ...]:
    """The same of a program that a keeper of this root has started."""
    for path in layout.keepers.iterdir():
        entries = journal.read(path)
        if entries.namespace == keeper.namespace():
            for token, trace in entries.traces.items():
                if trace.runs and trace.pid == pid:
                    with database.opened(layout) as connection:
                        asked = queue.request_behind(connection, token)
                    return token, *(request.read(asked).above if asked else ())
    return ()
