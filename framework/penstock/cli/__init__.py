"""The command line. This front imports nothing, so that a start costs only what its command needs."""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, and answer its exit status. Never raises."""
    own = arguments is None
    if own:
        # What a umask takes from the owner, nobody could use afterwards: neither what we make nor what we download.
        os.umask(os.umask(0o077) & 0o077)
        # What a start imports stays until the process ends: to look for garbage in it, meanwhile and at the end,
        # takes a seventh of `import click`. In somebody else's process this is not ours to decide.
        gc.disable()
    from penstock.cli.root import run

    if own:
        gc.freeze()
        gc.enable()
    status = run(arguments)
    if own:
        gc.freeze()  # the process ends: the same for what the command imported
    return status
