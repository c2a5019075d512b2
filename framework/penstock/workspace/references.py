"""What a person may write to name a thing: `digits`, `digits@0`, `digits:3`, an id, a file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from attrs import frozen

from penstock.errors import NotFound
from penstock.registry import Registry

_SUFFIXES = {".yaml", ".yml", ".json"}


@frozen(kw_only=True)
class Located:
    """What a reference names: an endpoint (by id, with a version when pinned) or a published pipeline (by id)."""

    kind: Literal["endpoint", "published"]
    id: str
    version: str | None = None


def is_file(ref: str) -> bool:
    """Whether a reference means a spec file: it ends as one, or is a path with a folder to a file that is there."""
    return Path(ref).suffix.lower() in _SUFFIXES or ("/" in ref and Path(ref).is_file())


def split_version(ref: str) -> tuple[str, str | None]:
    """Cut `digits@0` into the endpoint and the version; without a version, None."""
    found = re.fullmatch(r"(.+)@([0-9]+)", ref, re.DOTALL)
    return (found[1], found[2]) if found else (ref, None)


def locate(registry: Registry, ref: str, version: str | None = None, *, replay: bool = False) -> Located:
    """Find what a reference names: an endpoint first, then a pinned version, then a published pipeline.

    With `replay` what was deleted is found too: an idempotency key outlives what it was used on. Raises NotFound,
    listing what exists.
    """
    whole = registry.endpoint_id(ref)
    if whole:
        return Located(kind="endpoint", id=whole, version=version)
    name, pinned = split_version(ref)
    endpoint = registry.endpoint_id(name) if pinned is not None else None
    if endpoint:
        return Located(kind="endpoint", id=endpoint, version=version if version is not None else pinned)
    try:
        return Located(kind="published", id=registry.get_published(ref).id)
    except NotFound:
        if replay and registry.was_published(ref):
            return Located(kind="published", id=ref)
        if replay and registry.was_endpoint(name):
            return Located(kind="endpoint", id=name, version=version if version is not None else pinned)
        if ":" in ref:
            raise
        registry.get_endpoint(name)  # raises with the endpoints that exist
        raise
