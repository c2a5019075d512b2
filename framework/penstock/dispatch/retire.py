"""Letting targets forget publications, never one that somebody uses or is about to use again."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.errors import PenstockError, RegistryError, TargetUnavailable
from penstock.records import Placement
from penstock.registry import Owed, Registry
from penstock.targets.opened import OpenTargets

RETIRE_PATIENCE = 0.5
"""Seconds that a retirement waits for whoever publishes to the same place just now; most take less."""

PUBLISH_PATIENCE = 60.0
"""Seconds that a publish waits for a retirement at the same place: more than one takes that does not hang."""


@contextmanager
def retiring_held_off(home: Path, placement: Placement) -> Iterator[None]:
    """Nothing is retired at a place while something is put there and recorded.

    Between what a target has and what the registry says of it nobody may decide that it is not needed. The lock is a
    file's: it ends with the process that holds it. Raises TargetUnavailable when a retirement takes too long.
    """
    busy = TargetUnavailable(
        f"something has been in retirement on target `{placement.target}` for {PUBLISH_PATIENCE:g} s; try again later"
    )
    with _locked(home, placement, fcntl.LOCK_SH, PUBLISH_PATIENCE, busy):
        yield


def retire(registry: Registry, targets: OpenTargets, home: Path, owed: Owed) -> None:
    """Let a target forget a publication, unless it is in use again.

    Raises TargetUnavailable also while somebody publishes to the place, and what opening the target raises.
    """
    found = registry.outbox.to_retire(owed)
    if found is None:
        return
    busy = TargetUnavailable("somebody is publishing", code="publishing_elsewhere")
    with _locked(home, found[0], fcntl.LOCK_EX, RETIRE_PATIENCE, busy):
        if registry.outbox.to_retire(owed) is None:
            return
        for placement, publication in (found, *registry.outbox.namesakes(owed)):
            try:
                target = targets.open_frozen(placement)
            except PenstockError:
                if placement.target == owed.target:
                    raise
                continue  # another name of the place, which is gone or means something else by now
            if target.has("penstock_retire_pipeline"):
                target.retire(publication)
        registry.outbox.done(owed)


@contextmanager
def _locked(home: Path, placement: Placement, how: int, patience: float, busy: TargetUnavailable) -> Iterator[None]:
    """Hold the lock of a place, whatever name it has. Raises `busy` when it is not to be had in time."""
    lock = home / f"publications-{hashlib.sha256(placement.identity.encode()).hexdigest()[:16]}.lock"
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
                fcntl.flock(file, how | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise busy from None
                time.sleep(0.01)
        yield
    finally:
        os.close(file)
