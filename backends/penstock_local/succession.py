"""From an engine of one installation to one of another, which takes over the running steps as after a kill.

Whoever hands over a run compares the installation that the engine noted with its own. Where they differ it starts an
engine of its own beside the other one, a successor, which asks that one to end once it has come up itself: an
installation that is broken ends nobody. Asked, an engine takes no new run; when it has served for `TENURE` seconds it
starts no more steps, and when nothing is under way that it alone knows of it ends and leaves what runs to its keepers.

To be asked is to read `ASK` from the pipe while somebody has the file `engine.next` locked, which lasts as long as
there is a successor. Without one an engine goes on; none ends unless somebody is there to go on after it.
"""

from __future__ import annotations

import fcntl
import os
import time

from penstock import locks
from penstock.opening import SAFELY, open_file
from penstock_local import database, installation, journal, ownership, places, starting, troubles, wake
from penstock_local.installation import Installation
from penstock_local.layout import Layout, unusable

ASK = b"?"
"""What is written into the pipe to ask an engine to end; one of an older penstock takes it for any other wake-up."""
TENURE = 2.0
"""Seconds that an engine serves at least: where two installations submit in turns, most of the time is their runs'."""
ASK_AGAIN = 0.25
"""Seconds after which a successor asks again, and an engine that was asked sees whether it is still there."""
_PATIENCE = 8.0
"""Seconds to wait for somebody else's successor."""
_LIMIT = 60.0
"""Seconds after which a successor gives up: an engine that is stopped, or finishes something long, is left alone."""
_PAUSE = 0.01


def hand_over(layout: Layout) -> None:
    """Wake the engine, or start one. One of another installation is succeeded by one of ours, if it gives way.

    Raises as `wake.wake`, also when the successor does not come up; the other engine then goes on as before.
    """
    ownership.refuse_guest(layout)
    ours = installation.mark_here()
    deadline = time.monotonic() + _PATIENCE
    try:
        while _is_anothers(layout, ours) and time.monotonic() < deadline:
            place = _book(layout)
            if place is None:
                time.sleep(_PAUSE)
                continue
            if not _is_anothers(layout, ours):
                os.close(place)
                break
            installation.note(place, installation.here())
            starting.start(layout, (place,), wake.environment())
            break
    except OSError as error:
        raise unusable(layout.root, error) from None
    wake.wake(layout)


def _is_anothers(layout: Layout, ours: str) -> bool:
    noted = installation.noted(layout.lock)
    if noted is None or not noted.gives_way_to(ours) or not wake.listening(layout):
        return False
    return not journal.is_elsewhere(layout.keepers)  # it serves us as well, and nobody here could go on with its steps


def _book(layout: Layout) -> int | None:
    """Become the one who brings up a successor; None while somebody else does. Raises OSError."""
    place = places.open_ours(layout.next, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException as error:
        os.close(place)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return place


def is_awaited(layout: Layout) -> bool:
    """Whether there is a successor, or may be: who lacks what it takes to look lacks what a successor may have."""
    try:
        return locks.is_taken(layout.next, SAFELY)
    except OSError as error:
        return troubles.is_machines(error)


def successor(layout: Layout) -> str:
    """Who that is, in words."""
    noted = installation.noted(layout.next)
    return "another one" if noted is None else noted.words


def succeed(layout: Layout, place: int) -> wake.Claim | None:
    """Ask the engine to end and take its place. `place` is our own, as booked, and is given up by that.

    None when somebody else of our installation is there by then, or the engine does not give way. Raises OSError,
    PenstockError, sqlite3.Error when we could not go on after it.
    """
    asked = 0.0
    try:
        ours = installation.noted_in(place) or installation.here()
        journal.refuse_newer(layout.keepers)
        journal.refuse_elsewhere(layout.keepers)
        database.connect(layout).close()
        deadline = time.monotonic() + _LIMIT
        while (claimed := wake.claim(layout, ours)) is None:
            noted = installation.noted(layout.lock)
            if noted is None or not noted.gives_way_to(ours.mark):
                return None
            if time.monotonic() > deadline:
                _let_it_stay(layout, noted)
                return None
            if time.monotonic() > asked + ASK_AGAIN:
                asked = time.monotonic()
                wake.ring(layout, ASK)
            time.sleep(_PAUSE)
        return claimed
    finally:
        os.close(place)


def _let_it_stay(layout: Layout, noted: Installation) -> None:
    """Have nobody ask it again, as one that does not know how to give way would cost each of them its time."""
    lock = open_file(layout.lock, os.O_RDWR)
    try:
        if installation.noted_in(lock) == noted:
            installation.note(lock, noted.staying())
    finally:
        os.close(lock)
