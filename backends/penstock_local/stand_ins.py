"""The names `python` and `python3` for an interpreter in whose own folder they mean another one, or nothing.

A small folder in the root stands first in a step's PATH then. In it lie scripts and no links: a link elsewhere would
take an interpreter out of its virtual environment, which is looked for beside the path that it was called by.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import os
import shlex
import stat
import threading
import time
from pathlib import Path

from penstock.drafts import draft
from penstock.opening import open_file
from penstock_local import interpreters, places, removal
from penstock_local.layout import DRAFTS, Layout

_NAMES = ("python", "python3")
_MODE = 0o500
_MAKING = threading.Lock()
"""What is being written cannot be started: nobody gets it before that is over."""


def search_path(layout: Layout, python: str) -> str:
    """The PATH of a step that is to find an interpreter as `python` and `python3`. Safe in any thread. Raises OSError.

    What lies in the root is seen to at every call: a step may have put something else there. It is called again when a
    step starts that was prepared ahead.
    """
    plain = interpreters.search_path(python)
    folder, _ = os.path.split(python)
    if os.pathsep not in folder:
        if _has_names(folder, python, int(time.monotonic())):
            return plain
    else:
        plain = interpreters.STANDARD_PATH
    return f"{_made(layout, python)}{os.pathsep}{plain}"


@functools.lru_cache(maxsize=8)
def _has_names(folder: str, python: str, second: int) -> bool:
    """Whether the names lead to the interpreter in its own folder. Every step asks, and is told what was so in this
    `second`.
    """
    try:
        found = os.stat(python)  # noqa: PTH116  # the path is text
        others = [path for name in _NAMES if (path := f"{folder}/{name}") != python]
        same = all(os.path.samestat(os.stat(path), found) for path in others)  # noqa: PTH116  # the paths are text
    except OSError:
        return False
    return same and _is_one(python, found.st_ino, found.st_mtime_ns)


@functools.cache
def _is_one(python: str, inode: int, changed: int) -> bool:
    """Whether it is the same program whatever name it is called by, as those that choose a version are not."""
    return Path(python).resolve().name.startswith(("py", "Py"))


def _made(layout: Layout, python: str) -> Path:
    """The folder of scripts for an interpreter."""
    folder = layout.interpreters / hashlib.sha256(os.fsencode(python)).hexdigest()[:16]
    if os.pathsep in os.fspath(folder):
        raise OSError(
            f"the folder of `{python}` has no `python` and `python3` for it, and those that penstock makes cannot be "
            f"found below `{layout.root}`, whose path has a `:`; give the target another `root` or another `python`"
        )
    content = b"#!/bin/sh\nexec " + os.fsencode(shlex.quote(python)) + b' "$@"\n'
    with _MAKING:
        lacking = [name for name in _NAMES if not _is_whole(layout, folder / name, content)]
        if lacking:
            places.make_folder(layout.interpreters)
            places.make_folder(folder)
        for name in lacking:
            _write(folder / name, content)
    if os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise OSError(
            f"the folder of `{python}` has no `python` and `python3` for it, and those that penstock makes cannot be "
            f"started below `{layout.root}`, which is mounted `noexec`; give the target another `root` or `python`"
        )
    return folder


def _is_whole(layout: Layout, path: Path, content: bytes) -> bool:
    try:
        with os.fdopen(open_file(path, below=layout.root), "rb", buffering=0) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            return mode == _MODE and file.read(len(content) + 1) == content
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            raise
        return False


def _write(path: Path, content: bytes) -> None:
    """Put a script in its place, whole, over whatever lies there."""
    with draft(path.parent, *DRAFTS) as place:
        place.write_bytes(content)
        place.chmod(_MODE)
        if path.is_dir() and not path.is_symlink():
            removal.remove(os.fspath(path))
        place.replace(path)
