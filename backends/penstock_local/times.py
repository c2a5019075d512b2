"""When a step's log grew: marks in a file beside it, each an offset and a time at which the bytes before it were there.

It is made when there is something to mark, and goes with the run as the log does. A step can write to it as to its log,
so what is read is believed as little.
"""

from __future__ import annotations

import contextlib
import errno
import os
import struct
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from penstock.contract.run import LogTime
from penstock.opening import open_file, open_folder
from penstock_local import logs

_RECORD = struct.Struct("<QQ")
"""Of a mark: the offset, and milliseconds since 1970; none where nobody knows when the bytes before it came."""
MOST = 32768
"""Marks of one log; then those go that are nearest to the next, and fewer are made from then on."""
INTERVAL = 0.05
"""Seconds between two marks of a log, at the least."""
_LONG = 7 * 86400.0
"""Seconds between two marks that nothing takes so long to need."""
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = (datetime.max.replace(tzinfo=UTC) - _BEGINNING) // timedelta(milliseconds=1)


def file_of(log: Path) -> Path:
    """Where the marks of a log lie. A step's name may leave four bytes of a file name."""
    return log.with_suffix(".at")


class Marks:
    """The marks of a log that is being written, which had `base` bytes when somebody began to look."""

    def __init__(self, log: Path, base: int) -> None:
        self.interval = INTERVAL
        self._log = log
        self._base = base
        self._file = -1
        self._count = 0
        self._last = 0
        self._latest = 1

    def add(self, size: int, now: float) -> None:
        """Note that the log has so many bytes now. Where that fails, nobody knows when these came. Raises OSError."""
        try:
            if self._file < 0:
                self._open()
            if size < self._last:  # somebody has cut the log
                self._cut()
            # A clock that was put back stands still until it is where it was.
            self._latest = max(self._latest, round(now * 1000))
            self._write(size, self._latest)
            if self._count >= MOST:
                self._thin()
        except OSError:
            self.close()
            self._base = size
            raise

    def close(self) -> None:
        """Let go of the file; the next mark opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        self._file = logs.open_regular(file_of(self._log), os.O_RDWR | os.O_CREAT)
        self._count = min(os.fstat(self._file).st_size // _RECORD.size, MOST)
        if self._count:
            self._last, latest = _mark(self._file, self._count - 1)
            self._latest = max(self._latest, min(latest, _LAST))
        if self._last > self._base:
            self._cut()
        if self._last < self._base:
            self._write(self._base, 0)

    def _cut(self) -> None:
        os.ftruncate(self._file, 0)
        self._count = self._last = 0

    def _write(self, offset: int, milliseconds: int) -> None:
        data = _RECORD.pack(offset, milliseconds)
        if os.pwrite(self._file, data, self._count * _RECORD.size) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._count, self._last = self._count + 1, offset

    def _thin(self) -> None:
        """Leave at the most half of the marks, in a new file, because somebody may be reading this one."""
        kept = list(_RECORD.iter_unpack(_whole(os.pread(self._file, MOST * _RECORD.size, 0))))
        while len(kept) > MOST // 2:
            self.interval *= 2
            kept = list(_thinned(kept, self.interval * 1000))
            if self.interval > _LONG:  # no marks of ours: a step wrote them
                self.interval, kept = INTERVAL, [(self._last, 0)]
        path = file_of(self._log)
        draft = path.with_suffix(".at~")
        folder = open_folder(draft.parent, below=logs.root_of(draft))
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(draft.name, dir_fd=folder)
            made = open_file(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, below=logs.root_of(draft))
            os.close(self._file)
            self._file = made
            text = b"".join(_RECORD.pack(*mark) for mark in kept)
            if os.pwrite(made, text, 0) < len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.replace(draft.name, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        finally:
            os.close(folder)
        self._count = len(kept)


def _thinned(marks: list[tuple[int, int]], apart: float) -> Iterator[tuple[int, int]]:
    """Let marks that are no further apart than so many milliseconds be the last of them, which is true of all."""
    first = None
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        first = mark if first is None else first
        if after is None or not 0 < after[1] - first[1] <= apart or not first[1]:
            yield mark
            first = None


def read(log: Path, start: int, end: int) -> list[LogTime] | None:
    """The marks of the bytes of a log from `start` to `end`; None where there are none of the log at all."""
    if end <= start:
        return []
    try:
        file = open_file(file_of(log), below=logs.root_of(log))
    except OSError:  # what it is that lies there, is no word of ours
        return None
    try:
        count = min(os.fstat(file).st_size // _RECORD.size, MOST)
        first = bisect_right(range(count), start, key=lambda index: _mark(file, index)[0])
        return list(_forward(file, first, count, start, end))
    except (OSError, struct.error):  # it was cut meanwhile
        return []
    finally:
        os.close(file)


def _forward(file: int, first: int, count: int, start: int, end: int) -> Iterator[LogTime]:
    """Marks from the first on until they have passed the end, in order whatever a step has made of them."""
    latest = 0
    for index in range(first, count, 512):
        data = os.pread(file, min(512, count - index) * _RECORD.size, index * _RECORD.size)
        for offset, milliseconds in _RECORD.iter_unpack(_whole(data)):
            if offset <= start:
                continue
            start = min(offset, end)
            latest = max(latest, milliseconds)
            yield LogTime(start, _time(latest) if milliseconds else None)
            if offset >= end:
                return


def _mark(file: int, index: int) -> tuple[int, int]:
    offset, milliseconds = _RECORD.unpack(os.pread(file, _RECORD.size, index * _RECORD.size))
    return offset, milliseconds


def _whole(data: bytes) -> bytes:
    """Data without what is less than a mark at its end."""
    return data[: len(data) // _RECORD.size * _RECORD.size]


def _time(milliseconds: int) -> datetime | None:
    return _BEGINNING + timedelta(milliseconds=milliseconds) if milliseconds <= _LAST else None  # a step wrote it
