"""Which log belongs to which file: SQLite takes whatever lies beside a file for its log, and ruins a copy with it.

Each transaction leaves a mark, beside the mark before it and what the file's first page said when it began: how many
pages there were, how many of them free, and the version by which SQLite counts changes of the schema. A checkpoint
brings the file to the state after one of the log's transactions; so a file is as the log's first transaction found it,
or as one of them left it. One that broke off leaves some pages as they were before, the first page or another, for the
disk is asked to keep them only at its end.
Formats: sqlite.org/fileformat2.html, sections 1.3 (the first page), 1.6 (pages of tables), 2.1 (records) and 4 (the
log).
"""

from __future__ import annotations

import os
import re
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from penstock import wal
from penstock.wal import Frame

_NONE = "0" * 32
"""The mark of a file that has none yet."""
TABLE = "CREATE TABLE log_mark (marks TEXT NOT NULL)"
FIRST = f"INSERT INTO log_mark VALUES ('penstock log {_NONE} {_NONE} {'0' * 24}')"
SAME = "UPDATE log_mark SET marks = marks"
"""Changes nothing, but is a change, so that its transaction leaves a mark."""
_NEXT = "UPDATE log_mark SET marks = 'penstock log ' || ? || ' ' || substr(marks, 14, 32) || ' ' || ? WHERE rowid = 1"
_FIRST_PAGE = ("PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA schema_version")
_32_BITS = 0xFFFFFFFF
_MARKS = re.compile(rb"penstock log ([0-9a-f]{32}) ([0-9a-f]{32}) ([0-9a-f]{24})")
_ROW = re.compile(rb"\x6a\x01\x03\x81\x5b" + _MARKS.pattern)
"""The row as a page has it: 106 bytes, number 1, and a header of 3 bytes that says one text of 103. What somebody wrote
who knows what a mark looks like is in no row of that form.
"""

_LEAF = 0x0D
_AGAIN = 3
"""How often a log is held against its file: both change while somebody writes."""


class _State(NamedTuple):
    """A mark, and what the first page says with it; None where that is not known."""

    mark: bytes
    first: bytes | None


def lay(connection: sqlite3.Connection) -> None:
    """Make the table with the first mark unless it is there, in a transaction. Raises sqlite3.Error."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_mark'").fetchone() is None:
        connection.execute(TABLE)
        connection.execute(FIRST)


def first_page(connection: sqlite3.Connection) -> str:
    """What `mark` needs of the beginning of a transaction. Raises sqlite3.Error."""
    cursor = connection.cursor()
    pages, free, schema = (cursor.execute(asked).fetchone()[0] for asked in _FIRST_PAGE)
    return f"{pages & _32_BITS:08x}{free & _32_BITS:08x}{schema & _32_BITS:08x}"


def mark(connection: sqlite3.Connection, began: str) -> None:
    """Leave the next mark, last in a transaction that changes something. Raises sqlite3.Error."""
    connection.execute(_NEXT, (os.urandom(16).hex(), began))


def taken_back(connection: sqlite3.Connection) -> bool:
    """Make sure that nothing is left of a transaction whose commit failed; answers whether it could be.

    It may lie in the log whole, with only the last sync, or the index beside the log, missing. Then whoever reads the
    log after the last process has gone takes it for committed. What is written next lies in its place.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        mark(connection, first_page(connection))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        return False
    return True


def is_foreign(without_log: Callable[[], sqlite3.Connection], log: Path) -> bool:
    """Whether a log belongs to another file than that which `without_log` opens as it is, as `immutable`.

    False where that cannot be known, of a log without marks. Raises sqlite3.Error, OSError.
    """
    return all(_contradicts(without_log, log) for _ in range(_AGAIN))


def _contradicts(without_log: Callable[[], sqlite3.Connection], log: Path) -> bool:
    file = _of_file(without_log)
    if _fits(file, _states(wal.frames(log))):
        return False
    # What was not committed may be anything, and whether it was takes its time to find out.
    frames = list(wal.committed(log))
    if _is_whole(frames) or _fits(file, _states(frames)):
        return False
    return _of_file(without_log) == file


def _fits(file: _State, states: Iterable[_State]) -> bool:
    """Whether a file has the mark of one of the states, and the first page of one. Nothing is known of no state."""
    known = marked = first = False
    for state in states:
        known = True
        marked = marked or state.mark == file.mark
        first = first or state.first == file.first
        if marked and (first or state.first is None):
            return True
    return not known


def _states(frames: Iterable[Frame]) -> Iterator[_State]:
    """The state in which a log found its file, and that after each commit."""
    now: _State | None = None
    changed = False
    """Whether the first page was written before the first mark, which then does not say how it was before."""
    first: bytes | None = None
    found: re.Match[bytes] | None = None
    for frame in frames:
        first = _first_page(frame.data) if frame.page == 1 else first
        found = _marks_of(frame.data) or found
        if not frame.size:
            continue
        if now is None and found is not None:
            now = _State(found[2], None if changed else found[3])
            yield now
        if now is not None:
            now = _State(found[1] if found else now.mark, first or now.first)
            yield now
        changed = changed or first is not None
        first = found = None


def _is_whole(frames: Iterable[Frame]) -> bool:
    """Whether a log has every page, so that what is in the file does not matter, as after a restore by SQLite."""
    pages, size = set[int](), 0
    for frame in frames:
        pages.add(frame.page)
        size = frame.size or size
    return size > 0 and pages.issuperset(range(1, size + 1))


def _of_file(without_log: Callable[[], sqlite3.Connection]) -> _State:
    """The state of a file. Asked anew each time: who reads a file so keeps what it has read."""
    with closing(without_log()) as connection:
        first = first_page(connection).encode()
        table = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'log_mark'").fetchone()
        row = table and connection.execute("SELECT marks FROM log_mark").fetchone()
        found = row and _MARKS.fullmatch(str(row[0]).encode())
        return _State(found[1] if found else _NONE.encode(), first)


def _first_page(page: bytes) -> bytes:
    """The same of a page as `first_page`."""
    return "{:08x}{:08x}{:08x}".format(*(struct.unpack_from(">I", page, place)[0] for place in (28, 36, 40))).encode()


def _marks_of(page: bytes) -> re.Match[bytes] | None:
    """The marks in a page that is a table of one row, and that row marks."""
    if page[0] != _LEAF or page[3:5] != b"\0\1":
        return None
    return _ROW.match(page, struct.unpack_from(">H", page, 8)[0])
