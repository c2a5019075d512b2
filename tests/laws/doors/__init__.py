"""The doors that a law is asked through: each opens what answers like a `Workspace`, by the same verbs and records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from laws.doors.cli import CommandLine

from penstock.testing.subject import Subject


class Door(Protocol):
    """What the questions need of a door: groups of verbs that take what `Workspace` takes, and give its records.

    A refusal is a PenstockError with the code, the message and the details that the door told. What a door cannot
    say at all (`LEFT_OUT`, by verb) is not asked of it.
    """

    pipelines: Any
    endpoints: Any
    runs: Any
    admin: Any

    def __enter__(self) -> Any: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...


def _python(subject: Subject, registry: str, **more: Any) -> Door:
    return subject.open(registry, **more)


DOORS: dict[str, Callable[..., Door]] = {"python": _python, "cli": CommandLine}
"""Each by the name that the history has for it."""

LEFT_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "python": {},
    "cli": dict.fromkeys(("publish", "publish_from", "add_version", "rollback"), ("expect",)),
}
"""What a door has no word for, by verb."""
