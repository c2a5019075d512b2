"""What a `file` or `directory` parameter may point at: objects of Cloud Storage."""

from __future__ import annotations

from penstock.contract.target import Location, Problem


def resolve_location(location: Location) -> str | Problem:
    """The URI that steps will read, or why not: they see Cloud Storage, and no file of this machine."""
    raise NotImplementedError
