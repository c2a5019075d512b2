"""The launcher (`penstock.launcher`) as the command of every container: the bucket is at `PENSTOCK_GCS`, or `/gcs`.

Its words are the container's `args`, which KFP and the container's own expansion have both looked at. So a placeholder
is an element of its own, and paths of the bucket are written without `gs://`.
"""

from __future__ import annotations

import functools

from penstock import launcher
from penstock_vertex.wire import REFERENCE

PLACE = launcher.Place(
    root="/gcs",
    variable="PENSTOCK_GCS",
    scheme="gs",
    reference=REFERENCE,
    advice=": is the bucket mounted, and may the service account read it?",
)


@functools.cache
def command() -> tuple[str, ...]:
    """The `command` of every container; its `args` are the launcher's words."""
    return ("sh", "-c", text(), "penstock")


def text() -> str:
    """The launcher, without what is there for people only."""
    return launcher.text(PLACE)
