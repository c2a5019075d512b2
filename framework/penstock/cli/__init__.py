"""The command line. This front imports nothing, so that a start costs only what its command needs."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, and answer its exit status. Never raises."""
    from penstock.cli.root import run

    return run(arguments)
