"""Values of sensitive parameters between acceptance and hand-over: a private file for each run, beside the registry.

They are never in the registry itself, because SQLite keeps for a while what was deleted from it, and backups would have
them for good. A file is written inside the transaction that accepts its run, and goes as soon as nobody needs it to
hand the run over. What a killed process leaves behind is found by `sweep`.
"""

from __future__ import annotations

import errno
import hashlib
import hmac
import json
import os
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.opening import read_file
from penstock.registry.copying import not_writable, sync
from penstock.registry.database import Transaction

_KEY_BYTES = 32
_LARGEST = 1 << 28
"""Bytes that a file of values may have; all those of a run are accepted in one request."""


def keep(home: Path, run: str, texts: Mapping[str, str]) -> None:
    """Write the values of a run durably. Call inside the transaction that accepts it. Raises RegistryError."""
    folder = _folder(home)
    try:
        with suppress(FileExistsError):  # whatever lies there
            folder.mkdir(mode=0o700)
        with _opened(home) as opened:
            _write(opened, run, json.dumps(dict(texts)).encode("ascii"))
        sync(home)
    except OSError as error:
        raise not_writable(folder / run, error) from None


def read(home: Path, run: str) -> dict[str, str] | None:
    """The values of a run; None when they are not there, or not readable, any more."""
    try:
        found = json.loads(read_file(_folder(home) / run, _LARGEST, below=home))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def forget(home: Path, run: str) -> None:
    """Remove the values of a run, as far as they are there; what fails here is left to `sweep`."""
    with suppress(OSError), _opened(home) as opened:
        os.unlink(run, dir_fd=opened)
        os.fsync(opened)


def left(home: Path) -> list[str]:
    """The runs whose values are there, mostly none."""
    try:
        with _opened(home) as opened:
            return os.listdir(opened)  # noqa: PTH208  # `Path` takes no handle
    except OSError:
        return []


def unneeded(tx: Transaction, runs: Collection[str]) -> list[str]:
    """Those of some runs that need no hand-over any more: they were handed over, have ended or were never accepted."""
    sql = "SELECT 1 FROM runs r JOIN outbox o ON o.kind = 'submit' AND o.subject = r.seq WHERE r.id = ?"
    return [run for run in runs if tx.one(sql, run) is None]


def sweep(tx: Transaction, home: Path) -> None:
    """Remove the values that nobody needs. In a transaction that writes: nobody is between a file and its run then."""
    for run in unneeded(tx, left(home)):
        forget(home, run)


def keyed_hash(home: Path, text: str) -> str:
    """What stands for a value in a request's fingerprint; without this workspace's key it says nothing of the value.

    Raises RegistryError when the key can be neither read nor made.
    """
    return hmac.new(_key(home), text.encode(), hashlib.sha256).hexdigest()


def _key(home: Path) -> bytes:
    path = home / "sensitive.key"
    try:
        try:
            return read_file(path, _LARGEST)
        except FileNotFoundError:
            with _opened_folder(home) as opened:
                draft = f".{path.name}.{secrets.token_hex(6)}"
                _write(opened, draft, secrets.token_bytes(_KEY_BYTES))
                try:
                    with suppress(FileExistsError):  # another process was faster, and its key is the one
                        os.link(draft, path.name, src_dir_fd=opened, dst_dir_fd=opened)
                        os.fsync(opened)
                finally:
                    os.unlink(draft, dir_fd=opened)
            return read_file(path, _LARGEST)
    except OSError as error:
        raise not_writable(path, error) from None


def _write(folder: int, name: str, data: bytes) -> None:
    """A file whole and private, or an OSError; what is left of it then is nobody's, and goes with the next sweep."""
    draft = f".{name}.{secrets.token_hex(6)}"
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
    os.fsync(folder)


@contextmanager
def _opened(home: Path) -> Iterator[int]:
    """The folder of values, by no link: what lies behind one is neither ours to fill nor to sweep. Raises OSError."""
    found = os.lstat(_folder(home))
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "its folder is a link; move that away")
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ENOTDIR, "its folder is no folder; move that away")
    with _opened_folder(_folder(home), os.O_NOFOLLOW) as opened:
        yield opened


@contextmanager
def _opened_folder(folder: Path, more: int = 0) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | more)
    try:
        yield opened
    finally:
        os.close(opened)


def _folder(home: Path) -> Path:
    return home / "sensitive"
