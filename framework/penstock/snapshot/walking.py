"""The files of a folder that travel: rules applied, links followed inside the folder and refused out of it."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from pathlib import Path

from attrs import frozen

from penstock.snapshot.ignoring import ALWAYS, Rules, is_ignored, read_rules


class NotBundled(Exception):
    """Something that cannot travel, with a stable code."""

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


@frozen
class Found:
    """A file that travels: its path in the archive (NFC, with `/`) and where its bytes are, all links resolved."""

    path: str
    source: Path


@frozen
class _Folder:
    source: Path
    path: str
    above: frozenset[tuple[int, int]]
    rules: tuple[Rules, ...]


def files_in(root: Path, skip: Path) -> list[Found]:
    """The files below a folder (no links in its path), sorted by path. Empty folders do not travel.

    `skip` is a folder that is left out: the store, should it lie inside. Raises NotBundled.
    """
    found: dict[str, Found | None] = {}
    skipped = Path(os.path.realpath(skip))
    waiting = [_Folder(root, "", frozenset({_identity(root)}), ())]
    while waiting:
        folder = waiting.pop()
        try:
            rules = read_rules(folder.source, folder.path)
            entries = list(folder.source.iterdir())
        except OSError as error:
            raise unreadable(folder.path or ".", error) from None
        here = (*folder.rules, rules) if rules else folder.rules
        for entry in entries:
            if entry.name in ALWAYS or entry == skipped:
                continue
            path = folder.path + checked_name(entry.name, folder.path)
            is_folder = entry.is_dir()
            if is_ignored(here, path + "/" if is_folder else path):
                continue
            if path in found:
                raise NotBundled("name_clash", f"`{path}` is there twice, spelt in two Unicode forms")
            source = resolve_inside(entry, root, path)
            found[path] = None if is_folder else Found(path, source)
            if is_folder:
                identity = _identity(source)
                if identity in folder.above:
                    raise NotBundled("link_loop", f"the link `{path}` leads back to a folder that it is in")
                waiting.append(_Folder(source, path + "/", folder.above | {identity}, here))
    return [each for _, each in sorted(found.items()) if each is not None]


def resolve_inside(source: Path, root: Path, shown: str) -> Path:
    """The real path of something below `root`. Raises NotBundled when links lead out of it or nowhere."""
    try:
        real = Path(os.path.realpath(source, strict=True))
        mode = real.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotBundled("link_loop", f"the link `{shown}` leads to itself") from None
        if isinstance(error, FileNotFoundError) and source.is_symlink():
            raise NotBundled("link_broken", f"the link `{shown}` leads to nothing") from None
        raise unreadable(shown, error) from None
    if not real.is_relative_to(root):
        hint = "copy what it points to into the folder"
        raise NotBundled("link_outside_folder", f"the link `{shown}` leads out of {root}", hint)
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise NotBundled("file_special", f"`{shown}` is neither a file nor a folder")
    return real


def unreadable(shown: str, error: OSError) -> NotBundled:
    """What to say when the system refuses to read something."""
    why = (error.strerror or str(error)).lower()
    return NotBundled("file_unreadable", f"`{shown}` cannot be read: {why}")


def _identity(source: Path) -> tuple[int, int]:
    info = source.stat()
    return info.st_dev, info.st_ino


def checked_name(name: str, folder: str) -> str:
    """A name as it stands in archives, in NFC. Raises NotBundled for one that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        shown = folder + os.fsencode(name).decode("ascii", "backslashreplace")
        raise NotBundled("name_not_utf8", f"the name `{shown}` is not UTF-8 text", "rename it") from None
    return unicodedata.normalize("NFC", name)
