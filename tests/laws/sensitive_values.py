"""Values of the sensitive parameter of the kit's pipeline, and who shows or keeps them (law 13)."""

from __future__ import annotations

import time
from pathlib import Path

from searching import holders

from penstock.testing.laws import require

SECRETS = ("sesame-7f3a9c1e", "rosebud-51d08b77")
"""Values that are right. Nothing else in a test says these words."""

SHORT = "oyster-9b"
"""One that is not: it is too short."""

_LONGEST = 5.0
"""Seconds that a dispatcher may take to tidy up after a run that has ended."""


def require_hidden(shown: object, where: str) -> None:
    """Raise LawBroken when something that was shown has one of the values in it."""
    text = shown.decode(errors="replace") if isinstance(shown, bytes) else str(shown)
    found = [value for value in (*SECRETS, SHORT) if value in text]
    require(13, not found, f"{where} shows a sensitive value: {text[:400]}")


def require_forgotten(folder: Path, when: str) -> None:
    """Raise LawBroken when a file below a folder goes on to have one of the values in it."""
    deadline = time.monotonic() + _LONGEST
    while found := holders(folder, *SECRETS, SHORT):
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        # The file of a run that has just ended may still be about to go; no other file is one for a moment only.
        is_going = all(path.parent.name == "sensitive" for path in found) and time.monotonic() < deadline
        require(13, is_going, f"{when} a sensitive value is in {names}")
        time.sleep(0.02)
