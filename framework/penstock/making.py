"""Making files and folders of a workspace that only their owner can write, whatever the umask lets others.

What somebody else could write would not be used, see `penstock.trust`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

_FOLDER, _FILE = 0o755, 0o644


def make_folder(folder: Path, mode: int = _FOLDER) -> None:
    """Make a folder where there is none, and those above it, which others may look into. Raises OSError."""
    try:
        folder.mkdir(mode=mode, exist_ok=True)
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        make_folder(folder.parent)  # by `parents=True` the umask alone would say who can write them
        folder.mkdir(mode=mode, exist_ok=True)


def open_to_write(path: Path, *, fresh: bool = False) -> BinaryIO:
    """A file to be filled, which others may read; `fresh` means that none may be there. Raises OSError."""
    more = os.O_EXCL if fresh else os.O_TRUNC
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | more, _FILE), "wb")
