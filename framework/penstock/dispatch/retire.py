"""Letting targets forget publications, never one that somebody is about to use again."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import RegistryError, TargetUnavailable
from penstock.registry import Owed, Registry
from penstock.targets.opened import OpenTargets

_PATIENCE = 0.5
"""Seconds to wait for whoever publishes just now; most take less."""

_BUSY_AGAIN = 1.0
"""Seconds until the next try when somebody is publishing."""


@contextmanager
def retiring_held_off(home: Path) -> Iterator[None]:
    """Nothing is retired while something is put on a target and recorded.

    Between what a target has and what the registry says of it nobody may decide that it is not needed. The lock is a
    file's: it ends with the process that holds it.
    """
    with _locked(home, fcntl.LOCK_SH):
        yield


def retire(registry: Registry, targets: OpenTargets, home: Path, owed: Owed) -> None:
    """Let a target forget a publication, unless it is in use again.

    Raises TargetUnavailable also while somebody publishes, and what opening the target raises.
    """
    try:
        with _locked(home, fcntl.LOCK_EX | fcntl.LOCK_NB, patience=_PATIENCE):
            found = registry.outbox.to_retire(owed)
            if found is not None:
                placement, publication = found
                target = targets.open_frozen(placement)
                if target.has("penstock_retire_pipeline"):
                    target.retire(publication)
            registry.outbox.done(owed)
    except BlockingIOError:
        busy = "somebody is publishing"
        raise TargetUnavailable(busy, retry_after=_BUSY_AGAIN, code="publishing_elsewhere") from None


@contextmanager
def _locked(home: Path, how: int, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock. Raises BlockingIOError when it is not to be had within so many seconds, by `LOCK_NB`."""
    lock = home / "publications.lock"
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RegistryError(
            f"{lock} cannot be written ({error.strerror}); nothing was changed, check the folder's permissions",
            code="registry_read_only",
        ) from None
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                fcntl.flock(file, how)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(file)
