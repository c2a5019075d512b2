"""Logs as they come: lines under their steps' names or one JSON document, whatever a log holds, however long it is."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from penstock.cli.output import Output
from penstock.workspace import LogPart, LogParts

A_WHILE = 0.5
"""Seconds after which what has no end yet is shown as it is."""

MOST = 64 * 1024
"""Bytes without an end that are kept for so long; more is shown at once."""

_PAUSE = 0.1
"""Seconds between two looks at logs in which nothing is new."""

_PIECE = 16 * 1024
"""Bytes that are looked through at once: lines may all be empty, and with a name they are many times as long."""

_CR_OF_LINE = re.compile(rb"(?<=[^\r\n])\r")


class UnderNames:
    """Writes what steps wrote at the same time: whole lines, each under its step's name, which is `width` wide.

    A line ends with LF, CRLF or a CR, with which programs redraw a line; an empty one that a CR ends is none. What has
    no end for `A_WHILE` is shown as it is by `tick`, and goes on where it was as long as no other step writes; a
    character of which only a part is there is shown once all of it is.
    """

    def __init__(self, write: Callable[[bytes], None], width: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._width = width
        self._clock = clock
        self._pending: dict[str, tuple[bytes, float]] = {}
        self._after_cr: dict[str, bool] = {}
        """Steps whose last byte was a CR, and whether it ended a line that was shown."""
        self._open: str | None = None

    def add(self, step: str, data: bytes) -> None:
        """Take a piece of a step's log; writes what is whole."""
        for at in range(0, len(data), _PIECE):
            self._add(step, data[at : at + _PIECE])

    def _add(self, step: str, data: bytes) -> None:
        if self._after_cr.pop(step, False):
            # The second half of a CRLF ends what the first has ended, unless that was an empty line.
            data = data.removeprefix(b"\n")
            if not data:
                return
        kept, since = self._pending.pop(step, (b"", self._clock()))
        # A line that is open is one, even if only its end still comes: a byte stands for what was shown of it.
        shown = int(self._open == step)
        text = b"x" * shown + kept + data
        if text.endswith(b"\r"):
            self._after_cr[step] = text[-2:-1] not in b"\r\n"
        text = text.replace(b"\r\n", b"\n")
        if b"\r" in text:
            text = _CR_OF_LINE.sub(b"\n", text).replace(b"\r", b"")
        lines, end, rest = text[shown:].rpartition(b"\n")
        written = b""
        if end:
            written = self._head(step) + lines.replace(b"\n", b"\n" + self._name(step)) + end
            self._open, since = None, self._clock()
        if self._open == step or len(rest) > MOST:
            now, rest = _cut(rest)
            written += self._head(step) + now if now else b""
            self._open = step if now else self._open
        if rest:
            self._pending[step] = rest, since
        if written:
            self._write(written)

    def tick(self) -> None:
        """Write what has had no end for a while."""
        now = self._clock()
        for step, (rest, since) in list(self._pending.items()):
            if now - since >= A_WHILE:
                whole, begun = _cut(rest)
                if whole:
                    self._show(step, whole)
                    self._pending |= {step: (begun, since)} if begun else {}

    def end(self) -> None:
        """Write what never got an end, as lines."""
        for step, (rest, _) in list(self._pending.items()):
            self._show(step, rest)
        if self._open is not None:
            self._write(b"\n")
            self._open = None

    def _show(self, step: str, rest: bytes) -> None:
        del self._pending[step]
        self._write(self._head(step) + rest)
        self._open = step

    def _head(self, step: str) -> bytes:
        """What comes before more of a step: nothing where its line is open, else its name on a new line."""
        if self._open == step:
            return b""
        return (b"" if self._open is None else b"\n") + self._name(step)

    def _name(self, step: str) -> bytes:
        return f"{step:{self._width}} | ".encode()


def _cut(data: bytes) -> tuple[bytes, bytes]:
    """Cut a character that has only begun off the end of UTF-8: a line of another step may come in between."""
    for size in range(1, min(len(data), 3) + 1):
        byte = data[-size]
        if byte >= 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return (data[:-size], data[-size:]) if size < length and byte < 0xF8 else (data, b"")
        if byte < 0x80:
            break
    return data, b""


def show_under_names(output: Output, parts: LogParts, width: int, *, follow: bool) -> None:
    """Print the logs of several steps as they come."""
    lines = UnderNames(output.raw, width)
    for part in looks(parts):
        if part is not None:
            lines.add(part.step, part.data)
        if follow:
            lines.tick()
    lines.end()


def looks(parts: LogParts) -> Iterator[LogPart | None]:
    """The pieces of logs, and None each time that there is none just now, after a pause."""
    while True:
        try:
            part = parts.look()
        except StopIteration:
            return
        if part is None:
            time.sleep(_PAUSE)
        yield part


def show_as_json(output: Output, run_id: str, steps: Iterable[str], parts: Iterable[LogPart]) -> None:
    """Print the logs of steps as one document while they are read, one step after the other."""
    left = dict.fromkeys(steps)
    first = True
    # What cannot be read at all is an error and no document that has begun.
    groups = groupby(parts, key=lambda part: part.step)
    group = next(groups, None)
    output.text(f'{{\n  "id": {output.json_text(run_id)},\n  "steps": {{')

    def begin(name: str) -> None:
        nonlocal first
        output.text(("\n    " if first else ",\n    ") + output.json_text(name) + ': "')
        first = False
        left.pop(name, None)

    while group is not None:
        name, pieces = group
        begin(name)
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for piece in pieces:
            output.text(output.json_text(decoder.decode(piece.data))[1:-1])
        output.text(output.json_text(decoder.decode(b"", final=True))[1:-1] + '"')
        group = next(groups, None)
    for name in list(left):
        begin(name)
        output.text('"')
    output.text("}\n}\n" if first else "\n  }\n}\n")
