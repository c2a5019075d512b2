"""What references led to the last time: tried first at the next trigger, and only the acceptance says if it holds."""

from __future__ import annotations

from attrs import frozen

from penstock.registry import Resolution
from penstock.workspace.references import Kind, Located

Asked = tuple[str, str | None, Kind | None]
"""A reference, the version and the kind that were said with it."""

_MOST = 1_000
"""How many are remembered; they are forgotten together."""


@frozen
class Resolved:
    """What a reference named, and what that resolved to when a run was accepted."""

    located: Located
    resolution: Resolution


class ResolutionCache:
    """What was accepted last, by what was asked for. Threads may share it."""

    def __init__(self) -> None:
        self._found: dict[Asked, Resolved] = {}

    def get(self, asked: Asked) -> Resolved | None:
        """What is remembered, or None."""
        return self._found.get(asked)

    def remember(self, asked: Asked, found: Resolved) -> None:
        """Keep what was accepted."""
        if len(self._found) >= _MOST:
            self._found.clear()
        self._found[asked] = found

    def forget(self, asked: Asked) -> None:
        """Look it up the next time."""
        self._found.pop(asked, None)
