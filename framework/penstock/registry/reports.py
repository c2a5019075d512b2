"""What targets say about runs (law 9): states only go forward, and an end is final, for a run and for each step."""

from __future__ import annotations

from collections.abc import Mapping
from sqlite3 import Row

from penstock.contract.run import ENDED, Absent, Failure, RunReport, StepReport
from penstock.records import RunRecord, StepRecord
from penstock.registry.database import Transaction
from penstock.registry.history import SYSTEM, record
from penstock.registry.lookup import need_run
from penstock.registry.rows import failure_json, from_time, run_record, steps_json, steps_of, to_json
from penstock.spec import Value


def report(
    tx: Transaction,
    run_id: str,
    report: RunReport | Absent,
    outputs: Mapping[str, Value] | None,
    step_outputs: Mapping[str, Mapping[str, Value]],
) -> tuple[RunRecord, bool]:
    """Take a report in as far as it goes forward; answers the run and whether anything changed.

    `outputs` and `step_outputs` are the typed values of what the report names. A run that the target does not
    know is lost once it was handed over; ask about runs only when `run_ref` has their receipt. Raises NotFound.
    """
    row = need_run(tx, run_id)
    if isinstance(report, Absent):
        if row["external"] is None:
            return run_record(row), False
        lost = Failure(code="run_lost", message="the target does not know the run any more")
        report = RunReport(state="failed", error=lost)
    if row["ended"] is not None or _rank(report.state) < _rank(row["state"]):
        return run_record(row), False
    steps = _merge(steps_of(row["steps"]), report.steps, step_outputs)
    ends = report.state in ENDED
    columns = {
        "state": report.state,
        "started": row["started"] if report.started is None or row["started"] else from_time(report.started),
        "ended": None if not ends else tx.now if report.ended is None else from_time(report.ended),
        "error": failure_json(report.error) if ends else None,
        "steps": steps_json(steps),
        "outputs": row["outputs"] if outputs is None else to_json(dict(outputs)),
    }
    changes = {column: value for column, value in columns.items() if value != row[column]}
    if not changes:
        return run_record(row), False
    tx.run(
        f"UPDATE runs SET {', '.join(f'{column} = ?' for column in changes)} WHERE seq = ?",
        *changes.values(),
        row["seq"],
    )
    if ends:
        tx.run("DELETE FROM handovers WHERE run = ?", row["seq"])
    if "state" in changes:
        _remember(tx, row, report)
    return run_record(need_run(tx, row["id"])), True


def _merge(
    known: tuple[StepRecord, ...], told: tuple[StepReport, ...], outputs: Mapping[str, Mapping[str, Value]]
) -> list[StepRecord]:
    """The steps after a report, in its order; those it does not name stay as they are, at the end."""
    before = {step.name: step for step in known}
    merged = [_forward(before.pop(step.name, None), step, outputs.get(step.name, {})) for step in told]
    return merged + list(before.values())


def _forward(known: StepRecord | None, told: StepReport, outputs: Mapping[str, Value]) -> StepRecord:
    """The later of what is known and what is told about one step; in one state, the later attempt."""
    if known is not None and (
        known.state in ENDED or (_rank(told.state), told.attempt) < (_rank(known.state), known.attempt)
    ):
        return known
    return StepRecord(
        name=told.name,
        state=told.state,
        attempt=told.attempt,
        started=told.started,
        ended=told.ended,
        exit_code=told.exit_code,
        error=told.error,
        outputs=dict(outputs),
    )


def _rank(state: str) -> int:
    return 2 if state in ENDED else 1 if state == "running" else 0


def _remember(tx: Transaction, row: Row, report: RunReport) -> None:
    action = "run_ended" if report.state in ENDED else "run_started"
    why = f"{report.error.code}: {report.error.message}" if report.error is not None else ""
    record(tx, SYSTEM, action, "run", row["id"], row["pipeline"], from_=row["state"], to=report.state, reason=why)
