"""Gates (law 5): closed and opened one by one, and the errors with which a closed one refuses."""

from __future__ import annotations

from sqlite3 import Row
from typing import Literal

from attrs import evolve, frozen

from penstock.callers import Caller
from penstock.errors import GateClosed
from penstock.records import Gate
from penstock.registry import outbox
from penstock.registry.database import Transaction
from penstock.registry.history import record
from penstock.registry.lookup import check_revision, need_endpoint, need_published, need_version
from penstock.registry.messages import GateOutcome
from penstock.registry.rows import RUNS, format_time, gate_of, published_ref, to_time
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
    expect_revision: int | None = None,
) -> GateOutcome:
    """Close or open one gate; the others stay as they are, and a closed one keeps its first since, by and why.

    `cancel_runs` also asks every unfinished run that came through the gate to end, when closing. `expect_revision` is
    of the endpoint or published pipeline. Raises NotFound, Conflict `revision_changed`.
    """
    way = _find(tx, kind, ref, version)
    row = way.row
    check_revision(way.what, way.owner, expect_revision)
    before = gate_of(row)
    gate = None if open else before or Gate(since=to_time(tx.now), by=caller.actor, reason=reason)
    if gate != before:
        closed = (None, "", "") if gate is None else (tx.now, gate.by, gate.reason)
        where = f"UPDATE {way.table} SET gate_since = ?, gate_by = ?, gate_reason = ? WHERE {way.where}"
        tx.run(where, *closed, *way.values)
        if kind == "pipeline":
            tx.run("UPDATE published SET revision = revision + 1, modified = ? WHERE seq = ?", tx.now, row["seq"])
            outbox.published_changed(tx, row["seq"])
        else:
            outbox.endpoint_changed(tx, way.owner["seq"])
        action, was, is_ = ("gate_opened", "closed", "open") if open else ("gate_closed", "open", "closed")
        record(tx, caller, action, kind, way.owner["id"], way.subject, from_=was, to=is_, reason=reason)
    outcome = GateOutcome(changed=gate != before, subject_id=way.owner["id"], subject=way.subject, gate=gate)
    return _cancelled(tx, way, caller, reason, outcome) if cancel_runs and not open else outcome


@frozen
class _Way:
    """A gate: the row that has it, the row of the endpoint or published pipeline, and the runs that pass it."""

    row: Row
    owner: Row
    what: str
    subject: str
    table: str
    where: str
    through: str
    values: tuple[int, ...]


def _find(tx: Transaction, kind: GateKind, ref: str, version: str | None) -> _Way:
    if kind == "pipeline":
        row = need_published(tx, ref)
        name = published_ref(row)
        what = f"published pipeline `{name}`"
        return _Way(row, row, what, name, "published", "seq = ?", "r.published = ?", (row["seq"],))
    endpoint = need_endpoint(tx, ref)
    name = endpoint["name"]
    what = f"endpoint `{name}`"
    if kind == "endpoint":
        return _Way(endpoint, endpoint, what, name, "endpoints", "seq = ?", "r.endpoint = ?", (endpoint["seq"],))
    row = need_version(tx, endpoint, version or "")
    where, through = "endpoint = ? AND version = ?", "r.endpoint = ? AND r.version = ?"
    values = endpoint["seq"], row["version"]
    return _Way(row, endpoint, what, f"{name}@{row['version']}", "versions", where, through, values)


def _cancelled(tx: Transaction, way: _Way, caller: Caller, reason: str, outcome: GateOutcome) -> GateOutcome:
    unfinished = RUNS.replace("FROM runs r", "FROM runs r INDEXED BY runs_unfinished")
    runs = tx.all(f"{unfinished} WHERE r.ended IS NULL AND {way.through}", *way.values)
    done = [(run["id"], cancel_one(tx, run, caller, reason)) for run in runs]
    return evolve(
        outcome,
        cancel=tuple(run for run, what in done if what == "requested"),
        ended=tuple(run for run, what in done if what == "ended"),
    )


def refuse_endpoint(endpoint: Row) -> None:
    """Raise GateClosed `endpoint_disabled` when the gate of a row of `endpoints` is closed."""
    _refuse("endpoint_disabled", f"endpoint `{endpoint['name']}`", endpoint, endpoint["name"])


def refuse_version(tx: Transaction, endpoint: Row, version: Row) -> Row:
    """The row of `published` behind a row of `versions`.

    Raises GateClosed `version_disabled` or `pipeline_disabled` when the gate of either is closed.
    """
    what, ref = (
        f"version {version['version']} of endpoint `{endpoint['name']}`",
        f"{endpoint['name']}@{version['version']}",
    )
    _refuse("version_disabled", what, version, ref)
    published = tx.need("SELECT * FROM published WHERE seq = ?", version["published"])
    refuse_pipeline(published)
    return published


def refuse_pipeline(published: Row) -> None:
    """Raise GateClosed `pipeline_disabled` when the gate of a row of `published` is closed."""
    ref = published_ref(published)
    _refuse("pipeline_disabled", f"published pipeline `{ref}`", published, ref)


def _refuse(code: str, what: str, row: Row, ref: str) -> None:
    gate = gate_of(row)
    if gate is not None:
        why = f": {gate.reason}" if gate.reason else ", who gave no reason"
        since = format_time(row["gate_since"])
        raise GateClosed(
            f"{what} is disabled since {since} by {gate.by}{why}; nothing passes until it is enabled",
            code=code,
            since=gate.since,
            by=gate.by,
            reason=gate.reason,
            subject=ref,
        )
