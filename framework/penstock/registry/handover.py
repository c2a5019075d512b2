"""Handing an accepted run to its target (law 12): marked before the backend is called, recorded after it."""

from __future__ import annotations

import json
from sqlite3 import Row

from penstock.callers import Caller
from penstock.contract.run import BoundParameters, Failure, RunRef, RunRequest, Submission
from penstock.errors import NotFound
from penstock.records import Placement, RunRecord
from penstock.registry import outbox, run_state
from penstock.registry.database import Transaction
from penstock.registry.history import SYSTEM
from penstock.registry.lookup import get_run, need_run
from penstock.registry.messages import Handover
from penstock.registry.rows import placement_of, publication_of, to_json


def start(tx: Transaction, run_id: str) -> Handover | None:
    """Mark a run as being handed over, and return what to hand over; None when nothing is left to do.

    From here on the target may have the run, whatever becomes of this process. Two processes may hand the same
    run over: a backend's submit is create-if-absent.
    """
    row = tx.one(
        """SELECT r.*, q.texts, q.artifacts, q.bundled, q.sensitive, o.seq AS owed, o.tries FROM runs r
            JOIN outbox o ON o.kind = 'submit' AND o.subject = r.seq JOIN requests q ON q.run = r.seq WHERE r.id = ?""",
        run_id,
    )
    if row is None:
        return None
    tx.run(
        "UPDATE outbox SET started = coalesce(started, ?), tries = tries + 1, due = ?, noted = ? WHERE seq = ?",
        tx.now,
        tx.after(outbox.LEASE),
        tx.clock,
        row["owed"],
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
            texts=json.loads(row["texts"]),
            artifacts=json.loads(row["artifacts"]),
            bundled=json.loads(row["bundled"]),
            sensitive=tuple(json.loads(row["sensitive"])),
        ),
        attempt=row["tries"] + 1,
    )
    return Handover(
        request=request,
        placement=placement_of(publication),
        cancel_requested=row["cancel_requested"] is not None,
    )


def finish(tx: Transaction, run_id: str, submission: Submission) -> RunRecord:
    """Record the backend's receipt; the first one stays. A cancel that was asked for meanwhile is owed now.

    Raises NotFound.
    """
    row = need_run(tx, run_id)
    if row["external"] is None:
        tx.run(
            "UPDATE runs SET external = ?, details = ? WHERE seq = ?",
            submission.external,
            to_json(dict(submission.details)),
            row["seq"],
        )
    outbox.forget(tx, "submit", row["seq"], row["target"])
    # A run that was given up meanwhile has begun all the same.
    if row["cancel_requested"] is not None and (row["ended"] is None or row["external"] is None):
        outbox.owe(tx, "cancel", row["seq"], row["target"])
    return get_run(tx, row["id"])


def refuse(tx: Transaction, run_id: str, failure: Failure) -> RunRecord:
    """End a run `failed` because its target refused it for good, unless another process was faster. Raises NotFound."""
    row = need_run(tx, run_id)
    if outbox.forget(tx, "submit", row["seq"], row["target"]) and row["ended"] is None:
        why = f"{failure.code}: {failure.message}"
        run_state.end_here(tx, row, SYSTEM, "failed", reason=why, failure=failure)
    return get_run(tx, row["id"])


def give_up(tx: Transaction, run_id: str, caller: Caller, failure: Failure, *, last_try: bool) -> RunRecord:
    """End a run `canceled` whose target cannot be told to end it, unless it has ended meanwhile. Raises NotFound.

    Whatever its target says of it later changes nothing. With `last_try` the target stays owed the cancel.
    """
    row = need_run(tx, run_id)
    if row["ended"] is None:
        why = "; ".join(filter(None, (row["cancel_reason"], failure.message)))
        run_state.end_here(tx, row, caller, "canceled", reason=why, failure=failure)
        if last_try and row["external"] is not None:
            outbox.owe(tx, "cancel", row["seq"], row["target"])
    return get_run(tx, row["id"])


def ref(tx: Transaction, run_id: str) -> tuple[RunRef, Placement]:
    """How a run's backend knows it, and where it was published. Raises NotFound."""
    row = tx.one("SELECT * FROM runs WHERE id = ?", run_id)
    if row is None:
        raise NotFound(f"no run `{run_id}`", code="run_not_found")
    publication = _publication(tx, row)
    found = RunRef(id=row["id"], publication=publication_of(publication), external=row["external"] or "")
    return found, placement_of(publication)


def _publication(tx: Transaction, run: Row) -> Row:
    row = tx.one("SELECT * FROM publications WHERE seq = ?", run["publication"])
    assert row is not None
    return row
