"""Runs of a workspace that are ended with the check that started them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from penstock.errors import PenstockError
from penstock.testing.harness import Harness
from penstock.workspace import Run, Workspace


@contextmanager
def canceled_after(harness: Harness, ws: Workspace, runs: Sequence[Run]) -> Iterator[None]:
    """Cancel runs when the check is done with them, and hold them to end. What went wrong before stays that."""
    try:
        yield
    except BaseException:
        for run in runs:
            with contextlib.suppress(PenstockError):
                run.cancel()
        raise
    for run in runs:
        run.cancel()
    for run in runs:
        harness.wait(ws, run.id, 9)
