"""Which `python` a step finds first: the one that its publication froze, whoever started the engine."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Sequence
from pathlib import Path

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 10.0
"""Seconds that an interpreter has to say its version."""


def own() -> str:
    """The Python that this is: ours, or where a program has Python built in the one that it was built from."""
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    beside = Path(sys.exec_prefix, "bin", name)
    ours = sys.executable or ""
    return ours if Path(ours).name.startswith(("python", "pypy")) or not beside.exists() else str(beside)


def search_path(python: str) -> str:
    """The folder of an interpreter, and what every system has; see `stand_ins` for the PATH of a step."""
    folder = os.path.dirname(python)  # noqa: PTH120  # a link in a virtual environment is meant as it is
    return f"{folder}{os.pathsep}{STANDARD_PATH}"


def refuse_gone(python: str, command: Sequence[str]) -> None:
    """Raise OSError when a command begins with `python` and the interpreter that is meant is not there any more.

    Another one further down the PATH would be taken in silence.
    """
    if command and command[0].startswith("python") and "/" not in command[0] and not os.path.lexists(python):
        raise OSError(
            f"the interpreter `{python}`, which was frozen when this was published, is not there any more; publish it "
            "again under another label"
        )


def described(python: str) -> str:
    """An interpreter and its version, for people: `/opt/ml/bin/python (3.11.7)`."""
    try:
        changed = os.stat(python).st_mtime_ns  # noqa: PTH116  # the path is text
    except OSError:
        return python
    version = _version(python, changed)
    return f"{python} ({version})" if version else python


@functools.cache
def _version(python: str, changed: int) -> str:
    if python == own():
        return sys.version.split()[0]
    try:
        for line in Path(python).parents[1].joinpath("pyvenv.cfg").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition("=")
            if key.strip() in ("version", "version_info"):
                return value.strip()
    except (OSError, ValueError, IndexError):
        pass  # it is in no virtual environment
    return _asked(python)


def _asked(python: str) -> str:
    import subprocess

    ask = [python, "-I", "-c", "import sys; print(sys.version.split()[0])"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout.strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""  # whatever is wrong with it the step will say
