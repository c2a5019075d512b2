"""Which root a queue belongs to: it notes path, device and inode of its root, and so a copy is told from the original.

A root that was moved has its inode still, and one that was put back from a backup its path: both go on. Anything else
is a copy, and its unfinished runs are the original's: they are neither looked after nor begun again, and nothing that
runs is taken for a leftover. Whoever submits or cancels there makes it a root of its own, in which they end as lost.
`docs/trust.md` says the same to whoever copies roots.

It notes as well where each engine found the root that has begun steps, because those were given paths of that place.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path

from attrs import frozen

from penstock.errors import Conflict
from penstock_local import neighbours, processes, queue
from penstock_local.layout import Layout

_TABLE = """
CREATE TABLE IF NOT EXISTS root (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    path BLOB NOT NULL,
    device TEXT NOT NULL,
    inode TEXT NOT NULL,
    lock TEXT NOT NULL
)
"""
_ENGINES = "CREATE TABLE IF NOT EXISTS engines (tokens TEXT PRIMARY KEY, path BLOB NOT NULL) WITHOUT ROWID"
_OF_ENGINE = "substr({}, 1, length(tokens)) = tokens"
_DONE = (
    "DELETE FROM engines WHERE NOT EXISTS (SELECT 1 FROM jobs JOIN steps ON steps.job = jobs.seq"
    f" WHERE jobs.ended IS NULL AND {_OF_ENGINE.format('steps.token')})"
)


@frozen
class _Root:
    """Where a root lies and what it is there; `lock` is the inode of its engine's lock, empty before there is one."""

    path: bytes
    device: str
    inode: str
    lock: str


def original(layout: Layout, database: sqlite3.Connection) -> str | None:
    """The path of the root that this one is a copy of; None when it is none. Raises sqlite3.Error, OSError."""
    noted = _noted(database)
    copied = noted is not None and _is_copy(noted, _here(layout), database)
    return os.fsdecode(noted.path) if noted is not None and copied else None


def refuse_copy(layout: Layout, database: sqlite3.Connection) -> None:
    """Raise Conflict `root_copied` in a copy. Raises sqlite3.Error, OSError."""
    path = original(layout, database)
    if path is not None:
        place = ", as it lies and runs elsewhere by now" if path == os.path.realpath(layout.root) else ""
        raise Conflict(
            f"`{layout.root}` is a copy of `{path}`{place}, whose runs they are: what is unfinished is not followed "
            "here, and ends as lost once something is submitted here",
            code="root_copied",
        )


def take(layout: Layout, database: sqlite3.Connection) -> None:
    """Note that the queue belongs to this root; in a copy, unfinished runs end as lost.

    Call in a transaction that writes (see `transactions`). Raises Conflict `root_copied` in a copy by hard links, whose
    queue is the original's own file; sqlite3.Error, OSError.
    """
    noted, here = _noted(database), _here(layout)
    if noted == here:
        return
    if noted is not None and _is_copy(noted, here, database):
        if layout.queue.stat().st_nlink > 1:
            raise Conflict(
                f"`{layout.root}` is a copy of `{os.fsdecode(noted.path)}` by hard links, so that its queue is the "
                "original's; copy it anew with `cp -a` to use it",
                code="root_copied",
            )
        message = (
            f"the root was copied from `{os.fsdecode(noted.path)}` before this had ended there, and what becomes of it "
            "is known there; submit it again to have it here"
        )
        for row in queue.jobs_after(database, 0):
            _lose(database, row, message)
    database.execute(_TABLE)
    database.execute("REPLACE INTO root VALUES (1, ?, ?, ?, ?)", (here.path, here.device, here.inode, here.lock))


def is_taken(layout: Layout, database: sqlite3.Connection) -> bool:
    """Whether the queue is known to belong to this root, so that `take` would change nothing."""
    return _noted(database) == _here(layout)


def engine_begins(layout: Layout, tokens: str) -> list[queue.Write]:
    """What to write with the first step of an engine, whose tokens all begin so: where it found the root."""
    path = os.fsencode(os.path.realpath(layout.root))
    return [(_ENGINES, ()), (_DONE, ()), ("REPLACE INTO engines VALUES (?, ?)", (tokens, path))]


def has_moved_since(layout: Layout, database: sqlite3.Connection, token: str) -> bool:
    """Whether the place of which a step was given paths when it began is not the root's any more.

    It asks the place and no clock, which begins anew with a boot and is another in another time namespace. Another path
    to the root, as by a bind mount, is no move. Nor is what nobody knows: then what the step came to stands.
    Raises sqlite3.Error, OSError.
    """
    row = _row(database, f"SELECT path FROM engines WHERE {_OF_ENGINE.format('?')}", (token,))
    if row is None:
        return False
    try:
        found = os.stat(row[0])  # noqa: PTH116  # the path is bytes
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it may be there
        return False
    return not os.path.samestat(found, layout.root.stat())


def _noted(database: sqlite3.Connection) -> _Root | None:
    row = _row(database, "SELECT path, device, inode, lock FROM root")
    return _Root(*row) if row else None


def _row(database: sqlite3.Connection, query: str, values: Sequence[str] = ()) -> sqlite3.Row | None:
    try:
        row: sqlite3.Row | None = database.execute(query, values).fetchone()
    except sqlite3.OperationalError as error:
        if "no such table" not in str(error):
            raise
        return None  # a queue from before there were such notes, or a new one
    return row


def _here(layout: Layout) -> _Root:
    real = os.path.realpath(layout.root)
    found = os.stat(real)  # noqa: PTH116  # the path is text
    try:
        lock = str(layout.lock.stat().st_ino)
    except FileNotFoundError:
        lock = ""
    return _Root(os.fsencode(real), str(found.st_dev), str(found.st_ino), lock)


def _is_copy(noted: _Root, here: _Root, database: sqlite3.Connection) -> bool:
    """Whether a queue with such a note is a copy where it lies now.

    Numbers of devices change when a machine or a container starts, so beside the path the inode is enough. But in an
    overlay and in a snapshot what was copied has its inodes still, so there the original must not live.
    """
    if noted.inode == here.inode and noted.device == here.device:
        return False
    return noted.path != here.path or _lives(noted, here, database)


def _lives(noted: _Root, here: _Root, database: sqlite3.Connection) -> bool:
    """Whether the original whose place this is runs elsewhere: it has an engine, or a process of a step does.

    Where the inode is the same, what runs may be this root's own, whose device has another number since. So it is the
    original's only when it has something open on the device that was noted.
    """
    tokens = {row[0] for row in database.execute("SELECT token FROM steps WHERE token IS NOT NULL")}
    is_other = noted.inode != here.inode
    for pid in processes.pids():
        if processes.token_of(pid) in tokens and (is_other or noted.device in _devices(pid)):
            return True
        if noted.lock and (noted.device, noted.lock) != (here.device, here.lock) and _is_engine_of(noted, pid):
            return True
    return False


def _devices(pid: int) -> set[str]:
    return {str(found.st_dev) for _, found in neighbours.open_files(pid)}


def _is_engine_of(noted: _Root, pid: int) -> bool:
    """Whether a process has the lock of the original, wherever that lies by now: the number of a lock that was removed
    may be another root's.
    """
    if not neighbours.is_one(pid):
        return False
    for link, found in neighbours.open_files(pid):
        if (str(found.st_dev), str(found.st_ino)) == (noted.device, noted.lock):
            with contextlib.suppress(OSError):  # the root was removed
                root = link.readlink().parent
                return str(Path(f"/proc/{pid}/root{root}").stat().st_ino) == noted.inode  # as it is seen from there
    return False


def _lose(database: sqlite3.Connection, job: sqlite3.Row, message: str) -> None:
    """End a run that is another root's."""
    seq, now = job["seq"], time.time()
    error = {"code": "run_lost", "message": message}
    for step in queue.steps(database, seq):
        if step["ended"] is None:
            state = "skipped" if step["started"] is None else "failed"
            told = None if step["started"] is None else {**error, "step": step["name"]}
            database.execute(*queue.step_ended(seq, step["position"], state, now, None, told, None))
    database.execute(*queue.job_ended(seq, "failed", now, error, None))
