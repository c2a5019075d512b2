"""Which files are a registry's: itself, what SQLite lays beside it, and the copies and drafts that we make there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from penstock.drafts import LINK, SQLITE
from penstock.registry.copying import draft_names


def own_files(registry: Path) -> Callable[[Path], bool]:
    """What says of a path, its folder without links, whether it is one of the registry's files; none need be there.

    They change with every decision, and without each other they are torn.
    """
    # SQLite and we work beside the file itself; a link to it is the registry by another name.
    places = {Path(os.path.realpath(registry.parent)) / registry.name, Path(os.path.realpath(registry))}
    known = [(os.fspath(place.parent), _names(place)) for place in places]

    def is_own(path: Path) -> bool:
        return any(names.fullmatch(path.name) and os.fspath(path.parent) == folder for folder, names in known)

    return is_own


def _names(path: Path) -> re.Pattern[str]:
    """The names of `restoring` for what was replaced, of `file` for what was migrated, and of their drafts."""
    kept = r"(\.replaced-\d{8}T\d{6}Z(\.\d+)?|\.v\d+(\.\d+)?\.bak)?"
    prefix, suffix = (re.escape(part) for part in draft_names(path))
    whole = f"{re.escape(path.name)}{kept}"
    draft = f"{prefix.removesuffix(re.escape('.'))}{kept}{re.escape('.')}[0-9a-f]+{suffix}"
    more = "|".join(map(re.escape, (*SQLITE, LINK)))
    return re.compile(f"({whole}|{draft})({more})?")
