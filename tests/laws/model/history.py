"""The past in the model (law 10): every change has left its row, and what was once so is answered for ever."""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from typing import Any

from laws.facts import Facts
from laws.model.expectations import No, Seen
from laws.model.state import ENDED, Endpoint, Row, State

from penstock.testing.laws import require

_STATES = ("queued", "running", "succeeded", "failed", "canceled")


def history(state: State, seen: Seen, *, by: str, runs: bool = False) -> None:
    """The whole history, oldest first, with the rows of runs or without."""
    _needs_memory(state)
    rows = seen["rows"]
    for before, after in itertools.pairwise(rows):
        forward = before["seq"] < after["seq"] and before["at"] <= after["at"]
        require(10, forward, f"{seen.call}: row {after['seq']} comes after row {before['seq']} and is earlier")
    called = [row for row in rows if not (row["kind"] == "run" and row["door"] == "dispatcher")]
    expected = [row for row in state.rows if runs or row.kind != "run"]
    for number, (found, row) in enumerate(zip(called, expected, strict=False)):
        seen.same(10, _row(found, row), _expected(state, found, row), f"what call left row {number} of the history")
    seen.same(10, len(called), len(expected), "the number of changes that the history knows")
    if runs:
        _runs_went_forward(state, seen, rows)


def moment(state: State, seen: Seen, *, moment: str, by: str) -> None:
    """Give the present a name."""
    _needs_memory(state)
    at = seen["at"]
    state.moments[moment] = at
    state.pasts[at] = tuple(
        (one.id, (one.name, _answer(state, one))) for one in state.endpoints.values() if not one.deleted
    )


def endpoint_at(state: State, seen: Seen, *, endpoint: str, moment: str, by: str) -> None:
    """What a trigger without a version would have run at a moment."""
    _needs_memory(state)
    past = dict(state.pasts[state.moments[moment]])
    id = _identify(state, endpoint, past)
    nothing = {"default": None, "published": None, "digest": None, "closed": "endpoint_not_found"}
    name, answer = past.get(id, (endpoint, tuple(nothing.items())))
    expected = {"endpoint": name, **dict(answer)}  # type: ignore[call-overload]  # pairs of a name and a value
    seen.same(10, dict(seen.answer) if seen.refused is None else seen.refused, expected, f"what `{endpoint}` was then")


def _needs_memory(state: State) -> None:
    if not state.remember:
        raise ValueError("this model was made without a memory of the past")


def _row(found: Facts, row: Row) -> Facts:
    names = ("action", "kind", "subject_id", "subject", "from", "to", "reason", "by", "verified", "door")
    return {name: found[name] for name in names} | ({} if row.at is None else {"at": found["at"]})


def _expected(state: State, found: Facts, row: Row) -> Facts:
    said: Facts = {"action": row.action, "kind": row.kind, "subject_id": row.subject_id, "subject": row.subject}
    said |= {"from": row.from_, "to": row.to, "reason": row.reason, "by": row.by}
    said |= {"verified": state.verified(row.by), "door": state.door(found["door"])}
    return said if row.at is None else {**said, "at": row.at}


def _runs_went_forward(state: State, seen: Seen, rows: list[Facts]) -> None:
    """Hold that the rows of each run lead from its acceptance forward to what it is now."""
    at: dict[str, str] = {}
    for row in rows:
        if row["kind"] != "run" or row["action"] == "run_cancel_requested":
            continue
        run = row["subject_id"]
        if row["action"] == "run_accepted":
            at[run] = "queued"
            continue
        require(10, run in at, f"{seen.call}: row {row['seq']} is about run {run}, which was not accepted before")
        seen.same(9, row["from"], at[run], f"the state of run {run} before row {row['seq']}")
        forward = at[run] in ("queued", "running") and _STATES.index(row["to"]) > _STATES.index(at[run])
        require(9, forward, f"{seen.call}: run {run} went from {at[run]} to {row['to']}")
        at[run] = row["to"]
    for id, last in at.items():
        known = state.runs[id].state
        if known == "ended":
            require(10, last in ENDED, f"{seen.call}: run {id} has ended, and its last row says {last}")
        elif known in ENDED:
            seen.same(10, last, known, f"the last state that the history knows of run {id}")


def _answer(state: State, one: Endpoint) -> Hashable:
    version = one.versions[one.default]
    published = state.published[version.published]
    gates = (("endpoint_disabled", one.gate), ("version_disabled", version.gate), ("pipeline_disabled", published.gate))
    closed = next((code for code, gate in gates if gate is not None), None)
    answer: dict[str, Any] = {"default": str(one.default), "published": published.id, "digest": published.digest}
    return tuple((answer | {"closed": closed}).items())


def _identify(state: State, name: str, past: dict[str, Any]) -> str:
    """The endpoint that a name means at a moment: who had it then, else who has it, else who had it last."""
    then = [id for id, (called, _) in past.items() if called == name]
    now = [one.id for one in state.endpoints.values() if one.name == name]
    alive = [id for id in now if not state.endpoints[id].deleted]
    ever = [id for called, id in state.held if called == name]
    found = then or alive or now or ever
    if not found:
        raise No("endpoint_not_found", f"no endpoint ever had the name `{name}`")
    return found[-1]
