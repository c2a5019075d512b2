"""Beginning each line of a log with the time at which it was there, and waiting for times that come a moment later."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from attrs import define, evolve

from penstock.contract.run import LogChunk

_PIECE = 16 * 1024
"""Bytes of a log that are looked through at once: lines may all be empty, and their times are many times as long."""

A_WHILE = 1.0
"""Seconds after which what has no time yet is shown without one."""

_UNKNOWN = b"%-25s" % b"-"
_BEGUN = re.compile(rb"[^\r\n]*(?:\r\n?|\n)?")
_LINE = re.compile(rb"[^\r\n]+(?:\r\n?|\n)?|\r?\n")


class Late:
    """What of logs is shown when: the end of a log has its time a moment later, or never.

    `steps` are those with bytes that wait, and since when (monotonic). Logs that are not followed are read one after
    the other: where one has waited in vain, those after it do not.
    """

    def __init__(self, follow: bool) -> None:
        self.steps: dict[str, float] = {}
        self._follow = follow
        self._timeless: set[str] = set()
        """Steps for whose times we have waited in vain."""

    def shown(self, step: str, offset: int, chunk: LogChunk) -> LogChunk:
        """What may be shown of a piece that begins at `offset`."""
        since = self.steps.pop(step, None)
        if not chunk.data or chunk.times is None:
            return chunk
        known = min(chunk.times[-1].offset if chunk.times else offset, chunk.next_offset)
        if known > offset:
            self._timeless.discard(step)
        is_timeless = step in self._timeless if self._follow else bool(self._timeless)
        if chunk.complete or known == chunk.next_offset or (is_timeless and known == offset):
            return chunk
        if known > offset:
            return evolve(chunk, data=chunk.data[: known - offset], next_offset=known)
        now = time.monotonic()
        since = now if since is None else since
        if now - since >= A_WHILE:
            self._timeless.add(step)
            return chunk
        self.steps[step] = since
        return evolve(chunk, data=b"", next_offset=offset)


@define
class _Line:
    """Where the log of a step stands: whether a line has begun, and what is to come before an LF that comes next.

    That is nothing after the CR of a line, whose end it is too, and the time of a CR that was there alone.
    """

    begun: bool = False
    before_lf: bytes | None = None


class Timestamps:
    """Logs of steps with a time before each line: UTC by RFC 3339 with milliseconds, or a `-` as wide, and a blank.

    A line ends with LF, CRLF or a CR; an empty one that a CR ends is none. Its time is that of its first byte.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def add(self, step: str, offset: int, chunk: LogChunk) -> Iterator[bytes]:
        """What is to be shown for the next piece of a step's log, which begins at `offset`."""
        line = self._lines.setdefault(step, _Line())
        times = _Times(chunk)
        for at in range(0, len(chunk.data), _PIECE):
            yield b"".join(_stamped(line, chunk.data[at : at + _PIECE], offset + at, times))

    def begin_again(self, step: str) -> bool:
        """Take what comes next of a step for the beginning of its log; whether a line had begun that has no end now."""
        return self._lines.pop(step, _Line()).begun


class _Times:
    """The times of a piece of a log, asked for from its beginning to its end."""

    def __init__(self, chunk: LogChunk) -> None:
        self._marks = iter(chunk.times or ())
        self._until = 0.0
        self._text = _UNKNOWN

    def at(self, offset: int) -> tuple[bytes, float]:
        """The time of the byte at an offset, as text, and up to which offset it is that of all."""
        if offset >= self._until:
            mark = next((mark for mark in self._marks if mark.offset > offset), None)
            self._until, self._text = (math.inf, _UNKNOWN) if mark is None else (mark.offset, _text(mark.time))
        return self._text, self._until


def _stamped(line: _Line, data: bytes, offset: int, times: _Times) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        time, until = times.at(offset + at)
        end = int(min(len(data), until - offset))
        end += data[end - 1 : end + 1] == b"\r\n"  # one end, whose time is that of its first half
        yield from _stamped_alike(line, data[at:end], time)
        at = end


def _stamped_alike(line: _Line, data: bytes, time: bytes) -> Iterator[bytes]:
    """The same for bytes that all have one time."""
    before_lf, line.before_lf = line.before_lf, None
    if before_lf is not None and data.startswith(b"\n"):
        yield before_lf + b"\n"
        data = data[1:]
    if not data:
        return
    if data.endswith(b"\r"):
        is_end = line.begun if len(data) == 1 else data[-2:-1] not in b"\r\n"
        line.before_lf = b"" if is_end else time
    begun = 0
    if line.begun:
        found = _BEGUN.match(data)
        assert found is not None  # it matches nothing, too
        begun = found.end()
        yield data[:begun]
    rest = data[begun:]
    if b"\r" in rest:
        yield _LINE.sub(time + rb"\g<0>", rest)
    elif rest:
        lines, end, last = rest.rpartition(b"\n")
        yield (time + lines.replace(b"\n", b"\n" + time) + end if end else b"") + (time + last if last else b"")
    line.begun = data[-1:] not in b"\r\n"


def _text(moment: datetime | None) -> bytes:
    if moment is None:
        return _UNKNOWN
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z ").encode()
