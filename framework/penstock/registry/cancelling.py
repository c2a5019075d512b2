"""Ending runs early (law 9): at once while no target can know of them, else by a request to the target."""

from __future__ import annotations

from sqlite3 import Row
from typing import Literal

from penstock.records import Caller
from penstock.registry.database import Transaction
from penstock.registry.history import record
from penstock.registry.lookup import need_run
from penstock.registry.messages import CancelOutcome
from penstock.registry.rows import run_record


def request_cancel(tx: Transaction, ref: str, caller: Caller, *, reason: str = "") -> CancelOutcome:
    """Ask a run to end; a finished one stays as it is. Raises NotFound."""
    row = need_run(tx, ref)
    done = cancel_one(tx, row, caller, reason)
    return CancelOutcome(run=run_record(need_run(tx, row["id"])), ended=done == "ended", requested=done == "requested")


def cancel_one(tx: Transaction, run: Row, caller: Caller, reason: str) -> Literal["ended", "requested", "nothing"]:
    """Cancel a row of RUNS: end it, record the request, or nothing when it ended or was asked before."""
    if run["ended"] is not None or run["cancel_requested"] is not None:
        return "nothing"
    pending = tx.one("SELECT started FROM handovers WHERE run = ?", run["seq"])
    if pending is not None and pending["started"] is None:
        tx.run(
            "UPDATE runs SET state = 'canceled', ended = ?, cancel_requested = ? WHERE seq = ?",
            tx.now,
            tx.now,
            run["seq"],
        )
        tx.run("DELETE FROM handovers WHERE run = ?", run["seq"])
        subject = run["pipeline"]
        record(tx, caller, "run_ended", "run", run["id"], subject, from_="queued", to="canceled", reason=reason)
        return "ended"
    tx.run("UPDATE runs SET cancel_requested = ? WHERE seq = ?", tx.now, run["seq"])
    record(tx, caller, "run_cancel_requested", "run", run["id"], run["pipeline"], reason=reason)
    return "requested"


def wanted(tx: Transaction) -> list[str]:
    """The ids of runs whose target has them and does not know yet that they should end."""
    rows = tx.all(
        """SELECT id FROM runs INDEXED BY runs_cancel
            WHERE ended IS NULL AND cancel_requested IS NOT NULL AND cancel_told IS NULL AND external IS NOT NULL
            ORDER BY seq"""
    )
    return [row["id"] for row in rows]


def told(tx: Transaction, run_id: str) -> None:
    """Note that the target was told to end a run; before the hand-over is recorded this cannot be said."""
    tx.run(
        """UPDATE runs SET cancel_told = ?
            WHERE id = ? AND cancel_requested IS NOT NULL AND cancel_told IS NULL AND external IS NOT NULL""",
        tx.now,
        run_id,
    )
