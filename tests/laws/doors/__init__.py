"""The doors that a law is asked through: each opens what answers like a `Workspace`, by the same verbs and records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from laws.doors.azureml_v1 import AzuremlV1
from laws.doors.cli import CommandLine
from laws.doors.http import Http
from laws.doors.reading import ANYBODY

from penstock.callers import Caller, Rights
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
    opened = subject.open(registry, **more)
    if more.get("actor") != ANYBODY:
        return opened
    return opened.as_(Caller(actor=ANYBODY, door="python", folder=None, rights=Rights(scope="submit", public=True)))


DOORS: dict[str, Callable[..., Door]] = {"python": _python, "cli": CommandLine, "http": Http, "azureml_v1": AzuremlV1}
"""The doors by name."""

RECORDED: dict[str, tuple[str, ...]] = {
    "python": ("python",),
    "cli": ("cli",),
    "http": ("rest",),
    "azureml_v1": ("rest", "azureml_v1"),
}
"""What the records of its calls say of each door."""

KNOWN = ("cli",)
"""The doors where everybody is known."""

BY_HTTP = ("http", "azureml_v1")
"""The doors that know who calls."""

LEFT_OUT: dict[str, dict[str, tuple[str, ...]]] = {
    "python": {},
    "cli": dict.fromkeys(("publish", "publish_from", "add_version"), ("expect",)),
    "http": {},
    "azureml_v1": {},
}
"""What a door has no word for, by verb."""
