"""Whether a registry's file has another name, as after `cp -al`: SQLite keeps the log of each name apart."""

from __future__ import annotations

import glob
import os
from pathlib import Path

from penstock.errors import RegistryError
from penstock.registry.copying import draft_names


def is_linked(path: Path) -> bool:
    """Whether somebody may have the file of a registry by another name; one that is gone has none. Raises OSError."""
    try:
        found = os.stat(path)  # noqa: PTH116  # every decision asks, and `Path.stat` takes longer
    except FileNotFoundError:  # said by who looks whether it is in its place
        return False
    return found.st_nlink > 1 and found.st_nlink - 1 > _ours(Path(os.path.realpath(path)), found)


def _ours(real: Path, found: os.stat_result) -> int:
    """How many names lie beside a file that makers and restorers gave it for a moment, or were killed before they took
    away: nobody has it open by those.
    """
    prefix, suffix = (glob.escape(part) for part in draft_names(real))
    patterns = f"{prefix}*{suffix}", f"{glob.escape(real.name)}.replaced-*"
    return sum(_is_same(name, found) for pattern in patterns for name in real.parent.glob(pattern))


def _is_same(name: Path, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(name.lstat(), found)
    except FileNotFoundError:
        return False


def linked(path: Path) -> RegistryError:
    """The RegistryError for whoever would write to such a registry."""
    return RegistryError(
        f"{path}: the registry's file has another name as well (`cp -al` makes such copies), and writing by two names "
        "ruins it, so it is for looking; remove the copy, and make another with `cp -a`",
        code="registry_linked",
    )
