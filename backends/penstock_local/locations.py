"""What a `file` or `directory` parameter may point at on this machine."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from penstock.contract.target import Location, Problem
from penstock_local.machine import scheme_of


def resolve(location: Location, data_roots: Sequence[Path], target: str) -> str | Problem:
    """The absolute path that steps will read, or why not.

    A caller on this machine may name any path, relative to its folder. Everybody else only absolute paths
    below the `data_roots` of the target, links followed, and is not told what else exists.
    """
    scheme = scheme_of(location.text)
    if scheme not in ("", "file"):
        return _problem(location, "location_unsupported", "this target reads paths and file:// only")
    try:
        path = _path_of_uri(location.text) if scheme else Path(location.text)
        if location.base is None:
            if not _is_below(path, data_roots):
                roots = ", ".join(f"`{root}`" for root in data_roots) or "none yet"
                key = f"`targets.{target}.data_roots` of penstock.yaml"
                why = f"callers from elsewhere may name only what lies below the folders in {key}: {roots}"
                return _problem(location, "location_refused", why)
            path = path.resolve()
        else:
            path = location.base.absolute() / path
        return _checked(location, path)
    except (OSError, ValueError, RuntimeError):
        return _problem(location, "file_not_found", f"no such {location.type} on this machine")


def _is_below(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a path lies below one of some folders, links followed; what cannot be followed does not."""
    try:
        return path.is_absolute() and any(path.resolve().is_relative_to(Path(root).resolve()) for root in roots)
    except (OSError, RuntimeError):
        return False


def _path_of_uri(text: str) -> Path:
    parts = urlsplit(text)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
        raise ValueError("not a file of this machine")
    return Path(unquote(parts.path, errors="surrogateescape"))


def _checked(location: Location, path: Path) -> str | Problem:
    mode = path.stat().st_mode
    if location.type == "directory" and not stat.S_ISDIR(mode):
        return _problem(location, "not_a_folder", "a directory is expected, and this is none")
    if location.type == "file" and not stat.S_ISREG(mode):
        return _problem(location, "not_a_file", "a file is expected, and this is none")
    if not os.access(path, os.R_OK):
        return _problem(location, "file_unreadable", "it cannot be read by this user")
    return str(path)


def _problem(location: Location, code: str, why: str) -> Problem:
    shown = location.text if location.text.isprintable() else ascii(location.text)
    return Problem(severity="error", code=code, message=f"`{shown}`: {why}", path=("parameters", location.parameter))
