"""The one place that prints: tables, records, lines, ids and JSON on standard output; the rest on standard error."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeAlias

from penstock.text import printable

if TYPE_CHECKING:
    from penstock.cli.tables import Table
    from penstock.errors import PenstockError

_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""DEL, C1, line separators and what turns the direction of text: `json` leaves them as they are."""

LOOK = "see whether it was done all the same before you try again"
"""What to do where something was lacking on the way, which may have been after a decision."""

Block: TypeAlias = "str | Table"
"""Something to show to a person: a line or a table."""


class Output:
    """Where one command line answers: as JSON, as bare ids or for a person."""

    def __init__(self, *, json: bool = False, quiet: bool = False) -> None:
        self.json = json
        self.quiet = quiet
        for stream in (sys.stdout, sys.stderr):
            # An answer may hold any text; a terminal's encoding must not turn it into an error.
            getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")

    def answer(self, data: object, blocks: Iterable[Block], ids: Iterable[str] = ()) -> None:
        """Print the command's one answer: `data` as JSON, `ids` when quiet, else `blocks`."""
        if self.json:
            self.document(data)
        elif self.quiet:
            for identity in ids:
                print(printable(identity))
        else:
            for block in blocks:
                self.show(block)

    def document(self, data: object) -> None:
        """Print one JSON document: records and outcomes, and mappings and lists of them."""
        from penstock.codec import to_data

        print(self.json_text(to_data(data), indent=2))

    @staticmethod
    def json_text(data: Any, indent: int | None = None) -> str:
        """Plain data as JSON that standard output can hold and a terminal may see.

        ASCII unless standard output is UTF-8; what controls a terminal or turns the direction of text is escaped.
        """
        import json

        text = json.dumps(data, ensure_ascii=not _is_utf8(sys.stdout), indent=indent)
        return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

    def text(self, text: str) -> None:
        """Write a piece of text to standard output as it is."""
        sys.stdout.write(text)

    def show(self, block: Block) -> None:
        """Print a line or a table on standard output."""
        if isinstance(block, str):
            print(printable(block))
        else:
            block.print(sys.stdout, rich=is_terminal(sys.stdout))

    def line(self, data: object, text: str) -> None:
        """Print one line at once: of what goes on, a script reads the first line and not the whole."""
        from penstock.codec import to_data

        print(self.json_text(to_data(data)) if self.json else printable(text), flush=True)

    def raw(self, data: bytes) -> None:
        """Write bytes to standard output exactly as they are, at once."""
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    def note(self, line: str) -> None:
        """Print a line on standard error."""
        print(printable(line), file=sys.stderr, flush=True)

    def verdict(self, word: str, colour: str, line: str) -> None:
        """Print a word in its colour and a line on standard error, over a fleeting one."""
        over = "\r\x1b[2K" if is_terminal(sys.stderr) else ""
        print(f"{over}{paint(word, colour, sys.stderr)}  {printable(line)}", file=sys.stderr, flush=True)

    def fleeting(self, line: str) -> None:
        """Show a line on standard error until the next verdict, where it is a terminal."""
        if is_terminal(sys.stderr):
            print(f"\r\x1b[2K{printable(line)}"[: columns() - 1], end="", file=sys.stderr, flush=True)

    def warn(self, lines: Iterable[str]) -> None:
        """Print warnings on standard error."""
        for line in lines:
            print(f"{paint('warning:', 'yellow', sys.stderr)} {printable(line)}", file=sys.stderr, flush=True)

    def failure(self, error: PenstockError, hint: str = "") -> None:
        """Print an error: one line and a line for each detail, or one JSON document."""
        if self.json:
            print(self.json_text(error.to_dict(), indent=2))
            return
        sys.stdout.flush()
        print(f"{paint('error:', 'red', sys.stderr)} {printable(error.message)}", file=sys.stderr)
        for detail in error.untold:
            print(f"  {printable(str(detail))}", file=sys.stderr)
        if hint:
            print(printable(hint), file=sys.stderr)
        sys.stderr.flush()


def _is_utf8(stream: TextIO) -> bool:
    return (stream.encoding or "").lower().replace("_", "-") in ("utf-8", "utf8")


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal that can redraw."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def columns() -> int:
    """How wide the terminal is, as `shutil.get_terminal_size` finds out, whose module imports all compressions."""
    with suppress(KeyError, ValueError):
        if (said := int(os.environ["COLUMNS"])) > 0:
            return said
    with suppress(AttributeError, ValueError, OSError):
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 80  # type: ignore[union-attr]  # suppressed
    return 80


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in a colour, where the stream is a terminal and nobody set NO_COLOR."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return text
    import click

    return click.style(text, fg=colour, bold=True)
