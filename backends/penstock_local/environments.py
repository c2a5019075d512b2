"""The environment values of unfinished runs: a private file each, because SQLite keeps what was deleted from it.

A file is there before its run is accepted and goes when the run has ended. What a killed process leaves behind goes
when somebody looks at the ended run, and when an engine starts or ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from penstock_local.layout import Layout, sync_folder, write_file


def keep(layout: Layout, run: str, values: Mapping[str, str]) -> None:
    """Write a run's values durably, over what a hand-over before may have left. Raises OSError.

    Call inside `database.deciding`, before the job is added: `sweep` takes what belongs to no job.
    """
    if not values:
        forget(layout, run)
        return
    folder = layout.environments
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
        sync_folder(folder.parent)
    # What is not UTF-8 is escaped, and comes back as it was.
    write_file(layout.environment_of(run), json.dumps(dict(values)).encode("ascii"))


def read(layout: Layout, run: str, names: Iterable[str]) -> Mapping[str, str]:
    """The values of an unfinished run by name. Raises ValueError when they are gone, OSError."""
    wanted = set(names)
    if not wanted:
        return {}
    try:
        found: Any = json.loads(layout.environment_of(run).read_bytes())
    except FileNotFoundError:
        found = {}
    if not isinstance(found, dict) or not wanted.issubset(found):
        raise ValueError("the values of its environment variables are gone")
    return {name: str(found[name]) for name in wanted}


def forget(layout: Layout, run: str) -> None:
    """Remove a run's values, which nobody needs any more. Raises OSError."""
    try:
        os.unlink(layout.environment_of(run))  # noqa: PTH108  # mostly nothing is there, and every run asks
    except FileNotFoundError:
        return
    sync_folder(layout.environments)


def sweep(layout: Layout, database: sqlite3.Connection) -> None:
    """Remove the values of every run that is not in the queue or has ended. Raises sqlite3.Error, OSError."""
    try:
        if not os.listdir(layout.environments):  # noqa: PTH208  # names are all that is needed
            return
    except FileNotFoundError:
        return
    failed: OSError | None = None
    database.execute("BEGIN IMMEDIATE")  # no submit is between its file and its job
    try:
        needed = {row[0] for row in database.execute("SELECT id FROM jobs WHERE ended IS NULL")}
        for name in set(os.listdir(layout.environments)) - needed:  # noqa: PTH208  # as above
            try:
                (layout.environments / name).unlink(missing_ok=True)
            except OSError as error:  # the others go all the same
                failed = error
        sync_folder(layout.environments)
    finally:
        database.execute("ROLLBACK")
    if failed:
        raise failed
