"""Values of sensitive parameters between acceptance and hand-over: a private file for each run, beside the registry.

They are never in the registry itself, because SQLite keeps for a while what was deleted from it, and backups would have
them for good. A file is written inside the transaction that accepts its run, and goes as soon as nobody needs it to
hand the run over. What a killed process leaves behind is found by `sweep`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from penstock.registry.copying import not_writable, sync
from penstock.registry.database import Transaction

_KEY_BYTES = 32


def keep(home: Path, run: str, texts: Mapping[str, str]) -> None:
    """Write the values of a run durably. Call inside the transaction that accepts it. Raises RegistryError."""
    folder = _folder(home)
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        _write(folder / run, json.dumps(dict(texts)).encode("ascii"))
        sync(home)
    except OSError as error:
        raise not_writable(folder / run, error) from None


def read(home: Path, run: str) -> dict[str, str] | None:
    """The values of a run; None when they are not there, or not readable, any more."""
    try:
        found = json.loads((_folder(home) / run).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def forget(home: Path, run: str) -> None:
    """Remove the values of a run, as far as they are there; what fails here is left to `sweep`."""
    with suppress(OSError):
        (_folder(home) / run).unlink()
        sync(_folder(home))


def left(home: Path) -> list[str]:
    """The runs whose values are there, mostly none."""
    try:
        return os.listdir(_folder(home))  # noqa: PTH208  # names are all that is needed
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
            return path.read_bytes()
        except FileNotFoundError:
            draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
            _write(draft, secrets.token_bytes(_KEY_BYTES))
            try:
                with suppress(FileExistsError):  # another process was faster, and its key is the one
                    os.link(draft, path)
                    sync(home)
            finally:
                draft.unlink()
            return path.read_bytes()
    except OSError as error:
        raise not_writable(path, error) from None


def _write(path: Path, data: bytes) -> None:
    """A file whole and private, or an OSError; what is left of it then is nobody's, and goes with the next sweep."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync(path.parent)


def _folder(home: Path) -> Path:
    return home / "sensitive"
