"""`penstock run outputs --download`: how far it is, on standard error, and what was written."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.cli.output import Output, is_terminal
from penstock.cli.tables import Table

if TYPE_CHECKING:
    from penstock.workspace import Workspace
    from penstock.workspace.downloads import Progress

_SECONDS, _SECONDS_OF_A_LOG = 0.1, 10.0
"""Between two words of how far it is: in a terminal, where the next takes the place of the last, and elsewhere."""


def download(output: Output, workspace: Workspace, ref: str, folder: Path, names: Sequence[str]) -> None:
    """Download artifacts of a run, all of them if no names are given, and answer what was written."""
    with _progress(output) as watch:
        run = workspace.runs.get(ref).id
        done = workspace.runs.download(run, folder, names=names or None, watch=watch)
    output.warn(
        f"links in `{one.name}` that lead out of it were left out: {one.left_out}" for one in done if one.left_out
    )
    rows = [(one.name, one.type, one.files, size_text(one.bytes), one.path) for one in done]
    shown = Table(("ARTIFACT", "TYPE", "FILES", "SIZE", "PATH"), rows) if rows else "no artifacts"
    output.answer({"id": run, "artifacts": done}, [shown], [str(one.path) for one in done])


def size_text(size: int) -> str:
    """A number of bytes as people read it: `17 B`, `1.2 MiB`."""
    shown, units = float(size), ["TiB", "GiB", "MiB", "KiB", "B"]
    while shown >= 1024 and len(units) > 1:
        shown /= 1024
        units.pop()
    return f"{size} B" if size < 1024 else f"{shown:.1f} {units[-1]}"


@contextmanager
def _progress(output: Output) -> Iterator[Progress | None]:
    """What is told of how far it is; in a terminal nothing stays of it."""
    if output.quiet:
        yield None
        return
    fleeting = is_terminal(sys.stderr)
    pause = _SECONDS if fleeting else _SECONDS_OF_A_LOG
    due = time.monotonic() + pause

    def watch(name: str, size: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            line = f"downloading {name}: {size_text(size)}"
            (output.fleeting if fleeting else output.note)(line)
            due = time.monotonic() + pause

    try:
        yield watch
    finally:
        output.fleeting("")
