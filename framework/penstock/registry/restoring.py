"""Putting a backup in a registry's place: checked first, alone with the file, the old registry kept beside it."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import sqlite3
import struct
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from penstock import drafts, log_mark, trust
from penstock.errors import RegistryError, UsageError
from penstock.registry import maintenance, schema
from penstock.registry.copying import (
    connect,
    connect_read_only,
    draft_names,
    has_log,
    not_writable,
    refuse_foreign_log,
    sync,
)
from penstock.registry.database import identity
from penstock.registry.file import prepare_folder, refuse, version_of
from penstock.registry.network import refuse_network
from penstock.registry.troubles import explain, translated, unwritable

_LOCKS = (0x40000000, 512)
"""Where SQLite's locks on a file begin and how many bytes they take: pending, reserved and shared ones."""

_held: dict[tuple[int, int], int] = {}
"""Files that somebody had open. Closing one takes away the locks that SQLite may have on it in this process."""


def restore(path: Path, backup: Path) -> Path | None:
    """Put a backup in a registry's place; answers where the old registry is now, None where there was none.

    Killed at any moment one of the two is there, whole. An older backup is migrated. Who could read the old registry
    can read this one, unless this user may not give it its group. Raises UsageError when the backup
    is the registry itself; RegistryError, with nothing changed: `registry_missing`, `registry_corrupt`,
    `registry_newer`, `registry_older` or `registry_log_foreign` of the backup, `registry_in_use` when anybody has the
    registry open, `registry_network_fs`, `registry_read_only`, `registry_not_owned`,
    `registry_disk_full`; ConfigInvalid `not_trusted` when somebody else could have written the backup, or could lay
    something beside the registry.
    """
    path, backup = Path(os.path.realpath(path)), backup.absolute()
    refuse_network(path)
    try:
        _check_places(path, backup)
        prepare_folder(path.parent)
        refuse(trust.distrust_folder(path, "the registry") or trust.distrust_database(path, "the registry"))
        with drafts.draft(path.parent, *draft_names(path)) as draft:
            _fill(draft, backup)
            sync(draft)
            if not path.exists():
                _clear(path, _kept_name(path))
                os.link(draft, path)
                sync(path.parent)
                return None
            damaged = _is_damaged(path)
            with _alone(path):
                drafts.keep_rights(draft, path)  # before it has the name, with which it is never more private
                kept = _keep(path, damaged)
                draft.replace(path)
                sync(path.parent)
                return kept
    except OSError as error:
        raise not_writable(path, error) from None


def _check_places(path: Path, backup: Path) -> None:
    if not backup.is_file():
        why = "it is not a file" if backup.exists() else "there is no such file"
        raise RegistryError(f"{backup}: no backup: {why}; nothing was changed", code="registry_missing")
    _refuse_strange(backup)
    if path.exists() and not path.is_file():
        raise RegistryError(f"{path}: the registry is not a file; move it away", code="registry_corrupt")
    for there, writers in ((path, (os.geteuid(),)), (path.parent, (os.geteuid(), 0))):
        if there.exists() and there.stat().st_uid not in writers:
            raise unwritable(path, there.stat().st_uid)
    if path.exists() and path.samefile(backup):
        raise UsageError(f"`{backup}` is the registry itself; name the backup that is to be put in its place")


def _refuse_strange(backup: Path) -> None:
    """Raise ConfigInvalid `not_trusted` when somebody else could have written a backup, or the log beside it.

    One without a log is read without looking for one, and may lie in `/tmp`.
    """
    refuse(trust.distrust(backup, "the backup"))
    if has_log(backup) or has_log(backup, "-journal"):
        refuse(trust.distrust_database(backup, "the backup"))


def _fill(draft: Path, backup: Path) -> None:
    """Copy a backup into a draft and see that it is whole. Raises RegistryError."""
    before = identity(backup)
    refuse_foreign_log(backup)
    if backup.stat().st_size == 0:
        raise _not_whole(backup, "it is empty")
    with closing(connect(draft, "rw")) as target:
        with _as_backup(backup), translated(backup), closing(connect_read_only(backup)) as source:
            version_of(backup, source)
            source.backup(target)
            _refuse_strange(backup)  # what was read by now is what was looked at
        if identity(backup) != before:
            raise _not_whole(backup, "it was replaced while it was read")
        with translated(draft):
            target.execute("PRAGMA journal_mode = WAL")
            target.execute("PRAGMA synchronous = FULL")
            target.execute("BEGIN IMMEDIATE")
            began = log_mark.first_page(target)
            target.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
            if version_of(draft, target) < schema.latest():
                schema.apply(target)
            else:  # else copies of what it was made from would go with its log
                log_mark.mark(target, began)
            target.execute("COMMIT")
            report = maintenance.check(target)
    if not report.ok:
        raise _not_whole(backup, "; ".join(report.lines[:3]))


@contextmanager
def _as_backup(backup: Path) -> Iterator[None]:
    """Say of a backup that cannot be read that nothing was changed: what to do with a registry is no help there."""
    try:
        yield
    except RegistryError as error:
        if error.code == "registry_older":
            raise RegistryError(
                f"{backup}: the backup is of a penstock from before the first release, which this one cannot read; "
                "nothing was changed, choose another",
                code=error.code,
            ) from error
        if error.code != "registry_corrupt":
            raise
        damage = error.__cause__
        why = str(damage) if isinstance(damage, sqlite3.Error) else "it is a database of another program"
        raise _not_whole(backup, why) from error


def _not_whole(backup: Path, why: str) -> RegistryError:
    return RegistryError(
        f"{backup}: not a whole backup: {why}; nothing was changed, choose another", code="registry_corrupt"
    )


def _is_damaged(path: Path) -> bool:
    """Whether a registry cannot be made to hold what its log holds; when it can, it does so now, and has no log."""
    try:
        refuse_foreign_log(path)
        with closing(connect(path, "rw")) as connection:
            connection.execute("PRAGMA busy_timeout = 0")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        explained = explain(path, error)
        if explained.code == "registry_busy":
            raise _in_use(path) from None
        if explained.code != "registry_corrupt":
            raise explained from None
        return True
    except RegistryError as error:
        if error.code != "registry_log_foreign":
            raise
        return True
    return False


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold all of SQLite's locks on a file, so that nobody has it open. Raises RegistryError `registry_in_use`."""
    found = path.stat()
    key = found.st_dev, found.st_ino
    handle = _held.pop(key, None)
    if handle is None:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    start, length = _LOCKS
    # A lock of the open file, not of the process: SQLite in this process is asked as well.
    lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, start, length, 0)
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, lock)
    except OSError as error:
        _held[key] = handle
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise _in_use(path) from None
        raise
    try:
        if not os.path.samestat(os.fstat(handle), path.stat()):
            raise _in_use(path)
        yield
    finally:
        os.close(handle)


def _in_use(path: Path) -> RegistryError:
    return RegistryError(
        f"{path}: somebody has the registry open (`penstock serve`, `penstock dispatch` or another command); nothing "
        "was changed, end it and try again",
        code="registry_in_use",
    )


def _keep(path: Path, damaged: bool) -> Path:
    """Give the old registry a second name, and see that its log is not beside it any more."""
    if not damaged and has_log(path):  # somebody came and died meanwhile
        raise _in_use(path)
    for left in path.parent.glob(f"{glob.escape(path.name)}.replaced-*"):
        if left.samefile(path):  # of a restore that was killed before it replaced anything
            left.unlink()
    kept = _kept_name(path)
    os.link(path, kept)
    _clear(path, kept)
    sync(path.parent)
    return kept


def _clear(path: Path, kept: Path) -> None:
    """Take away what lies beside a registry that is no part of it; a log goes with the file that is kept."""
    for more in drafts.SQLITE:
        beside = path.with_name(path.name + more)
        if more != "-shm" and has_log(path, more):
            beside.rename(kept.with_name(kept.name + more))
        else:
            beside.unlink(missing_ok=True)


def _kept_name(path: Path) -> Path:
    """A name that says when, which nothing has."""
    stem = f"{path.name}.replaced-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"
    names = (path.with_name(stem + extra) for extra in ("", *(f".{n}" for n in range(1, 10_000))))
    return next(name for name in names if not any(Path(f"{name}{more}").exists() for more in ("", *drafts.SQLITE)))
