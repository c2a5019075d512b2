"""Finding the configuration: the nearest file above a folder."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from penstock import trust
from penstock.config.model import located
from penstock.errors import UsageError

CONFIG_NAME = "penstock.yaml"


def find_config(start: Path) -> Path | None:
    """The nearest `penstock.yaml` in a folder or above it, or None; no folder of somebody else is searched above."""
    folder = located(here(), start)
    while not _is_there(file := folder / CONFIG_NAME):
        if folder == folder.parent or not _leads_up(folder):
            return None
        folder = folder.parent
    return file


def _is_there(file: Path) -> bool:
    """Whether something other than a folder has that name. One that cannot be read is told of, and not passed over."""
    try:
        return not stat.S_ISDIR(file.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def _leads_up(folder: Path) -> bool:
    try:
        return trust.leads_up(folder, folder.parent)
    except OSError:
        return False  # who may not even look at a folder believes nothing in it


def here() -> Path:
    """The current folder. Raises UsageError when it is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current folder does not exist any more: change to another one") from None
