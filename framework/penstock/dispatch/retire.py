"""Letting targets forget publications, never one that somebody uses or is about to use again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock import locks
from penstock.errors import PenstockError, RegistryError, TargetUnavailable
from penstock.records import Placement
from penstock.registry import Owed, Registry
from penstock.targets.opened import OpenTargets

RETIRE_PATIENCE = 0.5
"""Seconds that a retirement waits for whoever publishes to the same place just now; most take less."""

PUBLISH_PATIENCE = 30.0
"""Seconds that a publish waits for a retirement at the same place: more than one takes that does not hang."""


@contextmanager
def retiring_held_off(home: Path, placement: Placement) -> Iterator[None]:
    """Nothing is retired at a place while something is put there and recorded.

    Between what a target has and what the registry says of it nobody may decide that it is not needed. The lock is a
    file's: it ends with the process that holds it. Raises TargetUnavailable when a retirement takes too long.
    """

    def busy(by: str) -> TargetUnavailable:
        return TargetUnavailable(
            f"something has been in retirement on target `{placement.target}` for {PUBLISH_PATIENCE:g} s"
            f"{by and f' by {by}'}; nothing was published, try again later",
            code="lock_held",
        )

    with _locked(home, placement, PUBLISH_PATIENCE, busy, exclusive=False):
        yield


def retire(registry: Registry, targets: OpenTargets, home: Path, owed: Owed) -> None:
    """Let a target forget a publication, unless it is in use again.

    Raises TargetUnavailable also while somebody publishes to the place, and what opening the target raises.
    """
    found = registry.outbox.to_retire(owed)
    if found is None:
        return

    def busy(by: str) -> TargetUnavailable:
        return TargetUnavailable(f"{by or 'somebody'} is publishing", code="publishing_elsewhere")

    with _locked(home, found[0], RETIRE_PATIENCE, busy, exclusive=True):
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
def _locked(
    home: Path, placement: Placement, patience: float, busy: Callable[[str], TargetUnavailable], *, exclusive: bool
) -> Iterator[None]:
    """Hold the lock of a place, whatever name it has. Raises `busy` of who holds it when it is not had in time."""
    lock = home / f"publications-{hashlib.sha256(placement.identity.encode()).hexdigest()[:16]}.lock"
    try:
        file = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise RegistryError(
            f"{lock} cannot be written ({error.strerror}); nothing was changed, check the folder's permissions",
            code="registry_read_only",
        ) from None
    try:
        if not locks.take(file, exclusive=exclusive, seconds=patience):
            raise busy(locks.holder(lock))
        yield
    finally:
        os.close(file)
