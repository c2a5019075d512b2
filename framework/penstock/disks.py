"""What a file system says of the room that it has."""

from __future__ import annotations

import os
from pathlib import Path


def lacks_inodes(folder: Path) -> bool:
    """Whether no file can be made on the disk of a folder, which counts its inodes and has none left.

    False where that is not known.
    """
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_files > 0 and disk.f_favail == 0  # one that does not count them has zero of them in all
