"""Runs that are over and that nobody needs on their targets any more: which these are, and that they were cleared."""

from __future__ import annotations

from datetime import datetime

from penstock.callers import Caller
from penstock.registry.database import Transaction
from penstock.registry.history import record
from penstock.registry.rows import to_time

_ACTION = "run_cleared"
_LONGEST = 1e11
"""Seconds, three thousand years."""
_MOST = 2**63 - 1
"""The largest number that SQLite takes."""


def to_clear(tx: Transaction, *, age: float, keep: int) -> list[str]:
    """The ids of runs that ended more than `age` seconds ago and were not cleared yet, oldest first.

    Of each endpoint, and of each pipeline that was run without one, the newest `keep` runs are left out.
    """
    rows = tx.all(
        f"""SELECT id FROM (
                SELECT seq, id, ended, external,
                    row_number() OVER (PARTITION BY endpoint, iif(endpoint IS NULL, pipeline, NULL) ORDER BY seq DESC)
                        AS place
                FROM runs)
            WHERE ended <= ? AND place > ? AND external IS NOT NULL
                AND NOT EXISTS (SELECT 1 FROM history h WHERE h.subject_id = id AND h.action = '{_ACTION}')
            ORDER BY seq""",
        tx.now - round(max(0.0, min(age, _LONGEST)) * 1e6),
        max(0, min(keep, _MOST)),
    )
    return [row["id"] for row in rows]


def cleared(tx: Transaction, run: str) -> datetime | None:
    """When what a run left was cleared away; None when it was not."""
    row = tx.one("SELECT max(at) AS at FROM history WHERE subject_id = ? AND action = ?", run, _ACTION)
    return None if row is None or row["at"] is None else to_time(row["at"])


def note(tx: Transaction, run: str, caller: Caller) -> None:
    """Remember that a run was cleared."""
    row = tx.need("SELECT pipeline FROM runs WHERE id = ?", run)
    record(tx, caller, _ACTION, "run", run, row["pipeline"])
