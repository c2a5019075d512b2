"""Copies of registries, and what is there after a crash; several test files share them."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from attrs import frozen
from hypothesis import strategies as st

from penstock.errors import RegistryError
from penstock.registry import Registry

PAGE = 4096


def beside(path: Path, more: str) -> Path:
    return path.with_name(path.name + more)


def count(path: Path) -> int:
    """How many versions there are in a sound registry."""
    with Registry.open(path, create=False, read_only=True) as registry:
        assert registry.check().ok
        return sum(len(registry.endpoints.get(one.name).versions) for one in registry.endpoints.list().items)


def by_cp(path: Path, copy: Path) -> None:
    shutil.copyfile(path, copy)


def by_sqlite(path: Path, copy: Path) -> None:
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def by_vacuum(path: Path, copy: Path) -> None:
    with closing(sqlite3.connect(path)) as source:
        source.execute("VACUUM INTO ?", (os.fspath(copy),))


WAYS = {"cp": by_cp, "sqlite": by_sqlite, "vacuum": by_vacuum}


def crash(path: Path) -> None:
    """Leave file and log as they are, whoever has them open; call it before they are closed."""
    files = {file: file.read_bytes() for file in (path, beside(path, "-wal"))}
    for file, content in files.items():
        file.with_name(f"{file.name}.kept").write_bytes(content)


def crashed(path: Path, copy: Path | None = None) -> Path:
    """What was there at the crash, or a copy put over the file."""
    for more in ("", "-wal"):
        beside(path, f"{more}.kept").replace(beside(path, more))
    if copy is not None:
        shutil.copyfile(copy, path)
    return path


def checkpoint(path: Path, how: str = "passive") -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA wal_checkpoint({how})").fetchone()


def by_hand(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA busy_timeout = 5000")
        connection.execute(statement)
        connection.commit()


def refused(path: Path) -> None:
    with pytest.raises(RegistryError) as error:
        Registry.open(path)
    assert error.value.code == "registry_log_foreign"


@frozen
class Torn:
    """What a disk may have kept of a checkpoint when power was lost before the file was synced: a part of the pages
    that is `kept`, perhaps the `first`; it is as long as it was (`short`), or as it was to be.
    """

    kept: float
    first: bool
    short: bool
    random: Random

    def of(self, before: bytes, after: bytes) -> bytes:
        pages = [
            after[place : place + PAGE]
            if (self.first if place == 0 else self.random.random() < self.kept)
            else before[place : place + PAGE] or bytes(PAGE)
            for place in range(0, len(after), PAGE)
        ]
        return b"".join(pages[: len(before) // PAGE] if self.short else pages)


TORN = st.builds(
    Torn,
    kept=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]),
    first=st.booleans(),
    short=st.booleans(),
    random=st.randoms(use_true_random=False),
)
