"""What references led to the last time: tried first at the next trigger, and only the acceptance says if it holds."""

from __future__ import annotations

from attrs import frozen

from penstock.registry import Resolution
from penstock.workspace.references import Located

_MOST = 1_000
"""How many are remembered; they are forgotten together."""


@frozen
class Resolved:
    """What a reference named, and what that resolved to when a run was accepted."""

    located: Located
    resolution: Resolution


class ResolvedBefore:
    """What was accepted last, by reference and version. Threads may share it."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str | None], Resolved] = {}

    def get(self, ref: str, version: str | None) -> Resolved | None:
        """What is remembered, or None."""
        return self._found.get((ref, version))

    def remember(self, ref: str, version: str | None, found: Resolved) -> None:
        """Keep what was accepted."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[ref, version] = found

    def forget(self, ref: str, version: str | None) -> None:
        """Look it up the next time."""
        self._found.pop((ref, version), None)
