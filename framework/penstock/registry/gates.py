"""Gates (law 5): closed and opened one by one, and the errors with which a closed one refuses."""

from __future__ import annotations

from sqlite3 import Row
from typing import Literal

from penstock.errors import GateClosed
from penstock.records import Caller, Gate
from penstock.registry import outbox
from penstock.registry.database import Transaction
from penstock.registry.history import record
from penstock.registry.lookup import need_endpoint, need_published, need_version
from penstock.registry.messages import GateOutcome
from penstock.registry.rows import RUNS, format_time, gate_of, published_ref
from penstock.registry.run_state import cancel_one

GateKind = Literal["endpoint", "version", "pipeline"]


def set_gate(
    tx: Transaction,
    kind: GateKind,
    ref: str,
    *,
    open: bool,
    caller: Caller,
    reason: str = "",
    version: str | None = None,
    cancel_runs: bool = False,
) -> GateOutcome:
    """Close or open one gate; the others stay as they are, and a closed one keeps its first since, by and why.

    `cancel_runs` also asks every unfinished run that came through the gate to end, when closing. Raises NotFound.
    """
    if kind == "pipeline":
        row = need_published(tx, ref)
        subject_id, subject = row["id"], published_ref(row)
        table, where, through, values = "published", "seq = ?", "r.published = ?", [row["seq"]]
    else:
        row = endpoint = need_endpoint(tx, ref)
        subject_id, subject = endpoint["id"], endpoint["name"]
        table, where, through, values = "endpoints", "seq = ?", "r.endpoint = ?", [row["seq"]]
        if kind == "version":
            row = need_version(tx, endpoint, version or "")
            subject = f"{subject}@{row['version']}"
            table, where, through = "versions", "endpoint = ? AND version = ?", "r.endpoint = ? AND r.version = ?"
            values = [endpoint["seq"], row["version"]]
    changed = (row["gate_since"] is None) != open
    gate = gate_of(row["gate_since"], row["gate_by"], row["gate_reason"])
    if changed:
        since, by, why = (None, "", "") if open else (tx.now, caller.actor, reason)
        tx.run(
            f"UPDATE {table} SET gate_since = ?, gate_by = ?, gate_reason = ? WHERE {where}",
            since,
            by,
            why,
            *values,
        )
        gate = gate_of(since, by, why)
        if kind == "pipeline":
            tx.run("UPDATE published SET revision = revision + 1, modified = ? WHERE seq = ?", tx.now, row["seq"])
            outbox.published_changed(tx, row["seq"])
        else:
            outbox.endpoint_changed(tx, endpoint["seq"])
        before, after = ("closed", "open") if open else ("open", "closed")
        action = "gate_opened" if open else "gate_closed"
        record(tx, caller, action, kind, subject_id, subject, from_=before, to=after, reason=reason)
    cancel, ended = _cancel(tx, through, values, caller, reason) if cancel_runs and not open else ((), ())
    return GateOutcome(changed=changed, subject_id=subject_id, subject=subject, gate=gate, cancel=cancel, ended=ended)


def refuse_endpoint(endpoint: Row) -> None:
    """Raise GateClosed `endpoint_disabled` when the gate of a row of `endpoints` is closed."""
    _refuse("endpoint_disabled", f"endpoint `{endpoint['name']}`", endpoint, "gate")


def refuse_version(endpoint: str, version: Row) -> None:
    """Raise GateClosed `version_disabled` when the gate of a version is closed."""
    _refuse("version_disabled", f"version {version['version']} of endpoint `{endpoint}`", version, "gate")


def refuse_pipeline(name: str, row: Row, *, prefix: str = "gate") -> None:
    """Raise GateClosed `pipeline_disabled` when the gate of a published pipeline is closed.

    `prefix` is where the row has the gate: `gate` in rows of PUBLISHED, `p` in rows of VERSIONS.
    """
    _refuse("pipeline_disabled", f"published pipeline `{name}`", row, prefix)


def _refuse(code: str, what: str, row: Row, prefix: str) -> None:
    gate: Gate | None = gate_of(row[f"{prefix}_since"], row[f"{prefix}_by"], row[f"{prefix}_reason"])
    if gate is not None:
        why = f": {gate.reason}" if gate.reason else ", who gave no reason"
        since = format_time(row[f"{prefix}_since"])
        raise GateClosed(
            f"{what} is disabled since {since} by {gate.by}{why}; nothing passes until it is enabled",
            code=code,
        )


def _cancel(
    tx: Transaction, through: str, values: list[int], caller: Caller, reason: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    unfinished = RUNS.replace("FROM runs r", "FROM runs r INDEXED BY runs_unfinished")
    rows = tx.all(f"{unfinished} WHERE r.ended IS NULL AND {through}", *values)
    done = [(row["id"], cancel_one(tx, row, caller, reason)) for row in rows]
    return (
        tuple(run for run, what in done if what == "requested"),
        tuple(run for run, what in done if what == "ended"),
    )
