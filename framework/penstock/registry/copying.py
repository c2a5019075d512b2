"""Whole copies: connections to a registry file, databases that get their name once full, and the mark of a backup."""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

from penstock import drafts, locks, log_mark, trust
from penstock.errors import Conflict, RegistryError, UsageError
from penstock.machine import lacks_inodes
from penstock.registry import maintenance
from penstock.registry.database import BACKUP_ID, is_backup
from penstock.registry.troubles import BUSY_SECONDS, Alone, busy, limited, translated

_NEW = ".new"
"""How the name of a draft ends."""

_BEGINS = b"SQLite format 3\0"
"""How a database begins."""

_TOLD = 3
"""How much of what is wrong the line of an error holds."""


def copy(connection: sqlite3.Connection, destination: Path) -> None:
    """Write a consistent copy of an open registry, whole or not at all, readable by its owner only.

    It is marked as a backup, and has no log as long as it is marked. Others may write meanwhile. Raises Conflict when
    the destination exists, RegistryError when it cannot be written.
    """
    _copy(connection, destination, lambda _: None)


def copy_whole(path: Path, connection: sqlite3.Connection, destination: Path) -> None:
    """The same of a registry of this version, its file `path`, whose copy is checked as `restore` does before it gets
    its name. Raises RegistryError `registry_corrupt` when it could not be restored, UsageError, Conflict.
    """

    def check(target: sqlite3.Connection) -> None:
        report = maintenance.check(target)
        if not report.ok:
            raise _damaged(path, report.lines)

    try:
        _copy(connection, destination, check)
    except RegistryError as error:
        if error.code == "registry_corrupt" and error.__cause__ is not None:  # so much that it cannot be copied
            raise _damaged(path, (str(error.__cause__),)) from error
        raise


def _damaged(path: Path, lines: tuple[str, ...]) -> RegistryError:
    more = f"; and {len(lines) - _TOLD} more" if len(lines) > _TOLD else ""
    return RegistryError(
        f"{path}: the registry is damaged, so there is no backup of it: {'; '.join(lines[:_TOLD])}{more}; keep the "
        "earlier ones, `penstock registry restore FILE` puts one in its place",
        code="registry_corrupt",
    )


def _copy(connection: sqlite3.Connection, destination: Path, check: Callable[[sqlite3.Connection], None]) -> None:
    destination = destination.absolute()
    if not os.path.isdir(destination.parent):  # noqa: PTH112  # also false for what no system takes as a name
        raise UsageError(f"`{destination.parent}` is no folder, so no backup can be written there; make it first")
    try:
        with new_file(destination) as target:
            connection.backup(target)
            target.execute("PRAGMA journal_mode = DELETE")
            target.execute(f"PRAGMA application_id = {BACKUP_ID}")
            check(target)
    except FileExistsError:
        raise Conflict(f"{destination} exists already; a backup overwrites nothing", code="file_exists") from None


@contextmanager
def new_file(path: Path) -> Iterator[sqlite3.Connection]:
    """A database to fill that gets its name in one step, durably, once it is full. Private to its owner.

    Raises FileExistsError when something has that name, RegistryError.
    """
    if os.path.lexists(path):
        raise FileExistsError(path)
    drafts.sweep(path.parent, ".", _NEW, _BEGINS)  # of other names: each backup has one of its own
    try:
        with drafts.draft(path.parent, *draft_names(path)) as draft:
            with translated(path), closing(connect(draft, "rw")) as connection:
                yield connection
            sync(draft)
            os.link(draft, path)  # unlike a rename, never replaces what came to be there meanwhile
            sync(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise not_writable(path, error) from None


def draft_names(path: Path) -> tuple[str, str]:
    """How the names of the drafts of a database begin and end."""
    return f".{path.name}.", _NEW


def connect(path: Path, mode: str, kind: type[sqlite3.Connection] = sqlite3.Connection) -> sqlite3.Connection:
    """A connection in one of SQLite's modes. Raises RegistryError."""
    with translated(path):
        connection = sqlite3.connect(
            f"{path.as_uri()}?mode={mode}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            factory=kind,
        )
    connection.row_factory = sqlite3.Row
    return connection


def connect_read_only(path: Path) -> sqlite3.Connection:
    """Read a file that cannot be written: with its log when there is one, else as a file that stays as it is."""
    return connect(path, "ro" if has_log(path) or has_log(path, "-journal") else "ro&immutable=1")


def connect_alone(path: Path, why: RegistryError) -> Alone:
    """Read a file on a disk that is full, see `Alone`, waiting a moment for who has it open. See `alone_in_turn`.

    Where not even an empty log can be made beside it, for want of inodes, it is read as it is, for nobody else can make
    one: whoever has it open has one already.
    """
    still = not any(os.path.lexists(f"{os.path.realpath(path)}-{end}") for end in ("wal", "journal"))
    connection = connect(path, "ro&immutable=1" if still and lacks_inodes(path.parent) else "rw", Alone)
    assert isinstance(connection, Alone)
    connection.why = why
    connection.execute("PRAGMA busy_timeout = 250")
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # before it reads anything: see SQLite's page on its log
    return connection


def alone_in_turn(
    path: Path, opened: Callable[[RegistryError | None], sqlite3.Connection], full: RegistryError
) -> sqlite3.Connection:
    """What `opened` opens alone, because the disk is `full`, or with others who came to share an index meanwhile.

    Those who want to be alone take turns: each of them keeps a lock that the others have to wait for, while it waits.
    Raises RegistryError.
    """
    turn = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        deadline = time.monotonic() + BUSY_SECONDS
        if not locks.take(turn, exclusive=True, seconds=BUSY_SECONDS):
            raise busy(path)
        while True:
            try:
                connection = opened(full)
            except RegistryError as error:
                if error.code != "registry_busy" or time.monotonic() > deadline:
                    raise
            else:
                assert isinstance(connection, Alone)
                connection.turn, turn = turn, -1
                return connection
            with suppress(RegistryError):
                return opened(None)
    finally:
        if turn >= 0:
            os.close(turn)


def connect_as_guest(path: Path) -> sqlite3.Connection:
    """Read a file of another user, beside which nothing may be made. Raises RegistryError."""
    try:
        return connect(path, trust.guest_mode(path))
    except FileNotFoundError:
        raise RegistryError(
            f"{path}: a process that died left a log, which only the owner can take in; let the owner open it once",
            code="registry_not_owned",
        ) from None


def has_log(path: Path, suffix: str = "-wal") -> bool:
    """Whether a log with something in it lies beside a file. Raises OSError."""
    try:
        return path.with_name(path.name + suffix).stat().st_size > 0
    except FileNotFoundError:
        return False


def refuse_foreign_log(path: Path) -> None:
    """Raise RegistryError `registry_log_foreign` when the log beside a file belongs to another, over which a copy was
    put: a backup never had one itself, and any other copy does not fit it, see `log_mark`. Raises OSError.
    """
    log = Path(f"{os.path.realpath(path)}-wal")  # SQLite keeps it beside the file, not beside a link to that
    # In this order: who takes a backup into use removes the mark before there is a log.
    if not has_log(log, ""):
        return
    # Not by `open`: closing a file takes away the locks that SQLite has on it in this process.
    without_log = partial(connect, path, "ro&immutable=1")
    try:
        with closing(without_log()) as connection:
            marked = is_backup(connection)
        foreign = marked or log_mark.is_foreign(without_log, log)
    except (sqlite3.Error, FileNotFoundError):
        return  # what is wrong with it is said by whoever opens it
    if foreign:
        this = "this is a backup, and" if marked else "this is not the file that was written here last:"
        raise RegistryError(
            f"{path}: {this} the log {log.name} beside it belongs to another file, which it was copied over; nothing "
            f"was changed. Put a backup in place with `penstock registry restore FILE`, or move {log.name} and "
            f"{log.name.removesuffix('-wal')}-shm away to go on with what the {'backup' if marked else 'copy'} holds",
            code="registry_log_foreign",
        )


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, survive power loss. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def not_writable(path: Path, error: OSError) -> RegistryError:
    """The RegistryError for a file or folder that could not be written."""
    if error.errno == errno.EFBIG:
        return limited(path)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return RegistryError(f"{path}: the disk is full; make room and try again", code="registry_disk_full")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        reason = "the file system is read-only" if error.errno == errno.EROFS else "permission denied"
        return RegistryError(f"{path}: no access to write the registry: {reason}", code="registry_read_only")
    return RegistryError(f"{path}: the registry cannot be used: {error.strerror or error}")
