"""Rows of the queue in the words of the contract: states, times, failures, outputs, logs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from penstock.contract.run import ENDED, Failure, LogChunk, LogTime, RunOutputs, RunReport, StepReport
from penstock.errors import NotFound
from penstock_local import journal, logs, times
from penstock_local.layout import Layout, unusable
from penstock_local.made import Made


def run_report(
    layout: Layout, job: sqlite3.Row, steps: Sequence[sqlite3.Row], waits_for: str | None = None
) -> RunReport:
    """A run and its steps, in the order of the graph. Raises TargetRefused."""
    made = Made(layout, job)
    return RunReport(
        state=job["state"],
        started=_time(job["started"]),
        ended=_time(job["ended"]),
        error=_failure(job["error"]),
        waits_for=waits_for,
        steps=tuple(
            StepReport(
                name=row["name"],
                state=row["state"],
                attempt=row["attempt"],
                started=_time(row["started"]),
                ended=_time(row["ended"]),
                exit_code=row["exit_code"],
                error=_failure(row["error"]),
                outputs=made.by_step(row["name"], json.loads(row["outputs"])) if row["outputs"] else {},
            )
            for row in steps
        ),
    )


def run_outputs(layout: Layout, found: tuple[sqlite3.Row, list[sqlite3.Row]] | None, run: str) -> RunOutputs:
    """The pipeline's outputs as far as they were produced; none before the end. Raises NotFound."""
    if found is None:
        raise NotFound(f"this target does not know the run `{run}`", code="run_not_found")
    job, _ = found
    return RunOutputs(outputs=Made(layout, job).by_run(json.loads(job["outputs"] or "{}")))


def unknown(layout: Layout, run: str) -> NotFound:
    """The error for whoever wants something of a run that is not in the queue, if there is one at all."""
    return NotFound(
        f"nothing of the run `{run}` is below `{layout.root}` any more: that was removed, or another is in its place",
        code="run_not_found",
    )


def log_chunk(layout: Layout, run: str, step: str, look: Callable[[], sqlite3.Row | None], offset: int) -> LogChunk:
    """The next piece of a step's log. `look` reads the step's row, before the log: what ended by then wrote everything.

    Raises NotFound, TargetUnavailable, and what `look` raises.
    """
    row = look()
    if row is None:
        raise NotFound(f"the run `{run}` has no step `{step}` on this target", code="step_not_found")
    path = layout.log_of(run, step)
    try:
        layout.see_runs()  # not the trouble of one log
        piece = logs.read(path, offset, lambda: _had_log(layout, run, row, look))
    except OSError as error:
        raise unusable(path, error) from None
    ended = row["state"] in ENDED
    data, size, identity = piece.data, piece.size, piece.identity
    if size < offset and not data:  # somebody has cut it, as `> /dev/stderr` does
        return LogChunk(data=b"", next_offset=size, complete=ended, identity=identity)
    end = offset + len(data)
    # Marks that lie there still are of the log that is gone.
    known = times.read(path, offset, end) if identity != logs.NO_LOG else [LogTime(end, None)] if data else []
    if known is None and not ended:
        known = []  # there may be some in a moment
    elif known is not None and ended and (known[-1].offset if known else offset) < end:
        known.append(LogTime(end, None))
    return LogChunk(data=data, next_offset=end, complete=ended and end >= size, times=known, identity=identity)


def _had_log(layout: Layout, run: str, row: sqlite3.Row, look: Callable[[], sqlite3.Row | None]) -> bool:
    """Whether there was a log of a step: an attempt is on record a moment before its log is made, and its keeper notes
    it after that. Raises NotFound `run_gone` where all is gone that the run left.
    """
    if _has_begun(layout, run, row):
        return True
    # A keeper forgets a step when its end is on record, which may have been after the row was read.
    now = None if row["state"] in ENDED else look()
    return now is not None and _has_begun(layout, run, now)


def _has_begun(layout: Layout, run: str, row: sqlite3.Row) -> bool:
    ended = row["state"] in ENDED
    if ended and row["attempt"] and not layout.run(run).exists():
        raise NotFound(f"what the run `{run}` left is gone: `{layout.run(run)}` was removed", code="run_gone")
    if row["failures"] or row["interruptions"]:  # the line that another attempt begins was in it
        return True
    if ended:
        return row["exit_code"] is not None
    return bool(row["token"]) and journal.knows(layout.keepers, row["token"])


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _failure(text: str | None) -> Failure | None:
    return Failure(**json.loads(text)) if text else None
