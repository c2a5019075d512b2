"""Snapshots: a pipeline with everything that travels, under one digest that is the same for every target.

`take` makes one from a folder, `archive_data` and `load` put it into a registry and get it back, `verify` tells
whether the stored archives are what they were, `extract` unpacks one. Functions are loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.snapshot.types import Archive, Bundled, Snapshot

if TYPE_CHECKING:
    from penstock.snapshot.members import extract
    from penstock.snapshot.stored import archive_data, load, verify
    from penstock.snapshot.taking import lacking, take

_HOME_OF = {
    **dict.fromkeys(("archive_data", "load", "verify"), "stored"),
    **dict.fromkeys(("lacking", "take"), "taking"),
    "extract": "members",
}

__all__ = ["Archive", "Bundled", "Snapshot", "archive_data", "extract", "lacking", "load", "take", "verify"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
