"""The launcher (`penstock.launcher`) as a code asset brings it, and the shell text that starts it."""

from __future__ import annotations

import functools
from pathlib import Path

from penstock import launcher
from penstock_azureml.wire import REFERENCE

PLACE = launcher.Place(root="/", variable="PENSTOCK_ROOT", scheme="file", reference=REFERENCE, plain=True)
"""Azure mounts or copies content before a step begins: every path is one of the container, and texts are written as
they are."""


@functools.cache
def files() -> dict[str, bytes]:
    """The files of every code asset: `launch.sh`, which a step's command begins with, and what it runs."""
    shell = Path(__file__).with_name("launch.sh").read_text(encoding="utf-8")
    return {"attempt.sh": launcher.text(PLACE).encode(), "launch.sh": shell.encode()}
