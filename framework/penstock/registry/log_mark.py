"""Which log belongs to which file: SQLite takes whatever lies beside a file for its log, and ruins a copy with it.

Each transaction leaves a mark, and beside it the mark before it. What a checkpoint takes from the log to the file is
the state after one of the log's transactions; so a file has the mark from which its log began, or one of the log's.
With a mark goes the version that SQLite counts its schema by: a copy that was written anew, page by page, has another.
Formats: sqlite.org/fileformat2.html, sections 1.3 (the version), 1.6 (pages of tables) and 4.1 (the log).
"""

from __future__ import annotations

import os
import re
import secrets
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from attrs import frozen

TABLE = "CREATE TABLE log_mark (marks TEXT NOT NULL)"
_RANDOM = "lower(hex(randomblob(16))) || '.00000000'"
FIRST = f"INSERT INTO log_mark VALUES ('penstock log ' || {_RANDOM} || ' ' || {_RANDOM})"
_NEXT = "UPDATE log_mark SET marks = 'penstock log ' || ? || ' ' || substr(marks, 14, 41) WHERE rowid = 1"

_MARKS = re.compile(rb"penstock log ([0-9a-f]{32})\.([0-9a-f]{8}) ([0-9a-f]{32})\.([0-9a-f]{8})")
_MAGIC = (0x377F0682, 0x377F0683)
_HEAD, _FRAME = 32, 24
"""Bytes of a log's header, and of the header before each page in it."""
_LEAF = 0x0D
_AGAIN = 3
"""How often a log is held against its file: both change while somebody writes."""


@frozen
class _File:
    """What a file has without its log: the page of marks, its own mark, and the version of its schema."""

    root: int
    mark: bytes
    version: bytes


@frozen
class _Frame:
    """A page in a log: its number, how many pages the file has after a commit, else 0, and the marks if it has any."""

    page: int
    size: int
    marks: re.Match[bytes] | None


def mark(connection: sqlite3.Connection) -> None:
    """Leave the next mark, last in a transaction that changes something. Raises sqlite3.Error."""
    version = int(connection.execute("PRAGMA schema_version").fetchone()[0])
    connection.execute(_NEXT, (f"{secrets.token_hex(16)}.{version:08x}",))


def is_foreign(without_log: Callable[[], sqlite3.Connection], log: Path) -> bool:
    """Whether a log belongs to another file than that which `without_log` opens as it is, as `immutable`.

    False where that cannot be known: of a file or a log without marks. Raises sqlite3.Error, OSError.
    """
    return all(_contradicts(without_log, log) for _ in range(_AGAIN))


def _contradicts(without_log: Callable[[], sqlite3.Connection], log: Path) -> bool:
    file = _of_file(without_log)
    if file is None:
        return False
    frames = list(_frames(log, lambda page: page == file.root))
    if not any(frame.marks for frame in frames):  # they may be elsewhere, in a log of pages in another order
        frames = list(_frames(log, lambda _: True))
    if _is_whole(frames) or not any(frame.marks for frame in frames):
        return False
    return not _fits(file, frames) and _of_file(without_log) == file


def _fits(file: _File, frames: Iterable[_Frame]) -> bool:
    found = [frame.marks for frame in frames if frame.page == file.root and frame.marks]
    marks = {mark for one in found for mark in one.group(1, 3)}
    versions = {version for one in found for version in one.group(2, 4)}
    return file.mark in marks and file.version in versions


def _is_whole(frames: Iterable[_Frame]) -> bool:
    """Whether a log has every page, so that what is in the file does not matter, as after a restore by SQLite."""
    pages = {frame.page for frame in frames}
    size = next((frame.size for frame in reversed(list(frames)) if frame.size), 0)
    return size > 0 and pages.issuperset(range(1, size + 1))


def _of_file(without_log: Callable[[], sqlite3.Connection]) -> _File | None:
    """None for one that has no marks. Asked anew each time: who reads a file so keeps what it has read."""
    with closing(without_log()) as connection:
        table = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'log_mark'").fetchone()
        marks = table and connection.execute("SELECT marks FROM log_mark").fetchone()
        found = marks and _MARKS.match(str(marks[0]).encode())
        if not found:
            return None
        version = int(connection.execute("PRAGMA schema_version").fetchone()[0])
        return _File(int(table[0]), found[1], b"%08x" % version)


def _frames(log: Path, reads: Callable[[int], bool]) -> Iterator[_Frame]:
    """The frames of a log, with the marks of pages that are read; what was there before it began anew is none of it."""
    descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        head = os.pread(descriptor, _HEAD, 0)
        if len(head) < _HEAD or struct.unpack_from(">I", head)[0] not in _MAGIC:
            return
        length, salt = struct.unpack_from(">I", head, 8)[0], head[16:24]
        place = _HEAD
        while len(frame := os.pread(descriptor, _FRAME, place)) == _FRAME and frame[8:16] == salt:
            page, size = struct.unpack_from(">II", frame)
            yield _Frame(page, size, _marks_of(os.pread(descriptor, length, place + _FRAME)) if reads(page) else None)
            place += _FRAME + length
    finally:
        os.close(descriptor)


def _marks_of(page: bytes) -> re.Match[bytes] | None:
    """The marks in a page that is a table of one row, and that row marks."""
    if len(page) < 10 or page[0] != _LEAF or page[3:5] != b"\0\1":
        return None
    return _MARKS.search(page, struct.unpack_from(">H", page, 8)[0])
