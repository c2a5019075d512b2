"""Opening a registry file: on a local disk, made whole or not at all, migrated behind a copy, refused if not ours."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from penstock import trust
from penstock.errors import ConfigInvalid, RegistryError
from penstock.making import make_folder
from penstock.registry import schema
from penstock.registry.copying import (
    alone_in_turn,
    connect,
    connect_alone,
    connect_as_guest,
    connect_read_only,
    copy,
    new_file,
    not_writable,
    refuse_foreign_log,
    sync,
)
from penstock.registry.database import BACKUP_ID, Clock, Database, identity, is_backup
from penstock.registry.linked import is_linked, linked
from penstock.registry.network import refuse_network
from penstock.registry.troubles import refuse_broken_link, translated


def open_database(path: Path, *, create: bool, read_only: bool, clock: Clock) -> Database:
    """Open a registry file, making or migrating it as needed; another user's is only read.

    Raises RegistryError, and ConfigInvalid `not_trusted` when somebody else could lay, or has laid, files beside it.
    """
    path = path.absolute()
    try:
        _find(path, create=create and not read_only)
        owner = path.stat().st_uid
        mine = owner == os.geteuid()
        writable = mine and not read_only and os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
        real = Path(os.path.realpath(path))
    except OSError as error:
        raise not_writable(path, error) from None

    def refuse_planted() -> None:
        _refuse_planted(real, owner)

    def refuse_linked() -> None:
        try:
            found = is_linked(path)
        except OSError as error:
            raise not_writable(path, error) from None
        if found:
            raise linked(path)

    def admitted() -> sqlite3.Connection:
        try:
            return opened(None)
        except RegistryError as error:
            if not (mine and (read_only or writable) and error.code == "registry_disk_full"):
                raise
            return alone_in_turn(path, opened, error)

    def opened(full: RegistryError | None) -> sqlite3.Connection:
        connection: sqlite3.Connection
        try:
            before = identity(path)
            refuse_planted()
            refuse_foreign_log(path)
            if full is not None:
                connection = connect_alone(path, full)
            elif not mine:
                connection = connect_as_guest(path)
            else:
                connection = connect(path, "rw") if read_only or writable else connect_read_only(path)
        except OSError as error:
            raise not_writable(path, error) from None
        try:
            with translated(path):
                try:
                    applied = version_of(path, connection)
                finally:
                    # Who replaces it waits for whoever has read it, and lets in whoever waited for him; what that one
                    # read, or could not read, is of two files.
                    if identity(path) != before:
                        raise RegistryError(
                            f"{path}: the registry was replaced while it was opened; try again",
                            code="registry_replaced",
                        )
                refuse_planted()  # what it has opened by now is what was looked at
                if full is not None and applied < schema.latest():
                    raise full
                if applied < schema.latest():
                    refuse_linked()
                _admit(path, connection, applied, writable)
        except BaseException:
            connection.close()
            raise
        return connection

    return Database(
        path,
        admitted,
        refuse_planted,
        refuse_linked,
        read_only=not writable,
        clock=clock,
        owner=None if mine else owner,
    )


def _refuse_planted(real: Path, owner: int) -> None:
    """Raise ConfigInvalid `not_trusted` when SQLite would take, or has taken, a file of somebody else for its own."""
    with suppress(OSError):  # what cannot be looked at is told of by whoever needs it
        refuse(trust.distrust_beside(real, "the registry", owner))


def refuse(distrust: str | None) -> None:
    """Raise ConfigInvalid `not_trusted` with a reason, if there is one."""
    if distrust is not None:
        raise ConfigInvalid(distrust, code="not_trusted")


def _find(path: Path, *, create: bool) -> None:
    """See that there is a file worth opening, making it when it is missing."""
    refuse_network(path)
    # Asked first: a new registry's log can only appear after the file itself.
    stray_log = path.with_name(path.name + "-wal").exists()
    if not path.exists():
        refuse_broken_link(path)
        if not create:
            raise RegistryError(f"{path}: there is no registry", code="registry_missing")
        if stray_log:
            raise _corrupt(path, "the file is gone but its log `-wal` is still there")
        prepare_folder(path.parent)
        refuse(trust.distrust_folder(path, "the registry"))
        _make(path)
    if not path.is_file() or path.stat().st_size == 0:
        raise _corrupt(path, "it is empty" if path.is_file() else "it is not a file")
    if not os.access(path, os.R_OK):
        raise RegistryError(f"{path}: the registry cannot be read: permission denied")
    refuse(trust.distrust_folder(path, "the registry"))


def _admit(path: Path, connection: sqlite3.Connection, applied: int, writable: bool) -> None:
    """Let a file of a version that we know in, migrating an older one."""
    if applied < schema.latest():
        if not writable:
            raise RegistryError(
                f"{path}: the registry is of an older penstock (version {applied}) and cannot be migrated, "
                "because it cannot be written; open it once as a user who may write it",
                code="registry_read_only",
            )
        _migrate(path, connection)
    connection.execute("PRAGMA foreign_keys = ON")
    # What a savepoint may have to take back would be kept in a file, which takes longer than what it is kept for.
    connection.execute("PRAGMA temp_store = MEMORY")
    # Most pages change many times, and go from the log to the file once for each checkpoint: 16 MB of log, not 4.
    connection.execute("PRAGMA wal_autocheckpoint = 4000")
    if writable:
        connection.execute("PRAGMA synchronous = FULL")
        if not is_backup(connection):  # else it has no log until it is taken into use
            connection.execute("PRAGMA journal_mode = WAL")


def version_of(path: Path, connection: sqlite3.Connection) -> int:
    """The schema's version of a file that this penstock can read or migrate. Raises RegistryError."""
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    applied = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if owner not in (schema.APPLICATION_ID, BACKUP_ID):
        raise _corrupt(path, "it is a database of another program")
    if applied > schema.latest():
        raise RegistryError(
            f"{path}: the registry is of a newer penstock (version {applied}; this one knows {schema.latest()}); "
            "upgrade penstock",
            code="registry_newer",
        )
    if applied <= schema.DRAFTS:
        raise RegistryError(
            f"{path}: the registry is of a penstock from before the first release (version {applied}), which this one "
            "cannot read; move it away to start a new one",
            code="registry_older",
        )
    # Reads the whole schema, so that a file cut short is found before anything relies on it.
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return applied


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    """Apply the missing steps in one transaction, after a copy of the file as it was; closing rolls back."""
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")
    applied = version_of(path, connection)
    if applied < schema.latest():  # else another process was faster
        # The lock is held, so a second connection sees the last state before the migration.
        with closing(connect(path, "rw")) as reader:
            copy(reader, _free(path, applied))
        marked = is_backup(connection)
        schema.apply(connection)
        if marked:
            connection.execute(f"PRAGMA application_id = {BACKUP_ID}")
    connection.execute("COMMIT")


def _make(path: Path) -> None:
    """Make a new registry; a racing process may win, with the same."""
    with suppress(FileExistsError), new_file(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("BEGIN IMMEDIATE")
        schema.apply(connection)
        connection.execute("COMMIT")


def _free(path: Path, version: int) -> Path:
    """A name for the copy before a migration that no earlier copy has."""
    names = (f"{path.name}.v{version}{extra}.bak" for extra in ("", *(f".{n}" for n in range(1, 10_000))))
    return next(place for place in (path.with_name(name) for name in names) if not place.exists())


def _corrupt(path: Path, why: str) -> RegistryError:
    return RegistryError(
        f"{path}: not a registry file: {why}; restore a backup, or move it away to start a new one",
        code="registry_corrupt",
    )


def prepare_folder(folder: Path) -> None:
    """Make the state folder, private and ignored by git, when it is not there. Raises RegistryError."""
    if folder.is_dir():
        return
    try:
        make_folder(folder.parent)
        folder.mkdir(mode=0o700)
        sync(folder.parent)
        ignore = folder / ".gitignore"
        ignore.touch(mode=0o600)
        ignore.write_text("*\n", encoding="utf-8")
    except FileExistsError:
        if not folder.is_dir():
            raise RegistryError(f"{folder}: the registry's folder cannot be made: a file is in its place") from None
    except OSError as error:
        raise not_writable(folder, error) from None


def copied(state: Path) -> RegistryError:
    """The RegistryError for a registry that lies apart from its state, a folder that a workspace has before it decides,
    or for a backup that lies beside it.

    It is a copy, and what is decided in a copy is lost to the original, or comes alive when the copy is put back.
    """
    if state.is_dir():
        return RegistryError(
            "this registry is a backup, which is for looking; put it in the registry's place with "
            "`penstock registry restore`",
            code="registry_copied",
        )
    return RegistryError(
        f"this registry was copied here without its state ({state} is missing): it is for looking; what follows or "
        "changes something is for the original, or for the copy once it is back in its place",
        code="registry_copied",
    )
