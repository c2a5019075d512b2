"""The secret values of unfinished runs: a private file each, because SQLite keeps what was deleted from it.

They are what a run took along from an environment, and its sensitive parameters. A file is there before its run is
accepted and goes when the run has ended, and with it the working copies of a run with sensitive parameters, in which
its steps may have written them down. What a killed process leaves behind goes when somebody looks at the ended run, and
when an engine starts or ends.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from penstock.opening import read_file
from penstock_local import places, removal, transactions
from penstock_local.layout import Layout, sync_folder, write_file

_LARGEST = 1 << 30
"""Bytes of a run's values: an environment is far smaller."""
_PARAMETER = "="
"""What the name of a parameter begins with in a file; no variable of an environment has it in its name."""


@frozen
class Kept:
    """The secret values of a run by name."""

    environment: Mapping[str, str] = field(factory=dict)
    parameters: Mapping[str, str] = field(factory=dict)


def keep(layout: Layout, run: str, environment: Mapping[str, str], parameters: Mapping[str, str]) -> None:
    """Write a run's values durably, over what a hand-over before may have left. Raises OSError.

    Call inside `database.deciding`, before the job is added: `sweep` takes what belongs to no job.
    """
    values = {**environment, **{_PARAMETER + name: text for name, text in parameters.items()}}
    if not values:
        forget(layout, run)
        return
    folder = layout.environments
    if not folder.is_dir() or folder.is_symlink():
        places.make_folder(folder)
        sync_folder(folder.parent)
    # What is not UTF-8 is escaped, and comes back as it was.
    path = layout.environment_of(run)
    write_file(path, json.dumps(values).encode("ascii"))


def read(layout: Layout, run: str, environment: Iterable[str], parameters: Iterable[str]) -> Kept:
    """The values of an unfinished run. Raises ValueError when they are gone, OSError."""
    named = {name: name for name in environment}
    hidden = {name: _PARAMETER + name for name in parameters}
    if not (named or hidden):
        return Kept()
    found = _found(layout, run)
    for what, keys in (("environment variables", named), ("sensitive parameters", hidden)):
        if not found.keys() >= set(keys.values()):
            raise ValueError(f"the values of its {what} are gone")
    return Kept(*({name: str(found[key]) for name, key in keys.items()} for keys in (named, hidden)))


def has_any(layout: Layout, run: str) -> bool:
    """Whether there is anything to forget of a run: mostly not, and every run asks."""
    return os.path.lexists(layout.environment_of(run))


def forget(layout: Layout, run: str) -> None:
    """Remove a run's values, which nobody needs any more, and what may hold them. Raises OSError."""
    path = layout.environment_of(run)
    if not has_any(layout, run):
        return
    # The file goes last: as long as it is there, somebody sees to the rest.
    try:
        names = list(_found(layout, run))
    except OSError:  # what is no file was put there by a step, whatever it had to hide
        names = [_PARAMETER]
    if any(name.startswith(_PARAMETER) for name in names):
        for folder in layout.private_of(run):
            removal.remove_below(folder, layout.root)
    places.make_folder(layout.environments)  # what is in another folder, by a link, is not ours to remove
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        removal.remove_below(path, layout.root)
    sync_folder(layout.environments)


def _found(layout: Layout, run: str) -> dict[str, Any]:
    try:
        found = json.loads(read_file(layout.environment_of(run), _LARGEST, below=layout.root))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def sweep(layout: Layout, database: sqlite3.Connection) -> None:
    """Remove the values of every run that is not in the queue or has ended. Raises sqlite3.Error, OSError."""
    if not os.path.lexists(layout.environments):
        return
    places.make_folder(layout.environments)  # as above
    try:
        if not os.listdir(layout.environments):  # noqa: PTH208  # names are all that is needed
            return
    except FileNotFoundError:
        return
    failed: OSError | None = None
    with transactions.writing(database):  # no submit is between its file and its job
        needed = {row[0] for row in database.execute("SELECT id FROM jobs WHERE ended IS NULL")}
        for name in set(os.listdir(layout.environments)) - needed:  # noqa: PTH208  # as above
            try:
                forget(layout, name)
            except OSError as error:  # the others go all the same
                failed = error
        sync_folder(layout.environments)
    if failed:
        raise failed
