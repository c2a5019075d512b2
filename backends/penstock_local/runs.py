"""What callers do with runs: put one into the queue, look at some, ask one to end. The engine does the rest."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Mapping, Sequence

from penstock.contract.run import Absent, RunReport, RunRequest
from penstock.contract.target import Target
from penstock.errors import PenstockError, TargetRefused
from penstock_local import (
    binding,
    database,
    environments,
    halted,
    interpreters,
    lending,
    ownership,
    queue,
    removal,
    reports,
    request,
    store,
    succession,
    troubles,
    wake,
)
from penstock_local.layout import Layout, unusable
from penstock_local.options import LocalOptions
from penstock_local.shortage import Shortage


def submit(target: Target, run: RunRequest) -> Mapping[str, str]:
    """Put a run into the queue, durably, unless it is there already, and wake the engine; returns what to show of it.

    Raises TargetRefused, TargetUnavailable, ConfigInvalid `not_owned` or `not_trusted`.
    """
    if run.id in ("", ".", "..") or "/" in run.id or "\0" in run.id:
        raise TargetRefused(f"the run id `{run.id}` cannot name a folder")
    layout = Layout.of(target)
    ownership.make(layout)
    added = False
    try:
        with database.deciding(layout) as connection:
            binding.take(layout, connection)
            if not queue.knows(connection, run.id):
                added = True
                _add(layout, connection, target.options, run)
            asked = queue.request_of(connection, run.id)
    except BaseException:
        if added:
            _withdraw(layout, run.id)
        raise
    succession.hand_over(layout)
    return _details(asked)


def _details(asked: str) -> Mapping[str, str]:
    """What to show of a run as it was put in: the interpreter that its steps find first."""
    with contextlib.suppress(ValueError, RecursionError):  # a damaged one is told of when it is its turn
        python = request.read(asked).python
        if python:
            return {"python": interpreters.described(python)}
    return {}


def _add(layout: Layout, connection: sqlite3.Connection, options: LocalOptions, run: RunRequest) -> None:
    plan = store.read_plan(layout, run.publication.external)
    environment = {name: os.environ[name] for name in options.pass_env if name in os.environ}
    hidden = {name: run.parameters.texts[name] for name in run.parameters.sensitive}
    environments.keep(layout, run.id, environment, hidden)
    python = os.fspath(options.python or interpreters.own())
    text = request.to_text(run.parameters, environment, python, lending.lineage(), trial=run.label is None)
    queue.add_job(connection, run.id, run.publication.external, text, (step["name"] for step in plan["steps"]))
    queue.write_settings(connection, _settings(options))


def _withdraw(layout: Layout, run: str) -> None:
    """Remove the environment of a run that was not accepted after all; what fails here, an engine does later."""
    with contextlib.suppress(PenstockError, OSError):
        database.write_over(layout)  # else the run may come back from the log, and miss it
        with database.deciding(layout) as connection:
            if not queue.knows(connection, run):
                environments.forget(layout, run)


def look(target: Target, runs: Sequence[str]) -> dict[str, RunReport | Absent]:
    """What the queue says of each run, as of one moment; an engine that died meanwhile is started again.

    Raises TargetUnavailable; of runs that have not ended Conflict `root_copied` in a copy, which does not follow them,
    and ConfigInvalid `not_owned` when no engine looks after them and somebody else would have to start it.
    While it waits for its machine, one run that has not ended raises that, and of several those are left out.
    """
    layout = Layout.of(target)
    if not layout.has_queue():
        return {run: Absent() for run in runs}
    guest = ownership.is_guest(layout)
    with database.opened(layout) as connection:
        found = queue.jobs(connection, runs)
        known = [job for job, _ in filter(None, found.values())]
        unfinished = [job for job in known if job["ended"] is None]
        if unfinished:
            binding.refuse_copy(layout, connection)
        lends = not guest and lending.ask(layout, connection, (job["seq"] for job in unfinished))
        shortage = Shortage(layout, connection)
        waits = {run: shortage.of(*job) for run, job in found.items() if job is not None}
    if unfinished and guest:
        _see_engine(layout)
    elif unfinished:
        wake.heal(layout, waiting=lends or any(job["state"] == "queued" or job["cancel"] for job in unfinished))
    for job in known:
        if job["ended"] is not None and not guest:  # its engine may have died just before it did this
            with contextlib.suppress(OSError):
                environments.forget(layout, job["id"])
    paused = halted.found(layout) or troubles.noted(layout) if unfinished else None
    if paused is not None:
        if len(found) == 1:
            raise paused
        found = {run: job for run, job in found.items() if job is None or job[0]["ended"] is not None}
    return {
        run: Absent() if job is None else reports.run_report(layout, *job, waits[run]) for run, job in found.items()
    }


def _see_engine(layout: Layout) -> None:
    """See that somebody else's unfinished runs have an engine. Raises ConfigInvalid `not_owned`, TargetUnavailable."""
    try:
        if not wake.listening(layout):
            raise ownership.not_owned(layout, "who alone starts its engine, and none runs; what is unfinished waits")
    except OSError as error:
        raise unusable(layout.root, error) from None


def cancel(target: Target, run: str) -> bool:
    """Ask a run to end, durably, and wake the engine; False when it had ended or is not known.

    Raises TargetUnavailable, ConfigInvalid `not_owned`.
    """
    layout = Layout.of(target)
    ownership.refuse_guest(layout)
    if not layout.has_queue():
        return False
    with database.deciding(layout) as connection:
        binding.take(layout, connection)
        asked = queue.ask_cancel(connection, run)
        if asked:
            queue.write_settings(connection, _settings(target.options))  # its `grace` is meant for this
    if asked:
        wake.wake(layout)
    return asked


def clear(target: Target, run: str) -> int:
    """Remove what an ended run left, and answer how many bytes that were; none where it has not ended or is not known.

    Raises TargetUnavailable, ConfigInvalid `not_owned`.
    """
    layout = Layout.of(target)
    ownership.refuse_guest(layout)
    with database.opened_if_there(layout) as connection:
        found = queue.job(connection, run) if connection else None
    if found is None or found[0]["ended"] is None:
        return 0
    try:
        layout.see_runs()
        with removal.held(layout.run(run), layout.root) as folder:
            _refuse_unwritable(layout)  # what cannot be removed stays without a word
            size = removal.size_of(folder) if os.path.lexists(folder) else 0
            removal.remove(folder)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise unusable(layout.runs, error) from None
    return size


def _refuse_unwritable(layout: Layout) -> None:
    """Raise TargetUnavailable where nothing of any run can be removed."""
    if os.access(layout.runs, os.W_OK):
        return
    why = errno.EROFS if os.statvfs(layout.runs).f_flag & os.ST_RDONLY else errno.EACCES
    raise unusable(layout.runs, OSError(why, os.strerror(why)))


def _settings(options: LocalOptions) -> queue.Settings:
    return queue.Settings(options.slots, options.grace, options.idle)
