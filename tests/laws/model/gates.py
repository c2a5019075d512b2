"""Gates in the model (law 5): each is closed and opened by itself, and the first closing is the one that is shown."""

from __future__ import annotations

from attrs import evolve
from laws.model.expectations import Seen
from laws.model.runs import end_all
from laws.model.state import Gate, Row, Run, State, split_version

from penstock.testing.laws import require


def disable(state: State, seen: Seen, *, ref: str, by: str, reason: str = "", cancel_runs: bool = False) -> None:
    """Close a gate; with `cancel_runs` ask every unfinished run that came through it to end."""
    subject_id, through = _gate(state, seen, ref, by, open=False, reason=reason)
    seen.same(5, seen["subject_id"], subject_id, "whose gate it is")
    asked = through if cancel_runs else []
    end_all(state, seen, asked, by, reason)


def enable(state: State, seen: Seen, *, ref: str, by: str) -> None:
    """Open a gate; the others stay as they are."""
    subject_id, _ = _gate(state, seen, ref, by, open=True, reason="")
    seen.same(5, seen["subject_id"], subject_id, "whose gate it is")
    end_all(state, seen, [], by, "")


def _gate(state: State, seen: Seen, ref: str, by: str, *, open: bool, reason: str) -> tuple[str, list[Run]]:
    """Move the gate that a reference names; answers whose it is, and the runs that came through it."""
    runs = list(state.runs.values())
    if ":" in ref:
        one = state.need_published(ref)
        gate = _moved(state, seen, one.gate, by, open, reason, "pipeline", one.id, one.ref)
        state.put(evolve(one, gate=gate))
        return one.id, [run for run in runs if run.published == one.id]
    name, pinned = (ref, None) if state.endpoint(ref) is not None else split_version(ref)
    endpoint = state.need_endpoint(name)
    through = [run for run in runs if run.endpoint == endpoint.id]
    if pinned is None:
        gate = _moved(state, seen, endpoint.gate, by, open, reason, "endpoint", endpoint.id, name)
        state.put(evolve(endpoint, gate=gate))
        return endpoint.id, through
    number = state.need_version(endpoint, pinned)
    version = endpoint.versions[number]
    gate = _moved(state, seen, version.gate, by, open, reason, "version", endpoint.id, f"{name}@{number}")
    versions = list(endpoint.versions)
    versions[number] = evolve(version, gate=gate)
    state.put(evolve(endpoint, versions=tuple(versions)))
    return endpoint.id, [run for run in through if run.version == number]


def _moved(
    state: State,
    seen: Seen,
    before: Gate | None,
    by: str,
    open: bool,
    reason: str,
    kind: str,
    subject_id: str,
    subject: str,
) -> Gate | None:
    """The gate after a call that wants it open or closed, and the history of that."""
    changed = (before is None) != open
    seen.same(5, seen["changed"], changed, f"whether the gate of `{subject}` changed")
    shown = seen["gate"]
    require(5, (shown is None) == open, f"{seen.call}: the gate of `{subject}` is shown as {shown}")
    after = before
    if changed:
        after = None if open else Gate(since=shown["since"], by=by, reason=reason)
        told = ("closed", "open") if open else ("open", "closed")
        row = Row(
            action="gate_opened" if open else "gate_closed",
            kind=kind,
            subject_id=subject_id,
            subject=subject,
            from_=told[0],
            to=told[1],
            reason=reason,
            by=by,
            at=None if open else shown["since"],
        )
        state.note(row)
    expected = None if after is None else {"since": after.since, "by": after.by, "reason": after.reason}
    seen.same(5, shown, expected, f"the gate of `{subject}`")
    return after
