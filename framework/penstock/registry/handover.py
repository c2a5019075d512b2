"""Handing accepted runs to their targets (law 12): marked before the backend is called, settled after it."""

from __future__ import annotations

import json
from datetime import datetime
from sqlite3 import Row

from penstock.contract.run import BoundParameters, Failure, RunRef, RunRequest, Submission
from penstock.errors import NotFound
from penstock.records import RunRecord
from penstock.registry.database import LONGEST, Transaction
from penstock.registry.history import SYSTEM, record
from penstock.registry.lookup import need_run
from penstock.registry.messages import Handover, PendingHandover
from penstock.registry.rows import failure_json, from_time, publication_of, run_record, to_time

LEASE = 10.0
"""How long, in seconds, a started hand-over is left to the process that started it before it is due again."""


def due(tx: Transaction, *, now: datetime | None = None, limit: int = 100) -> list[str]:
    """The ids of runs to hand over now, the longest waiting first."""
    clock = tx.clock if now is None else from_time(now)
    sql = "SELECT r.id FROM handovers h JOIN runs r ON r.seq = h.run WHERE h.due {} ? ORDER BY h.due, h.run LIMIT ?"
    rows = tx.all(sql.format("<="), clock, limit)
    rows += tx.all(sql.format(">"), clock + LONGEST, limit - len(rows))
    return [row["id"] for row in rows]


def next_due(tx: Transaction) -> datetime | None:
    """When the next hand-over is due, or None when nothing waits."""
    row = tx.one("SELECT min(due) AS due FROM handovers")
    return None if row is None or row["due"] is None else to_time(row["due"])


def waiting(tx: Transaction, run_id: str) -> PendingHandover | None:
    """Why a run still waits for its target, or None when it was handed over or ended."""
    row = tx.one("SELECT h.* FROM handovers h JOIN runs r ON r.seq = h.run WHERE r.id = ?", run_id)
    return None if row is None else PendingHandover(tries=row["tries"], due=to_time(row["due"]), message=row["message"])


def start(tx: Transaction, run_id: str) -> Handover | None:
    """Mark a run as being handed over, and answer what to hand over; None when nothing is left to do.

    From here on the target may have the run, whatever becomes of this process. Two processes may hand the same
    run over: a backend's submit is create-if-absent.
    """
    row = tx.one(
        """SELECT r.*, q."values", q.artifacts, q.bundled FROM runs r
            JOIN handovers h ON h.run = r.seq JOIN requests q ON q.run = r.seq WHERE r.id = ?""",
        run_id,
    )
    if row is None:
        return None
    tx.run(
        "UPDATE handovers SET started = coalesce(started, ?), tries = tries + 1, due = ? WHERE run = ?",
        tx.now,
        tx.after(LEASE),
        row["seq"],
    )
    publication = _publication(tx, row)
    request = RunRequest(
        id=row["id"],
        publication=publication_of(publication),
        pipeline=row["pipeline"],
        label=row["label"],
        endpoint=row["endpoint_name"],
        version=None if row["version"] is None else str(row["version"]),
        experiment=row["experiment"],
        description=row["description"],
        tags=json.loads(row["tags"]),
        parameters=BoundParameters(
            typed=json.loads(row["parameters"]),
            texts=json.loads(row["values"]),
            artifacts=json.loads(row["artifacts"]),
            bundled=json.loads(row["bundled"]),
        ),
    )
    return Handover(
        request=request,
        target=publication["target"],
        identity=publication["identity"],
        digest=publication["digest"],
        cancel_requested=row["cancel_requested"] is not None,
    )


def finish(tx: Transaction, run_id: str, submission: Submission) -> RunRecord:
    """Record the backend's receipt; the first one stays."""
    row = need_run(tx, run_id)
    tx.run("UPDATE runs SET external = coalesce(external, ?) WHERE seq = ?", submission.external, row["seq"])
    tx.run("DELETE FROM handovers WHERE run = ?", row["seq"])
    return run_record(need_run(tx, row["id"]))


def defer(tx: Transaction, run_id: str, retry_after: float, message: str) -> None:
    """Note that the target did not take a run now, why, and that it is due again after so many seconds."""
    tx.run(
        "UPDATE handovers SET due = ?, message = ? WHERE run = (SELECT seq FROM runs WHERE id = ?)",
        tx.after(retry_after),
        message,
        run_id,
    )


def refuse(tx: Transaction, run_id: str, failure: Failure) -> RunRecord:
    """End a run `failed` because its target refused it for good; one that another process settled stays so."""
    row = need_run(tx, run_id)
    if tx.run("DELETE FROM handovers WHERE run = ?", row["seq"]) and row["ended"] is None:
        tx.run(
            "UPDATE runs SET state = 'failed', ended = ?, error = ? WHERE seq = ?",
            tx.now,
            failure_json(failure),
            row["seq"],
        )
        record(
            tx,
            SYSTEM,
            "run_ended",
            "run",
            row["id"],
            row["pipeline"],
            from_=row["state"],
            to="failed",
            reason=f"{failure.code}: {failure.message}",
        )
    return run_record(need_run(tx, row["id"]))


def run_ref(tx: Transaction, run_id: str) -> tuple[RunRef, str, str]:
    """How a run's backend knows it, with the target and the identity it had. Raises NotFound."""
    row = tx.one("SELECT * FROM runs WHERE id = ?", run_id)
    if row is None:
        raise NotFound(f"no run `{run_id}`", code="run_not_found")
    publication = _publication(tx, row)
    ref = RunRef(id=row["id"], publication=publication_of(publication), external=row["external"] or "")
    return ref, publication["target"], publication["identity"]


def _publication(tx: Transaction, run: Row) -> Row:
    row = tx.one("SELECT * FROM publications WHERE seq = ?", run["publication"])
    assert row is not None
    return row
