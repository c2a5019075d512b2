"""Files and folders of a root that anybody can make anew: what is something else in their place gives way to them.

Only what nobody misses is opened or made in this way. Elsewhere what lies in a file's place is an error. A link is
something else, too: what lies behind it is not ours to fill or to empty.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from penstock.opening import SWAPPED, open_file, open_folder
from penstock_local import removal

_UNTOUCHED = stat.S_IFDIR | 0o700
_LARGEST = 1 << 24
"""Bytes of a file that a folder of small ones may have."""


def open_ours(path: Path, flags: int) -> int:
    """Open a regular file as `opening.open_file` does, where something else lies once that is gone. Raises OSError."""
    try:
        return open_file(path, flags)
    except OSError as error:
        if error.errno not in SWAPPED:
            raise
    removal.remove(os.fspath(path))
    return open_file(path, flags)


def make_folder(path: Path) -> None:
    """See to it that a private folder is there, and no link in its place. Raises OSError."""
    try:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            return
        removal.remove(os.fspath(path))
    except FileNotFoundError:
        pass
    try:
        path.mkdir(0o700)
    except FileExistsError:  # somebody else has just made it
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise


def is_untouched(path: str) -> bool:
    """Whether a private folder is there, and nothing in it."""
    try:
        return os.lstat(path).st_mode & ~stat.S_ISGID == _UNTOUCHED and not os.listdir(path)  # noqa: PTH208  # the path is text
    except OSError:
        return False


def open_made(path: Path, below: Path) -> int:
    """Open a folder below another one, by no link, and make it private where it is not there; the caller closes it.

    So it is with the folders between them: `mkdir(parents=True)` would open those to everybody. Raises OSError.
    """
    try:
        return open_folder(path, below=below)
    except FileNotFoundError:
        if path == below:
            raise
    above = open_made(path.parent, below)
    try:
        with contextlib.suppress(FileExistsError):
            os.mkdir(path.name, 0o700, dir_fd=above)  # `Path` takes no handle
    finally:
        os.close(above)
    return open_folder(path, below=below)


def small_files(folder: Path) -> Iterator[Path]:
    """What lies in a folder of small files; anything else in it is no word of ours, and goes. Raises OSError.

    The folder may be given by a link of the system's to an open one.
    """
    for path in sorted(folder.iterdir()):
        try:
            found = os.lstat(path)
        except FileNotFoundError:  # it has just gone
            continue
        if stat.S_ISREG(found.st_mode) and found.st_size <= _LARGEST:
            yield path
        else:
            removal.remove(os.fspath(path))


def refuse_others(*files: Path) -> None:
    """Raise OSError where something other than a regular file lies in the place of one. They are not opened."""
    for path in files:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(found.st_mode):
            what = "it is a link" if stat.S_ISLNK(found.st_mode) else "it is no regular file"
            raise OSError(SWAPPED[2], what, os.fspath(path))
