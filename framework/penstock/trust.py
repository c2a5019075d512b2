"""Whose files are believed: what somebody else could have written decides nothing that happens as this user.

As git does in a folder of somebody else and OpenSSH with its files: what belongs to this user or to root is used,
unless everybody can write it or the folder that it lies in. `PENSTOCK_TRUST` names the exceptions, and is read from the
environment alone, because whatever else could say so is what is in doubt. What is trusted is read all the same: only
its owner writes, see `is_mine`. `docs/trust.md` says so to users.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from penstock import acls
from penstock.errors import ConfigInvalid
from penstock.trusted import advice, for_shell, listed

_LINKS = 40  # that are followed in a row, as by Linux
_warned: set[str] = set()


def distrust(path: Path, what: str, opened: int | None = None) -> str | None:
    """Why what lies at a path is not believed, in one line that says what to do; None when it is, or is not there.

    `what` says what it is. `opened` is an open file of it, which is then looked at in place of the path, so that nobody
    can put something else there in between. A link is held to the same as what it leads to, and so is each link on the
    way there. What a group, or somebody by an ACL, can write is warned of once, be it the folder. Raises OSError.
    """
    try:
        named, folder = os.lstat(path), path.parent.stat()
    except FileNotFoundError:
        if opened is not None:
            raise  # it was opened by a link, perhaps, which is gone before anybody saw whose it was
        return None
    if stat.S_ISLNK(named.st_mode):  # before what it leads to, which who made a link on the way could hide for a moment
        refusal = _distrust_link(path, named, what, opened)
        if refusal is not None:
            return refusal
    try:
        found = path.stat() if opened is None else os.fstat(opened)
    except FileNotFoundError:
        found = named  # a link to nothing; whoever made it may have reasons
    for one in (named, found):
        if one.st_uid not in (0, os.geteuid()):
            return _refusal(path, what, f"belongs to {acls.name_of(one.st_uid)}, not to you")
    if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):  # the modes of links and pipes say other things
        if found.st_mode & stat.S_IWOTH:
            return _refusal(path, what, "can be written by everybody", f"`chmod o-w {for_shell(path)}`, or ")
        _warn_of_writers(path, what, found, opened)
    if _is_open_to_all(folder):
        why = f"lies in `{path.parent}`, which everybody can write"
        return _refusal(path, what, why, f"`chmod o-w {for_shell(path.parent)}`, or ")
    _warn_of_folder(path.parent, what, folder)
    return None


def _distrust_link(path: Path, found: os.stat_result, what: str, opened: int | None) -> str | None:
    """Why it is not believed where a link leads: whose each link on the way and its end is, and where they lie.

    Links among the folders are not looked at, neither here nor in the path itself. Raises OSError.
    """
    place = path
    for _ in range(_LINKS):
        if found.st_uid not in (0, os.geteuid()):
            leads = f"leads to `{_real(place)}`, which " if place != path else ""
            return _refusal(path, what, f"{leads}belongs to {acls.name_of(found.st_uid)}, not to you")
        if not stat.S_ISLNK(found.st_mode) or _is_of_kernel(found):
            return None
        place = place.parent / os.readlink(place)  # noqa: PTH115  # as text, to be asked of a path that is joined
        if place.name == "..":
            place = Path(os.path.realpath(place))
        try:
            folder = place.parent.stat()
            if _is_open_to_all(folder):
                real = _real(place)
                why = f"leads to `{real}`, which lies in `{real.parent}`, which everybody can write"
                return _refusal(path, what, why, f"`chmod o-w {for_shell(real.parent)}`, or ")
            _warn_of_folder(place.parent, what, folder)
            found = os.lstat(place)
        except FileNotFoundError:
            if opened is not None:
                raise
            return None
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))


def _real(place: Path) -> Path:
    """A place under the name that its folder really has, but a link by its own."""
    return Path(os.path.realpath(place.parent)) / place.name


def _is_of_kernel(link: os.stat_result) -> bool:
    """Whether a link is one of /proc, as `/dev/stdin` leads to: it is an open file, and its text only describes it."""
    try:
        return link.st_dev == os.lstat("/proc/self").st_dev
    except FileNotFoundError:
        return False


def distrust_database(database: Path, what: str) -> str | None:
    """The same of a database that is there: of its folder, and of what lies beside it now. Raises OSError."""
    real = Path(os.path.realpath(database))
    try:
        owner = real.stat().st_uid
    except FileNotFoundError:
        return None
    return distrust_folder(real, what) or distrust_beside(real, what, owner)


def distrust_folder(database: Path, what: str) -> str | None:
    """Why no database is used or made in its folder: somebody else could lay files beside it.

    SQLite takes what lies beside a database for part of it, by its name alone. A sticky bit keeps only what is there.
    The folder is that of the file that a link leads to; that others can write there is warned of. Raises OSError.
    """
    database = Path(os.path.realpath(database))
    folder = database.parent
    try:
        found = folder.stat()
    except FileNotFoundError:
        return None
    if found.st_uid not in (0, os.geteuid()):
        why = f"belongs to {acls.name_of(found.st_uid)}"
    elif found.st_mode & stat.S_IWOTH:
        why = "everybody can write"
    else:
        _warn_of_writers(folder, f"the folder of {what}", found)
        return None
    if is_trusted(folder):
        return None
    return (
        f"{what} `{database}` lies in `{folder}`, which {why}: what somebody lays beside it would be taken for part of "
        f"it, so it is not used; put it into a folder of yours, or if you trust it, set {advice(folder)}"
    )


def distrust_beside(database: Path, what: str, owner: int) -> str | None:
    """Why a database is not opened, or what was read from it not believed: what lies beside it is somebody else's.

    `database` has no links in it, and `owner` is whose it is. To be asked before SQLite opens the file and again once
    it has, because what lies beside it may come in between. Raises OSError.
    """
    from penstock.drafts import SQLITE

    beside = str(database)
    for more in SQLITE:
        place = beside + more
        try:
            found = os.lstat(place)
        except FileNotFoundError:
            continue
        if found.st_uid not in (0, os.geteuid(), owner):
            why = f"belongs to {acls.name_of(found.st_uid)}, not to you"
        elif not stat.S_ISREG(found.st_mode):
            why = "is no regular file"
        elif found.st_mode & stat.S_IWOTH:
            why = "can be written by everybody"
        else:
            continue
        if not is_trusted(Path(place)):
            return (
                f"`{place}`, which would be taken for part of {what}, {why}, so {what} is not used; remove it unless "
                f"you know whose it is and why, or if you trust it, set {advice(database.parent)}"
            )
    return None


def distrust_place(path: Path, what: str) -> str | None:
    """Why something that is not there yet is not made at a path: its folder is somebody else's. Raises OSError."""
    for folder in path.parents:
        try:
            found = folder.stat()
        except FileNotFoundError:
            continue
        why, mend = "", ""
        if found.st_uid not in (0, os.geteuid()):
            why = f"belongs to {acls.name_of(found.st_uid)}"
        elif _is_open_to_all(found):
            why, mend = "everybody can write", f"`chmod o-w {for_shell(folder)}`, or "
        if not why or is_trusted(folder):
            return None
        return f"{what} `{path}` would lie in `{folder}`, which {why}; {mend}if you trust it, set {advice(folder)}"
    return None


def refuse_place(path: Path, what: str) -> None:
    """Raise ConfigInvalid `not_trusted` when something that is not there yet would lie in a folder of somebody else."""
    with contextlib.suppress(OSError):  # what cannot be looked at is told of by whoever needs it
        distrust = distrust_place(path, what)
        if distrust is not None:
            raise ConfigInvalid(distrust, code="not_trusted")


def _refusal(path: Path, what: str, why: str, mend: str = "") -> str | None:
    real = Path(os.path.realpath(path))  # where a link leads has to be trusted, not only where it lies
    if is_trusted(real):
        return None
    trusted = real if real.is_dir() else real.parent
    return f"{what} `{path}` {why}, so it is not used; {mend}if you trust it, set {advice(trusted)}"


def is_trusted(path: Path) -> bool:
    """Whether a path, all links followed, is or lies below what `PENSTOCK_TRUST` names."""
    named = listed()
    for one in named:
        if not os.path.isabs(one):  # noqa: PTH117  # the path is text
            _warn_of_relative(one)
    real = Path(os.path.realpath(path)) if named else path
    return any(os.path.isabs(one) and real.is_relative_to(os.path.realpath(one)) for one in named)  # noqa: PTH117  # the path is text


def leads_up(folder: Path, above: Path) -> bool:
    """Whether a search may go on from a folder to the one above: not where its owner changes to somebody else, nor
    where everybody can write. Raises OSError.
    """
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        return True
    found = above.stat()
    if found.st_uid in (owner, os.geteuid()) and not found.st_mode & stat.S_IWOTH:
        return True
    return is_trusted(above)


def is_mine(found: os.stat_result) -> bool:
    """Whether this user owns a file: only the owner writes, root does not either in what is another's."""
    return found.st_uid == os.geteuid()


def tell_guest(registry: Path, owner: int) -> None:
    """Say once that a workspace is another user's, in which this one changes nothing."""
    _warn(registry, f"`{registry}` belongs to {acls.name_of(owner)}; you read it, and change and follow nothing")


def guest_mode(database: Path) -> str:
    """The mode in a URI by which SQLite reads somebody else's database and makes nothing beside it.

    Raises FileNotFoundError when only its owner can: the log that a killed process left needs an index, which would
    be made.
    """
    index, log = (database.with_name(f"{database.name}-{more}") for more in ("shm", "wal"))
    if index.exists() and log.exists():
        return "ro&readonly_shm=1"
    if log.exists() and log.stat().st_size:
        raise FileNotFoundError(index)
    return "ro&immutable=1"


def _is_open_to_all(folder: os.stat_result) -> bool:
    """Whether everybody can put something else in the place of what lies in a folder."""
    return bool(folder.st_mode & stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX


def _warn_of_writers(path: Path, what: str, found: os.stat_result, opened: int | None = None) -> None:
    """Say once that others can write something: its group, unless that is just its owner's own, or whom an ACL names.

    The bits of the group are the most that an ACL lets anybody do, so without them none is read.
    """
    if not found.st_mode & stat.S_IWGRP or str(path) in _warned or is_trusted(path):
        return
    who = acls.writers_of(path if opened is None else opened, found)
    if who:
        line = f"{who} can write {what} `{path}`, and so decide what runs as you"
        _warn(path, f"{line}; `chmod g-w {for_shell(path)}` unless that is meant")


def _warn_of_folder(folder: Path, what: str, found: os.stat_result) -> None:
    """The same of the folder in which something lies, where they can put something else in its place."""
    if found.st_mode & stat.S_IWGRP and not found.st_mode & stat.S_ISVTX:
        _warn_of_writers(Path(os.path.realpath(folder)), f"the folder of {what}", found)


def _warn_of_relative(named: str) -> None:
    """Say once that a path is ignored which would be another one in every folder that somebody goes into."""
    meant = os.path.abspath(named)  # noqa: PTH100  # the path is text
    _warn(Path(named), f"PENSTOCK_TRUST names `{named}`, which is no absolute path and is ignored; write `{meant}`")


def _warn(path: Path, line: str) -> None:
    if str(path) not in _warned:
        import logging

        _warned.add(str(path))
        logging.getLogger("penstock").warning("warning: %s", line)
