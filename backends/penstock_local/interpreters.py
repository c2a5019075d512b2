"""Which `python` a step finds first: the one that its publication froze, whoever started the engine."""

from __future__ import annotations

import functools
import os
import re
import selectors
import signal
import stat
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

STANDARD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PATIENCE = 10.0
"""Seconds that an interpreter has to say its version."""
_MOST = 4096
"""Bytes that are read of what it says."""


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


def refuse_gone(python: str, command: Sequence[str], *, trial: bool) -> None:
    """Raise OSError when a command begins with `python` and the interpreter that is meant is not there any more.

    Another one further down the PATH would be taken in silence. A `trial` is the run of a file, which froze none.
    """
    if is_gone(python, command):
        since, todo = "was frozen when this was published", "publish it again under another label"
        if trial:
            since, todo = (
                "was there when this file was submitted",
                "see to the target's option `python` and submit it again",
            )
        raise OSError(f"the interpreter `{python}`, which {since}, is not there any more; {todo}")


def is_gone(python: str, command: Sequence[str]) -> bool:
    """Whether a command begins with `python`, and the interpreter that it means is not there any more."""
    names_it = command and command[0].startswith("python") and "/" not in command[0]
    return bool(python and names_it) and not _is_there(python)


def _is_there(python: str) -> bool:
    """Whether a path, or what it is a link to, is there, or cannot be looked at."""
    try:
        os.stat(python)  # noqa: PTH116  # the path is text
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def wrong(python: str) -> str:
    """What keeps a path from being that of a Python, for people; empty when nothing does. It is asked for its version.

    In one process it is asked once, for as long as it is not changed.
    """
    if python == own():
        return "" if os.path.exists(python) else "it is not there any more"  # noqa: PTH110  # the path is text
    try:
        found = os.stat(python)  # noqa: PTH116  # as above
    except FileNotFoundError:
        return "it is a link to what is not there" if os.path.lexists(python) else "it is not there"
    except OSError as error:
        return error.strerror or "it cannot be looked at"
    if not stat.S_ISREG(found.st_mode):
        return "it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no file"
    if not os.access(python, os.X_OK):
        return "it may not be executed"
    said = _asked(python, found.st_mtime_ns)
    return "" if said else "it is no Python: asked for its version, it says none"


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
    return _asked(python, changed)


@functools.cache
def _asked(python: str, changed: int) -> str:
    """The version that a program says when it is asked as a Python is; empty when it says none in time."""
    import subprocess

    command = [python, "-E", "-s", "-c", "import sys; print(sys.version.split()[0])"]
    null = subprocess.DEVNULL
    try:
        asked = subprocess.Popen(
            command, stdin=null, stdout=subprocess.PIPE, stderr=null, cwd="/", start_new_session=True
        )
    except (OSError, ValueError):
        return ""
    assert asked.stdout is not None
    with asked.stdout:
        said = _read(asked.stdout.fileno(), time.monotonic() + _PATIENCE)
        with suppress(ProcessLookupError):  # who says so much, or is silent, is not waited for, nor what it started
            os.killpg(asked.pid, signal.SIGKILL)
        asked.wait()
    found = re.fullmatch(rb"(\d+\.\d+\S*)\r?\n", said)
    return found[1].decode("ascii", "replace") if found else ""


def _read(pipe: int, deadline: float) -> bytes:
    """What comes out of a pipe until it is closed, until it is too much, or until it is too late."""
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while len(said) < _MOST and (left := deadline - time.monotonic()) > 0:
            if selector.select(left):
                data = os.read(pipe, _MOST)
                if not data:
                    break
                said += data
    return said
