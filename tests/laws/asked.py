"""The kit's harness in front of the in-memory backend, whose workspaces are opened by a door."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from laws.doors import DOORS

from penstock.testing.harness import Harness
from penstock.testing.profiles import Profile
from penstock.testing.subject import Subject

PROFILE = Profile(name="laws", patience=8.0, shrink=False)
"""Nothing here takes longer than it is told to."""

SEED = 1


class DoorHarness(Harness):
    """A harness whose workspaces are behind a door. One with plugins, or that says what it is, is always Python's."""

    def __init__(self, subject: Subject, door: str, profile: Profile = PROFILE, seed: int = SEED) -> None:
        super().__init__(subject, profile, seed)
        self.door = door

    @contextmanager
    def workspace(self, registry: str | None = None, **more: Any) -> Iterator[Any]:
        """An open workspace, by default on a new registry."""
        more = {name: value for name, value in more.items() if value}
        if set(more) - {"actor"}:
            with super().workspace(registry, **more) as workspace:
                yield workspace
            return
        with DOORS[self.door](self.subject, registry or self.new_registry(), **more) as workspace:
            yield workspace


def new_subject(folder: Path, prepare: tuple[str, ...] = ()) -> Subject:
    """Two targets of the in-memory backend."""
    main, other = ({"backend": "memory", "place": place} for place in ("main", "other"))
    return Subject.of_options(folder, main, other, prepare=prepare)


def new_harness(folder: Path, door: str, prepare: tuple[str, ...] = ()) -> DoorHarness:
    """A harness in a folder of its own."""
    return DoorHarness(new_subject(folder, prepare), door)
