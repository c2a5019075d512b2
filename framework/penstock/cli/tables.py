"""Tables and records for people: by rich in a terminal, as plain aligned text everywhere else."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from penstock.text import printable

STYLES: Mapping[str, str] = {
    "succeeded": "green",
    "failed": "red",
    "canceled": "yellow",
    "running": "cyan",
    "disabled": "red",
    "unavailable": "red",
    "pass": "green",
    "fail": "red",
    "skip": "yellow",
}
"""How a cell that is exactly this word is painted in a terminal."""


_MORE = "\N{HORIZONTAL ELLIPSIS}"
_WIDEST = 60
"""How wide prose in a table is at the most, unless it stands in the last column, where it pushes nothing away."""


class Table:
    """Columns and rows of text. Without columns it is a record: two columns, a key and its value.

    A cell of several words is shortened where it would push other columns away; a path or an id never is.
    """

    def __init__(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        self.columns = tuple(columns)
        whole = [tuple("" if cell is None else printable(str(cell)) for cell in row) for row in rows]
        self.rows = [(*map(_shortened, row[:-1]), row[-1]) for row in whole] if columns else whole
        self.is_short = self.rows != whole

    def print(self, stream: TextIO, *, rich: bool) -> None:
        """Print the table. No line is cut or folded; a terminal wraps those that are too wide for it."""
        if rich:
            self._print_rich(stream)
        else:
            self._print_plain(stream)
        if self.is_short:
            stream.write(f"what ends in {_MORE} is whole in --json\n")

    def _print_plain(self, stream: TextIO) -> None:
        lines = [*([self.columns] if self.columns else []), *self.rows]
        widths = self._widths()
        for line in lines:
            cells = (cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True))
            stream.write("  ".join(cells).rstrip() + "\n")

    def _print_rich(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, show_header=bool(self.columns), pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for name in self.columns or ("", ""):
            grid.add_column(name, overflow="fold")
        for row in self.rows:
            cells = [Text(cell, style=STYLES.get(cell, "")) for cell in row]
            if not self.columns:
                cells[0].stylize("bold")
            grid.add_row(*cells)
        # Wider than the terminal is better than a uuid or a path cut in two: the terminal wraps what can be copied.
        console = Console(file=stream, highlight=False)
        console.width = max(console.width, sum(self._widths()) + 2 * len(grid.columns))
        with console.capture() as drawn:
            console.print(grid)
        # What rich pads the last column with would wrap into empty lines.
        stream.write("".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines()))

    def _widths(self) -> list[int]:
        lines = [*([self.columns] if self.columns else []), *self.rows]
        return [max(map(_width, column)) for column in zip(*lines, strict=True)]


def record(pairs: Iterable[tuple[str, object]]) -> Table:
    """A table of keys and values; pairs whose value is None or empty text are left out."""
    return Table((), [pair for pair in pairs if pair[1] not in (None, "")])


def _shortened(text: str) -> str:
    if len(text) <= _WIDEST or " " not in text:
        return text
    return f"{text[: _WIDEST - 1].rstrip()}{_MORE}"


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in "WF" else 1 for one in text
    )
