"""Reading SQLite's log without SQLite, which would take it for the file's own (sqlite.org/fileformat2.html, 4)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_MAGIC = (0x377F0682, 0x377F0683)
_SIZES = frozenset(1 << bits for bits in range(9, 17))
"""The sizes that a page may have."""
_HEAD, _FRAME = 32, 24
"""Bytes of a log's header, and of the header before each page in it."""


class Frame(NamedTuple):
    """A page in a log: its number, how many pages the file has after a commit, else 0, and its content."""

    page: int
    size: int
    data: bytes


def frames(log: Path) -> Iterator[Frame]:
    """The frames of a log, as far as they are of one beginning; the last may be of what was not committed."""
    return (frame for frame, _, _ in _raw(log))


def committed(log: Path) -> Iterator[Frame]:
    """The frames of a log that SQLite would take: those up to the last commit whose sums are right."""
    waiting: list[Frame] = []
    sums, order = (0, 0), ">"
    for frame, head, begin in _raw(log):
        if begin:
            order = ">" if begin[3] & 1 else "<"
            sums = _add(sums, begin[:24], order)
            if sums != struct.unpack_from(">II", begin, 24):
                return
        sums = _add(_add(sums, head[:8], order), frame.data, order)
        if sums != struct.unpack_from(">II", head, 16):
            return
        waiting.append(frame)
        if frame.size:
            yield from waiting
            waiting.clear()


def _add(sums: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """SQLite's sums of a log, with more data."""
    one, two = sums
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for word in words:
        one = (one + word + two) & 0xFFFFFFFF
        two = (two + next(words) + one) & 0xFFFFFFFF
    return one, two


def _raw(log: Path) -> Iterator[tuple[Frame, bytes, bytes]]:
    """Each frame with its header, and the first with that of the log."""
    descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        begin = os.pread(descriptor, _HEAD, 0)
        if len(begin) < _HEAD or struct.unpack_from(">I", begin)[0] not in _MAGIC:
            return
        length, salt = struct.unpack_from(">I", begin, 8)[0], begin[16:24]
        if length not in _SIZES:
            return
        place = _HEAD
        while len(found := os.pread(descriptor, _FRAME + length, place)) == _FRAME + length and found[8:16] == salt:
            page, size = struct.unpack_from(">II", found)
            yield Frame(page, size, found[_FRAME:]), found[:_FRAME], begin
            place, begin = place + _FRAME + length, b""
    finally:
        os.close(descriptor)
