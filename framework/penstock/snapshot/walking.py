"""What travels of a folder: rules applied, links followed inside the folder and refused out of it."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

from attrs import frozen

from penstock.opening import SWAPPED, end_of
from penstock.snapshot.ignoring import ALWAYS, Ignoring, Rules, is_cache, is_home, read_rules, rules_above
from penstock.snapshot.refused import NotBundled, text_of, unreadable
from penstock.text import name_text

_LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@frozen
class Found:
    """A file that travels, or an empty folder, which has no `source`.

    `path` is that in the archive, as it is on disk, with `/`; `source` is where its bytes are, all links resolved, and
    `size` how many.
    """

    path: str
    source: Path | None
    size: int = 0


@frozen
class Contents:
    """What travels of a folder, in the order of the paths' NFC, and what stays at home; folders end in `/` there."""

    found: tuple[Found, ...]
    left: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all that travels."""
        return sum(each.size for each in self.found)


@frozen
class _Folder:
    """One to be looked at: where it really is, what it was there, and those that it is in, itself among them."""

    source: Path
    path: str
    identity: tuple[int, int]
    above: frozenset[tuple[int, int]]
    rules: tuple[Rules, ...]


def nothing(_: Path) -> bool:
    """Of no path that it stays at home."""
    return False


def files_in(
    root: Path, skip: Path | None, *, top: Path | None = None, stays: Callable[[Path], bool] = nothing
) -> Contents:
    """What is in a folder (no links in its path). Empty folders travel.

    Ignore rules are for code: `top` is the folder from which they count; without it, only `.git` and what is
    our own stay at home: state, folders of targets, and the files that `stays` knows. `skip` is a folder that is left
    out: the store, should it lie inside. Raises NotBundled.
    """
    base = "" if top is None or top == root else f"{name_text(root.relative_to(top).as_posix())}/"
    walk = _Walk(root, None if skip is None else Path(os.path.realpath(skip)), base, stays, is_code=top is not None)
    above = () if top is None else rules_above(top, root)
    identity = _identity(root.stat())
    waiting = [_Folder(root, "", identity, frozenset({identity}), above)]
    while waiting:
        waiting += walk.look(waiting.pop())
    return walk.contents()


class _Walk:
    """One walk through a folder; paths that rules look at begin with `base`."""

    def __init__(
        self, root: Path, skip: Path | None, base: str, stays: Callable[[Path], bool], *, is_code: bool
    ) -> None:
        self._root = root
        self._skip = skip
        self._longest = os.pathconf(root, "PC_PATH_MAX")
        self._base = base
        self._stays = stays
        self._is_code = is_code
        self._ignoring = Ignoring()
        self._found: dict[str, Found | None] = {}
        self._left: list[tuple[bool, str]] = []
        self._bare: list[tuple[str, bool]] = []

    def look(self, folder: _Folder) -> Iterator[_Folder]:
        """Note what travels of a folder and what does not; the folders in it that are to be looked at."""
        rules = read_rules(folder.source, self._base + folder.path) if self._is_code else None
        entries = self._entries(folder)
        here = (*folder.rules, rules) if rules else folder.rules
        # A folder in which rules alone left nothing is still one to write to; one with a cache alone is a left-over.
        bare = not entries
        for entry, known in entries:
            name = name_text(entry.name)
            path, is_folder = folder.path + name, _is_folder(entry, known)
            ruled = f"{path}/" if is_folder else path
            if entry.name in ALWAYS or (self._is_code and is_folder is not False and is_cache(entry)):
                self._left.append((True, text_of(ruled)))
                continue
            if self._ignoring.decide(here, self._base + ruled):
                self._left.append((False, text_of(ruled)))
                bare = True
                continue
            if self._is_own(entry, known, is_folder):
                self._left.append((True, text_of(ruled)))
                continue
            checked_name(name, folder.path)
            source, status = self._add(entry, known, path)
            if stat.S_ISDIR(status.st_mode):
                identity = _identity(status)
                if identity in folder.above:
                    raise NotBundled("link_loop", f"the link `{path}` leads back to a folder that it is in")
                yield _Folder(source, f"{path}/", identity, folder.above | {identity}, here)
        self._bare.append((folder.path, bare))

    def _entries(self, folder: _Folder) -> list[tuple[Path, os.stat_result | None]]:
        """What lies in a folder, and what the system knows of each, of a link itself; None where it says nothing.

        The folder is where it was found, all links resolved, and so is what is no link in it, unless another one took
        its place by now: that is not looked into.
        """
        try:
            handle = os.open(folder.source, _LISTED)
            try:
                if _identity(os.fstat(handle)) != folder.identity:
                    raise _changed(folder.path)
                with os.scandir(handle) as listed:
                    named = [(folder.source / one.name, _status(one)) for one in listed]
            finally:
                os.close(handle)
        except OSError as error:
            if error.errno in SWAPPED:
                raise _changed(folder.path) from None
            raise unreadable(folder.path or ".", error, self._instead(folder.path)) from None
        skip = self._skip if self._skip is not None and folder.source == self._skip.parent else None
        return named if skip is None else [one for one in named if one[0] != skip]

    def _is_own(self, entry: Path, known: os.stat_result | None, is_folder: bool | None) -> bool:
        """Whether something is ours, which changes while we work and is torn when it is copied."""
        if is_folder:
            return is_home(entry)
        return self._stays(entry) or (known is not None and _is_link(known) and self._stays(_end_of(entry)))

    def _instead(self, path: str) -> str:
        """What to do about a folder that cannot be looked into."""
        return "name it in `.gitignore`" if self._is_code and path else ""

    def _add(self, entry: Path, known: os.stat_result | None, path: str) -> tuple[Path, os.stat_result]:
        normal = unicodedata.normalize("NFC", path)
        if normal in self._found:
            raise NotBundled("name_clash", f"`{path}` is there twice, spelt in two Unicode forms")
        if known is None or _is_link(known) or len(os.fsencode(entry)) >= self._longest:
            source, status = resolve_inside(entry, self._root, path, ignorable=self._is_code)
        else:
            source, status = entry, checked_kind(known, path, ignorable=self._is_code)
        self._found[normal] = None if stat.S_ISDIR(status.st_mode) else Found(path, source, status.st_size)
        return source, status

    def contents(self) -> Contents:
        """What was found, with the folders in which nothing that travels lies."""
        found = {normal: each for normal, each in self._found.items() if each is not None}
        full = {_parent(each.path) for each in found.values()}
        for path, bare in reversed(self._bare):  # what is in a folder comes before it
            if path and (bare or path in full):
                if path not in full:
                    name = path.removesuffix("/")
                    found[unicodedata.normalize("NFC", name)] = Found(name, None)
                full.add(_parent(path.removesuffix("/")))
        # What a rule names is told first: that caches stay is no news.
        left = tuple(path for _, path in sorted(self._left))
        return Contents(tuple(each for _, each in sorted(found.items())), left)


def _parent(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _is_link(status: os.stat_result) -> bool:
    return stat.S_ISLNK(status.st_mode)


def _end_of(link: Path) -> Path:
    """Where a link leads, or would if something were there."""
    try:
        return end_of(link)[0]
    except OSError:
        return Path(os.path.realpath(link))


def _changed(path: str) -> NotBundled:
    return NotBundled("file_changed", f"`{path or '.'}` became something else while it was read", "try again")


def _is_folder(entry: Path, known: os.stat_result | None) -> bool | None:
    """Whether something is a folder, or a link to one; None for a link to nothing, or into what we may not look into.

    Rules take that for no folder, as git does all links.
    """
    try:
        return stat.S_ISDIR((known if known is not None and not _is_link(known) else entry.stat()).st_mode)
    except OSError:
        return None


def resolve_inside(source: Path, root: Path, shown: str, *, ignorable: bool = False) -> tuple[Path, os.stat_result]:
    """The real path of something below `root`, and what the system knows of it.

    Raises NotBundled when links lead out of `root` or nowhere.

    What is `ignorable` may be named in a `.gitignore`.
    """
    instead = ", or name the link in `.gitignore`" if ignorable else ""
    try:
        real, status = end_of(source)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotBundled("link_loop", f"the link `{shown}` leads to itself") from None
        if isinstance(error, FileNotFoundError) and source.is_symlink():
            raise NotBundled("link_broken", f"the link `{shown}` leads to nothing", f"remove it{instead}") from None
        raise unreadable(shown, error, "name it in `.gitignore`" if ignorable else "") from None
    if not real.is_relative_to(root):
        hint = f"copy what it points to into the folder{instead}"
        raise NotBundled("link_outside_folder", f"the link `{shown}` leads out of {root}", hint)
    return real, checked_kind(status, shown, ignorable=ignorable)


def checked_kind(status: os.stat_result, shown: str, *, ignorable: bool) -> os.stat_result:
    """What is known of a file or folder. Raises NotBundled for anything else."""
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        hint = f"move it out of the folder{', or name it in `.gitignore`' if ignorable else ''}"
        raise NotBundled("file_special", f"`{shown}` is neither a file nor a folder", hint)
    return status


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def checked_name(name: str, folder: str) -> str:
    """A name as it stands on disk and in archives. Raises NotBundled for one that is not UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        message = f"the name `{text_of(folder + name)}` is not UTF-8 text"
        raise NotBundled("name_not_utf8", message, "rename it") from None
    return name
