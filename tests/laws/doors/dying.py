"""A server that kills itself, as `kill -9` would, before the n-th of its durable steps since it was ready."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from planting.statements import changed

AT, ARMED = "LAWS_DIES_AT", "LAWS_DIES_WHEN"
"""The environment variables with the number of the step, and with the file whose being there begins the count."""

_STEPS = r"^(BEGIN IMMEDIATE|COMMIT|INSERT|UPDATE|DELETE)"
_turns = threading.Lock()


def dies() -> None:
    """Count what writes to the registry and calls of the backend, and die at one of them."""
    left, armed = [int(os.environ[AT])], Path(os.environ[ARMED])

    def step() -> None:
        if not armed.exists():
            return
        with _turns:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def before(connection: Any, sql: str, values: Any) -> tuple[str, Any]:
        if sql.startswith("BEGIN"):
            connection.writes = True
        if getattr(connection, "writes", False):  # whoever only reads commits too
            step()
        if sql.startswith("COMMIT"):
            connection.writes = False
        return sql, values

    changed(_STEPS, before)
    import penstock_memory

    for name in ("penstock_submit_run", "penstock_get_run"):
        _around(penstock_memory, name, step)


def _around(module: Any, name: str, step: Any) -> None:
    import functools

    real = getattr(module, name)

    @functools.wraps(real)
    def called(*arguments: Any) -> Any:
        step()
        answer = real(*arguments)
        step()
        return answer

    setattr(module, name, called)


def leases_are_short() -> None:
    """What a dead process took is free after a moment, so that no question waits for a quarter of a minute."""
    from penstock.registry import outbox

    outbox.LEASE = 1.0
