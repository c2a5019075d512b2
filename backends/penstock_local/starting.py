"""Starting an engine's process, and hearing whether it came up: one that ends before it listens says why at once."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import TargetUnavailable, one_line
from penstock.opening import SWAPPED, open_file
from penstock.text import printable
from penstock_local import halted, interpreters, places
from penstock_local.layout import Layout

READY = b"ready\n"
"""What an engine says once it listens. Anything else is why it does not."""
GIVES_UP = "gives up for now: "
"""What comes before the reason in the line that an engine leaves in its log."""
GIVES_WAY = "gives way to "
"""What is in the line of one that ended because another installation's engine is there to go on."""
_PATIENCE = 8.0
"""Seconds to wait for that; a machine that takes longer is not told from one that is slow."""
_LOG_LIMIT = 1024 * 1024
_LINE = 4096


def start(layout: Layout, claimed: tuple[int, ...], environment: Mapping[str, str]) -> None:
    """Start an engine that has the open files of `claimed`, which are ours no more, and wait until it listens.

    They are lock and pipe, or the place of a successor, see `succession`.

    Raises TargetUnavailable `engine_not_started`, `engine_stopped`, OSError when its log cannot be opened.
    """
    with contextlib.ExitStack() as ours:
        with contextlib.ExitStack() as handed_over:
            for file in claimed:
                handed_over.callback(os.close, file)
            log = places.open_ours(layout.log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
            ours.callback(os.close, log)
            if os.fstat(log).st_size > _LOG_LIMIT:
                os.ftruncate(log, 0)
            begin = os.fstat(log).st_size
            heard, said = os.pipe()
            ours.callback(os.close, heard)
            handed_over.callback(os.close, said)
            _spawn(layout, (*claimed, said), environment, log)
        _hear(layout, heard, log, begin)


def _spawn(layout: Layout, files: tuple[int, ...], environment: Mapping[str, str], log: int) -> None:
    engine = [interpreter(), "-P", "-m", "penstock_local.engine", str(layout.root), *map(str, files)]
    try:
        # The shell ends at once: the engine has no parent that would have to wait for it.
        subprocess.run(
            ["/bin/sh", "-c", '"$@" &', "sh", *engine],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            pass_fds=files,
            start_new_session=True,
            cwd="/",
            env={**environment, **_import_path()},
            check=False,
        )
    except OSError as error:
        raise _not_started(layout, one_line(error)) from None


def _hear(layout: Layout, heard: int, log: int, begin: int) -> None:
    """Wait for the engine's first word, or for the end of everybody who could say it."""
    if not select.select([heard], [], [], _PATIENCE)[0]:
        stopped = halted.found(layout)
        if stopped is not None:
            raise stopped
        return
    word = os.read(heard, _LINE)
    if word == READY:
        return
    said = word or os.pread(log, _LINE, max(begin, os.fstat(log).st_size - _LINE))
    raise _not_started(layout, _last_line(said) or "it ended at once and without a word in its log")


def trouble(layout: Layout, rest: float) -> TargetUnavailable | None:
    """What to say of an engine that gave up less than `rest` seconds ago; None when none did. Raises OSError."""
    try:
        with os.fdopen(open_file(layout.log), "rb") as log:
            found = os.fstat(log.fileno())
            if not found.st_size or not 0 <= time.time() - found.st_mtime < rest:
                return None
            why = _last_line(os.pread(log.fileno(), _LINE, max(0, found.st_size - _LINE)))
            if GIVES_WAY in why:
                return None
            what = "has given up" if GIVES_UP in why else "does not start"
            found_out = _not_started(layout, why.rpartition(GIVES_UP)[2], what)
            found_out.retry_after = rest
            return found_out
    except OSError as error:
        if error.errno not in (errno.ENOENT, *SWAPPED):
            raise
        return None  # whatever lies there, it says nothing; it gives way when one starts


def _not_started(layout: Layout, why: str, what: str = "does not start") -> TargetUnavailable:
    message = f"the engine of `{layout.root}` {what}: {why}; see `{layout.log}`"
    return TargetUnavailable(message, code="engine_not_started")


def _last_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").split("\n")
    return next((printable(line.strip()) for line in reversed(lines) if line.strip()), "")


def interpreter() -> str:
    """The Python that engines run on."""
    return interpreters.own()


def _import_path() -> dict[str, str]:
    """What an engine needs to find penstock where we have it from PYTHONPATH or from a zip file; mostly nothing.

    A PYTHONPATH that has nothing to do with penstock is the caller's own business.
    """
    given = [os.path.abspath(one) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]  # noqa: PTH100  # links stay as they are
    home = str(Path(__file__).absolute().parents[1])
    if home not in given:
        if not Path(home).is_file():
            return {}
        given.insert(0, home)
    return {"PYTHONPATH": os.pathsep.join(given)}


def say(ready: int | None, word: bytes) -> None:
    """Tell whoever started this engine, who may have gone. It is told once: the open file is closed."""
    if ready is not None:
        with contextlib.suppress(OSError):
            os.write(ready, word[:_LINE])
        os.close(ready)
