"""`penstock dispatch`: hand accepted runs over and follow them, beside servers that do not."""

from __future__ import annotations

import os
import signal
import time

import click

from penstock.cli.click_ext import Command
from penstock.cli.session import Session

_LOOK = 0.05
"""Seconds between looks whether it is to end."""


@click.command(cls=Command)
def dispatch(session: Session) -> None:
    """Hand accepted runs to their targets and follow them, until SIGTERM.

    Several may share one registry: each run is handed over by one at a time.
    """
    from penstock.cli.commands.serve import log_to_stderr
    from penstock.workspace import Workspace

    log_to_stderr()
    # No `threading.Event`: a handler that sets one waits for itself when it comes as the wait begins.
    ended: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: ended.append(number))
    workspace, dispatcher = Workspace.for_server(session.load_config())
    with workspace:
        dispatcher.start()
        session.output.line({"pid": os.getpid()}, "dispatching")
        while not ended:
            time.sleep(_LOOK)
        dispatcher.stop()
