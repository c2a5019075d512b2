"""What becomes of steps that were handed to keepers, as the engine hears of it or reads it in a journal."""

from __future__ import annotations

import os

from attrs import frozen

from penstock_local.journal import Trace


@frozen
class Started:
    """A step's process runs; `parent` is the keeper that will note its end, or this engine."""

    token: str
    pid: int
    parent: int


@frozen
class Failed:
    """A step could not be started."""

    token: str
    error: OSError | ValueError


@frozen
class Ended:
    """A step's process has ended with this exit code (negative: the signal)."""

    token: str
    code: int


@frozen
class Lost:
    """A step whose keeper died as the engine before us had: nobody can know how it ends."""

    token: str


Event = Started | Failed | Ended | Lost


def event_of(token: str, trace: Trace, parent: int) -> Event:
    """What a journal says of a step whose process, if it runs, is a child of `parent`; nobody's when that is 0."""
    if trace.error is not None:
        return Failed(token, error_of(trace.error, trace.where))
    if trace.code is not None:
        return Ended(token, trace.code)
    return Started(token, trace.pid, parent) if parent else Lost(token)


def error_of(number: int, where: str) -> OSError | ValueError:
    """What went wrong at the start of a step. `where` is what it was about: command, folder, journal, memory, limit."""
    if where == "limit":
        return ValueError("the memory that it asks for is too little to begin with")
    error = OSError(number, os.strerror(number))
    error.filename = None if where == "command" else where
    return error
