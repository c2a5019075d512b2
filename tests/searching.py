"""Looking for something in a folder in which others work: what goes away meanwhile is not there."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path


def files(folder: Path) -> Iterator[Path]:
    """Every regular file below a folder; no link is followed, and no pipe is waited for."""
    yield from (path for path, mode in modes(folder) if stat.S_ISREG(mode))


def modes(folder: Path) -> Iterator[tuple[Path, int]]:
    """Everything below a folder, with its mode; no link is followed."""
    for where, folders, names in os.walk(folder):
        for path in (Path(where, name) for name in (*folders, *names)):
            try:
                yield path, path.lstat().st_mode
            except FileNotFoundError:
                continue


def holders(folder: Path, *marks: str | bytes) -> list[Path]:
    """The files below a folder in which one of the marks is."""
    sought = [mark.encode() if isinstance(mark, str) else mark for mark in marks]
    found = []
    for path in files(folder):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        if any(mark in data for mark in sought):
            found.append(path)
    return found
