"""What SQLite says against a registry file, in our words."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import sqlite3
from pathlib import Path

from attrs import frozen

from penstock import acls
from penstock.drafts import SQLITE
from penstock.errors import RegistryError, UsageError
from penstock.locks import holder, sqlite_writer
from penstock.machine import lacks_inodes, note_files_lacking

BUSY_SECONDS = 30.0
"""How long a transaction waits for another process's before it gives up."""

LATEST = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_GROWS = 2**15
"""Bytes by which SQLite makes the index beside a log larger, the most at once."""


class Alone(sqlite3.Connection):
    """One that has the file to itself for a transaction in which it only reads: a full disk, `why`, has no room for the
    index that those who share a log keep beside it, so this one has it in memory.
    """

    why: RegistryError
    turn = -1
    """The folder of the file, locked: who wants to be alone takes turns."""

    def close(self) -> None:
        """Let others in."""
        super().close()
        turn, self.turn = self.turn, -1
        if turn >= 0:
            os.close(turn)


@frozen
class translated:  # a context manager, as those of contextlib are called
    """Turn what SQLite raises into the RegistryError that a person can act on. Every transaction asks for it, and as
    a generator it would take several times as long.
    """

    path: Path

    def __enter__(self) -> None:
        """Nothing was raised yet."""

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        """Raise what it means."""
        if isinstance(error, sqlite3.Error):
            raise explain(self.path, error) from error
        if isinstance(error, json.JSONDecodeError):
            raise RegistryError(
                f"{self.path}: something in the registry was damaged ({error}); `penstock registry check` says what",
                code="registry_corrupt",
            ) from error
        if isinstance(error, UnicodeEncodeError):
            raise UsageError("a text in this call is not Unicode text (it holds a lone surrogate)") from None


def explain(path: Path, error: sqlite3.Error) -> RegistryError:
    """The RegistryError that says what a SQLite error means for this file."""
    extended = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    primary = extended & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return busy(path)
    if primary == sqlite3.SQLITE_CANTOPEN and (lacking := note_files_lacking(error)):
        return RegistryError(f"{path}: {lacking}", undone="nothing was changed, try again")
    if primary == sqlite3.SQLITE_CANTOPEN and _needs_index(path):
        return RegistryError(
            f"{path}: a process that died left a log, which cannot be taken in here, because the folder cannot be "
            "written; open it once where it can be",
            code="registry_read_only",
        )
    full = "the disk is full" if primary == sqlite3.SQLITE_FULL or extended == sqlite3.SQLITE_IOERR_SHMSIZE else ""
    if primary == sqlite3.SQLITE_CANTOPEN:
        full = _lacks(path.parent)
    if primary in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR) and _reaches_limit(path):
        return limited(path)
    if full:
        return RegistryError(
            f"{path}: {full}",
            code="registry_disk_full",
            undone="nothing was changed, make room and try again",
        )
    if primary in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return RegistryError(
            f"{path}: the registry cannot be written; check the permissions of the file and its folder",
            code="registry_read_only",
        )
    strange = primary == sqlite3.SQLITE_ERROR and str(error).startswith(("no such table", "no such column"))
    if strange or primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return RegistryError(
            f"{path}: not a sound registry file ({error}); restore a backup, or move the file away to start a new one",
            code="registry_corrupt",
        )
    return RegistryError(f"{path}: the registry cannot be used ({error})")


def limited(path: Path) -> RegistryError:
    """The RegistryError for a file that this process may not make any larger."""
    return RegistryError(
        f"{path}: the limit for the size of a file (`ulimit -f`) is reached",
        code="registry_disk_full",
        undone="nothing was changed, raise it and try again",
    )


def refuse_broken_link(path: Path) -> None:
    """Raise RegistryError for a registry that is a link to nothing, or lies in one: that is not none yet."""
    for place in (path, path.parent):
        if place.is_symlink() and not place.exists():
            try:
                place.stat()
            except OSError as error:
                where = "leads to itself" if error.errno == errno.ELOOP else "leads to nothing"
                raise RegistryError(
                    f"{place} is a link that {where} (`{os.readlink(place)}`); put back what it led to, or remove it",  # noqa: PTH115  # as text
                    code="registry_missing",
                ) from None


def _reaches_limit(path: Path) -> bool:
    """Whether a process that may write no file beyond a limit could not write a registry for that; SQLite does not say.

    Of a file that is not there it is not known how large it had become.
    """
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit == resource.RLIM_INFINITY or _lacks(path.parent):
        return False
    real = os.path.realpath(path)
    if not os.path.exists(real):  # noqa: PTH110  # the path is text
        return True
    sizes = []
    for more in ("", *SQLITE):
        with contextlib.suppress(OSError):
            sizes.append(os.stat(f"{real}{more}").st_size)  # noqa: PTH116  # as above
    return any(size + _GROWS > limit for size in sizes)


def _needs_index(path: Path) -> bool:
    """Whether a log lies beside a file without its index, in a folder where none can be made."""
    real = os.path.realpath(path)  # SQLite keeps both beside the file, not beside a link to that
    log, index = Path(f"{real}-wal"), Path(f"{real}-shm")
    try:
        return log.stat().st_size > 0 and not index.exists() and not os.access(log.parent, os.W_OK)
    except OSError:
        return False


def _lacks(folder: Path) -> str:
    """How a disk is full on which no file can be made in a folder; SQLite does not say why it opens none."""
    if lacks_inodes(folder):
        return "the disk is full: it has no inodes left"
    try:
        return "the disk is full" if os.statvfs(folder).f_bavail == 0 else ""
    except OSError:
        return ""


def busy(path: Path, *, so_far: bool = False) -> RegistryError:
    """The error for whoever waited for others in vain, or, `so_far`, for whoever waits still; it names the process that
    decides just now, or that is alone with it (see `Alone`), if that is known.
    """
    by = sqlite_writer(path) or holder(path.parent) or "others"
    many = by == "others"
    kept = f"{'have' if many else 'has'} kept the registry busy for {BUSY_SECONDS:g} seconds"
    return RegistryError(
        f"{path}: {by} {('keep' if many else 'keeps') + ' the registry busy' if so_far else kept}",
        code="registry_busy",
        undone="nothing was changed, try again",
    )


def refuse_no_time(path: Path, clock: int) -> None:
    """Raise RegistryError for a decision at a time, in microseconds since 1970, that no registry keeps."""
    if not 0 <= clock <= LATEST:
        raise RegistryError(
            f"{path}: the clock of this machine is set {'before 1970' if clock < 0 else 'beyond the year 9999'}",
            undone="nothing was changed, set it and try again",
        )


def undecided(path: Path, error: RegistryError) -> RegistryError:
    """The error for whoever cannot be told whether what was decided holds: it did not become durable, nor was it taken
    back.
    """
    return RegistryError(
        f"{path}: the decision met trouble as it was written ({error.cause.removeprefix(f'{path}: ')})",
        code="registry_undecided",
        undone="whether it holds is not known: look before you do it again, or repeat it with its idempotency key",
    )


def unwritable(path: Path, owner: int | None) -> RegistryError:
    """The RegistryError for whoever would write a registry that only its `owner` writes; None where modes forbid it."""
    if owner is None:
        return RegistryError(
            f"{path}: the registry is read-only for this user, so nothing can be changed; "
            "check the permissions of the file and its folder",
            code="registry_read_only",
        )
    return RegistryError(
        f"{path}: the registry belongs to {acls.name_of(owner)}, who alone changes it and follows its runs; you can "
        "read it, for anything else call penstock as that user",
        code="registry_not_owned",
    )
