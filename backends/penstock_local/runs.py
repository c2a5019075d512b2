"""What callers do with runs: put one into the queue, look at some, ask one to end. The engine does the rest."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence

from penstock.contract.run import Absent, RunReport, RunRequest
from penstock.contract.target import Target
from penstock.errors import PenstockError, TargetRefused
from penstock_local import database, environments, lending, queue, reports, request, store, wake
from penstock_local.layout import Layout
from penstock_local.options import LocalOptions


def submit(target: Target, run: RunRequest) -> None:
    """Put a run into the queue, durably, unless it is there already, and wake the engine.

    Raises TargetRefused, TargetUnavailable.
    """
    if run.id in ("", ".", "..") or "/" in run.id or "\0" in run.id:
        raise TargetRefused(f"the run id `{run.id}` cannot name a folder")
    layout = Layout.of(target)
    layout.make()
    added = False
    try:
        with database.deciding(layout) as connection:
            if not queue.knows(connection, run.id):
                added = True
                _add(layout, connection, target.options, run)
    except BaseException:
        if added:
            _withdraw(layout, run.id)
        raise
    wake.wake(layout)


def _add(layout: Layout, connection: sqlite3.Connection, options: LocalOptions, run: RunRequest) -> None:
    plan = store.read_plan(layout, run.publication.external)
    environment = {name: os.environ[name] for name in options.pass_env if name in os.environ}
    hidden = {name: run.parameters.texts[name] for name in run.parameters.sensitive}
    environments.keep(layout, run.id, environment, hidden)
    text = request.to_text(run.parameters, environment)
    queue.add_job(connection, run.id, run.publication.external, text, (step["name"] for step in plan["steps"]))
    queue.write_settings(connection, _settings(options))


def _withdraw(layout: Layout, run: str) -> None:
    """Remove the environment of a run that was not accepted after all; what fails here, an engine does later."""
    with contextlib.suppress(PenstockError, OSError), database.deciding(layout) as connection:
        if not queue.knows(connection, run):
            environments.forget(layout, run)


def look(target: Target, runs: Sequence[str]) -> dict[str, RunReport | Absent]:
    """What the queue says of each run, as of one moment; an engine that died meanwhile is started again.

    Raises TargetUnavailable.
    """
    layout = Layout.of(target)
    if not layout.has_queue():
        return {run: Absent() for run in runs}
    with database.opened(layout) as connection:
        found = queue.jobs(connection, runs)
        known = [job for job, _ in filter(None, found.values())]
        unfinished = [job for job in known if job["ended"] is None]
        lends = lending.ask(layout, connection, (job["seq"] for job in unfinished))
    if unfinished:
        wake.heal(layout, waiting=lends or any(job["state"] == "queued" or job["cancel"] for job in unfinished))
    for job in known:
        if job["ended"] is not None:  # its engine may have died just before it did this
            with contextlib.suppress(OSError):
                environments.forget(layout, job["id"])
    return {run: Absent() if job is None else reports.run_report(*job) for run, job in found.items()}


def cancel(target: Target, run: str) -> bool:
    """Ask a run to end, durably, and wake the engine; False when it had ended or is not known.

    Raises TargetUnavailable.
    """
    layout = Layout.of(target)
    if not layout.has_queue():
        return False
    with database.deciding(layout) as connection:
        asked = queue.ask_cancel(connection, run)
        if asked:
            queue.write_settings(connection, _settings(target.options))  # its `grace` is meant for this
    if asked:
        wake.wake(layout)
    return asked


def _settings(options: LocalOptions) -> queue.Settings:
    return queue.Settings(options.slots, options.grace, options.idle)
