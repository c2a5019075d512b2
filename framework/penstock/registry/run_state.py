"""How the state of a run changes (law 9): reports of targets and cancels; only forward, and an end is final."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import count
from sqlite3 import Row
from typing import Literal

from penstock.callers import Caller
from penstock.contract.run import ENDED, Absent, Failure, RunReport, StepReport
from penstock.records import RunRecord
from penstock.registry import outbox, snapshots
from penstock.registry.database import Transaction
from penstock.registry.history import SYSTEM, record
from penstock.registry.lookup import need_run, record_of
from penstock.registry.messages import CancelOutcome
from penstock.registry.rows import Columns, failure_json, from_time, run_record, to_json
from penstock.spec import Value


def report(
    tx: Transaction,
    run_id: str,
    report: RunReport | Absent,
    outputs: Mapping[str, Value] | None = None,
    step_outputs: Mapping[str, Mapping[str, Value]] | None = None,
) -> tuple[RunRecord, bool]:
    """Take a report in as far as it goes forward; returns the run and whether anything changed.

    `outputs` and `step_outputs` are the typed values of what the report names. A run that the target does not
    know is lost once it was handed over; ask about runs only when `ref` has their receipt. Raises NotFound.
    """
    row = need_run(tx, run_id)
    told, columns, steps = _news(tx, row, report, outputs, step_outputs or {})
    if not columns and not steps:
        return record_of(tx, row), False
    if columns:
        why = "" if told.error is None else f"{told.error.code}: {told.error.message}"
        when = told.ended if told.state in ENDED else told.started
        _change(tx, row, SYSTEM, columns, reason=why, happened=when)
    for position, values in steps.items():
        marks = ", ".join("?" * (2 + len(values)))
        tx.run(f"INSERT OR REPLACE INTO run_steps VALUES ({marks})", row["seq"], position, *values)
    return record_of(tx, need_run(tx, row["id"])), True


def is_news(
    tx: Transaction,
    run_id: str,
    report: RunReport | Absent,
    outputs: Mapping[str, Value] | None = None,
    step_outputs: Mapping[str, Mapping[str, Value]] | None = None,
) -> bool:
    """Whether a report would change anything: most do not, and then nothing has to be written. Raises NotFound."""
    _, columns, steps = _news(tx, need_run(tx, run_id), report, outputs, step_outputs or {})
    return bool(columns or steps)


def preview(
    tx: Transaction,
    run_id: str,
    report: RunReport | Absent,
    outputs: Mapping[str, Value] | None = None,
    step_outputs: Mapping[str, Mapping[str, Value]] | None = None,
) -> RunRecord:
    """The run as it would be once a report is taken in, of which nothing is written. Raises NotFound."""
    row = need_run(tx, run_id)
    _, columns, news = _news(tx, row, report, outputs, step_outputs or {})
    steps: dict[int, Columns] = {
        one["position"]: one for one in tx.all("SELECT * FROM run_steps WHERE run = ?", row["seq"])
    }
    steps.update((position, dict(zip(_STEP, values, strict=True))) for position, values in news.items())
    return run_record({**dict(row), **columns}, (steps[position] for position in sorted(steps)))


def _news(
    tx: Transaction,
    row: Row,
    report: RunReport | Absent,
    outputs: Mapping[str, Value] | None,
    step_outputs: Mapping[str, Mapping[str, Value]],
) -> tuple[RunReport, dict[str, object], dict[int, tuple[object, ...]]]:
    """What a report says, and what of it is new: columns of the run, and rows of steps by position."""
    if isinstance(report, Absent):
        lost = Failure(code="run_lost", message="the target does not know the run any more")
        report = RunReport(state="failed", error=lost)
        if row["external"] is None:
            return report, {}, {}
    if row["ended"] is not None or _rank(report.state) < _rank(row["state"]):
        return report, {}, {}
    ends = report.state in ENDED
    columns = {
        "state": report.state,
        "started": row["started"] if report.started is None or row["started"] else from_time(report.started),
        "ended": None if not ends else tx.now if report.ended is None else from_time(report.ended),
        "error": failure_json(report.error) if ends else None,
        "waits_for": None if ends else report.waits_for,
        "outputs": row["outputs"] if outputs is None else to_json(dict(outputs)),
    }
    known = {one["name"]: one for one in tx.all("SELECT * FROM run_steps WHERE run = ?", row["seq"])}
    told = {step.name: step for step in report.steps}
    new = (name for name in told if name not in known)
    positions = {**{name: one["position"] for name, one in known.items()}, **dict(zip(new, count(len(known))))}
    steps: dict[int, tuple[object, ...]] = {}
    for name, step in told.items():
        values = _values(step, step_outputs.get(name, {}))
        before = known.get(name)
        if before is None or not (_is_behind(step, before) or values == tuple(before)[2:]):
            steps[positions[name]] = values
    return report, {column: value for column, value in columns.items() if value != row[column]}, steps


def end_here(
    tx: Transaction, run: Row, caller: Caller, state: str, *, reason: str, failure: Failure | None = None
) -> None:
    """End a row of RUNS by a decision made here, not by its target."""
    _change(tx, run, caller, {"state": state, "ended": tx.now, "error": failure_json(failure)}, reason=reason)


def _change(
    tx: Transaction,
    run: Row,
    caller: Caller,
    columns: Mapping[str, object],
    *,
    reason: str,
    happened: datetime | None = None,
) -> None:
    """Change columns of a row of RUNS, and record its new state if that is one of them."""
    changes = ", ".join(f"{column} = ?" for column in columns)
    tx.run(f"UPDATE runs SET {changes} WHERE seq = ?", *columns.values(), run["seq"])
    if "state" not in columns:
        return
    state = str(columns["state"])
    action, names = "run_ended" if state in ENDED else "run_started", (run["id"], run["pipeline"])
    record(tx, caller, action, "run", *names, from_=run["state"], to=state, reason=reason, happened=happened)
    if state in ENDED:
        # Nothing is owed for it any more, and a trial's publication may go.
        tx.run("DELETE FROM outbox WHERE kind IN ('submit', 'cancel') AND subject = ?", run["seq"])
        if run["published"] is None:
            snapshots.retire_if_unused(tx, run["publication"])


def request_cancel(tx: Transaction, ref: str, caller: Caller, *, reason: str = "") -> CancelOutcome:
    """Ask a run to end: at once before its hand-over began, later by a request. Raises NotFound."""
    row = need_run(tx, ref)
    done = cancel_one(tx, row, caller, reason)
    after = record_of(tx, need_run(tx, row["id"]))
    return CancelOutcome(run=after, ended=done == "ended", requested=done == "requested")


def cancel_one(tx: Transaction, run: Row, caller: Caller, reason: str) -> Literal["ended", "requested", "nothing"]:
    """Cancel a row of RUNS: end it, record the request, or nothing when it ended or was asked before."""
    if run["ended"] is not None or run["cancel_requested"] is not None:
        return "nothing"
    tx.run("UPDATE runs SET cancel_requested = ?, cancel_reason = ? WHERE seq = ?", tx.now, reason, run["seq"])
    pending = tx.one("SELECT started FROM outbox WHERE kind = 'submit' AND subject = ?", run["seq"])
    if pending is not None and pending["started"] is None:
        end_here(tx, run, caller, "canceled", reason=reason)
        return "ended"
    record(tx, caller, "run_cancel_requested", "run", run["id"], run["pipeline"], reason=reason)
    if run["external"] is not None:
        outbox.owe(tx, "cancel", run["seq"], run["target"])
    return "requested"


def _is_behind(told: StepReport, known: Row) -> bool:
    """Whether what is known of a step is the later word; in one state, the later attempt is."""
    return known["state"] in ENDED or (_rank(told.state), told.attempt) < (_rank(known["state"]), known["attempt"])


_STEP = ("name", "state", "attempt", "started", "ended", "exit_code", "error", "outputs")


def _values(step: StepReport, outputs: Mapping[str, Value]) -> tuple[object, ...]:
    """The columns of a step behind its run and position, as they are called in `_STEP`."""
    return (
        step.name,
        step.state,
        step.attempt,
        None if step.started is None else from_time(step.started),
        None if step.ended is None else from_time(step.ended),
        step.exit_code,
        failure_json(step.error),
        to_json(dict(outputs)),
    )


def _rank(state: str) -> int:
    return 2 if state in ENDED else 1 if state == "running" else 0
