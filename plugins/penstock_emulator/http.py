"""A request and its answer, as every part of an emulator sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """A request that was read: `path` as it came, percent-encoded."""

    verb: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    def one(self, name: str) -> str:
        """The last value of a query parameter, or nothing."""
        return self.query.get(name, [""])[-1]


@dataclass
class Answer:
    """What is sent back: bytes, or a part of a file (path, first byte, length)."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    file: tuple[Path, int, int] | None = None
