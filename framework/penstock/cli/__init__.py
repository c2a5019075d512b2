"""The command line. This front imports nothing, so that a start costs only what its command needs."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal` without its enumerations, which take a start's time
import gc
import os
import time
from collections.abc import Callable, Sequence

_AT_ONCE = 1.0
"""Seconds in which one Ctrl-C may come more than once: `timeout -s INT` sends it to the command and to its group."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default the process's own, and answer its exit status. Never raises."""
    if arguments is not None:
        from penstock.cli.root import run

        return run(arguments)
    # Whoever is not to hear of it, as a background job of a shell, still does not.
    hears = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler
    if hears:
        _signal.signal(_signal.SIGINT, _leave)
    # What a umask takes from the owner, nobody could use afterwards: neither what we make nor what we download.
    os.umask(os.umask(0o077) & 0o077)
    # What a start imports stays until the process ends: to look for garbage in it, meanwhile and at the end,
    # takes a seventh of `import click`. In somebody else's process this is not ours to decide.
    gc.disable()
    from penstock.cli.root import run

    gc.freeze()
    gc.enable()
    try:
        if hears:
            _signal.signal(_signal.SIGINT, _interrupt_once())
        status = run()
        if hears:  # it has answered: what comes now changes nothing of that, nor as Python ends
            _signal.signal(_signal.SIGINT, _signal.SIG_IGN)
    except KeyboardInterrupt:  # before the command began to run, or after it had answered
        _leave()
    gc.freeze()  # the process ends: the same for what the command imported
    return status


def _leave(*_: object) -> None:
    """End at once: nothing was begun. An exception in the middle of an import would be shown as a traceback."""
    os.write(2, b"interrupted\n")
    os._exit(130)


def _interrupt_once() -> Callable[..., None]:
    """A handler that raises KeyboardInterrupt the first time; what comes with it is the same one, and a later one ends
    the command at once.
    """
    first: list[float] = []

    def interrupt(*_: object) -> None:
        if not first:
            first.append(time.monotonic())
            raise KeyboardInterrupt
        if time.monotonic() - first[0] > _AT_ONCE:
            os._exit(130)

    return interrupt
