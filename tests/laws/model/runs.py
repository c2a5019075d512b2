"""Runs in the model (laws 4 to 6, 8 and 9): accepted once, for what the trigger resolved to, and going forward only."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from attrs import evolve, frozen
from laws.doors import ANYBODY
from laws.model.expectations import No, Seen
from laws.model.facts import learn, outputs_are, run_allowed, run_is
from laws.model.state import (
    Endpoint,
    Published,
    Row,
    Run,
    State,
    refuse_closed,
    refuse_pipeline,
    refuse_version,
    split_version,
)
from laws.player import GUARDED

from penstock.testing.laws import LawBroken, require


@frozen(kw_only=True)
class _Place:
    """What a trigger addresses, alive or deleted, and the version that it pins."""

    endpoint: Endpoint | None = None
    published: Published | None = None
    version: str | None = None

    @property
    def id(self) -> str:
        thing = self.endpoint or self.published
        assert thing is not None
        return thing.id


def submit(
    state: State,
    seen: Seen,
    *,
    run: str,
    ref: str,
    by: str,
    version: str | None = None,
    depth: Any = None,
    seconds: float | None = None,
    key: str | None = None,
    marks: str | None = None,
    token: str | None = None,
    unknown: bool = False,
) -> None:
    """Trigger an endpoint, a version or a published pipeline."""
    if by == ANYBODY:
        state.need_public(ref)
    place = _locate(state, ref, version, key)
    request = (place.version, type(depth).__name__, depth, seconds, marks, token, unknown)
    fresh = _accept(state, seen, place, key, request, run, by)
    if fresh is None:
        return
    wrong = (["$.depths"] if unknown else []) + _wrong_token(state, fresh, token)
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or not 1 <= depth <= 9):
        wrong.append("$.depth")
    if wrong:
        raise No("parameter_invalid", f"the parameters {wrong} are wrong", at=tuple(wrong))
    chosen = 3 if depth is None else depth
    _insert(state, seen, run, evolve(fresh, depth=chosen, seconds=float(seconds or 0), marks=marks or "", by=by))


def rerun(
    state: State, seen: Seen, *, run: str, of: str, by: str, key: str | None = None, token: str | None = None
) -> None:
    """Trigger again what a run resolved to, with the same parameters, but for the sensitive one, which nobody kept."""
    again = state.need_run(of)
    place = _Place(
        endpoint=None if again.endpoint is None else state.endpoints[again.endpoint],
        published=state.published[again.published] if again.endpoint is None else None,
        version=None if again.version is None else str(again.version),
    )
    fresh = _accept(state, seen, place, key, ("rerun", again.id, token), run, by, again=True)
    if fresh is not None:
        if wrong := _wrong_token(state, fresh, token):
            raise No("parameter_invalid", f"the parameters {wrong} are wrong", at=tuple(wrong))
        fresh = evolve(fresh, depth=again.depth, seconds=again.seconds, marks=again.marks)
        _insert(state, seen, run, evolve(fresh, by=by, rerun_of=again.id))


def wait(state: State, seen: Seen, *, run: str, by: str) -> None:
    """Look at a run after its end."""
    one = state.need_run(run)
    if one.lasting and seen.may_be("wait_timeout"):
        return
    seen.granted(12, "the run has to end")
    after = learn(state, seen, seen["run"])
    require(9, after.ended, f"{seen.call}: the wait is over and the run is {after.state}")


def get(state: State, seen: Seen, *, run: str, by: str) -> None:
    """Look at a run."""
    _learn(state, seen, state.need_run(run))


def cancel(state: State, seen: Seen, *, run: str, by: str, reason: str = "") -> None:
    """Ask a run to end."""
    one = state.need_run(run)
    found = seen["run"]
    asked = [one.id] if seen["requested"] else []
    ended = [one.id] if seen["ended"] else []
    _end(state, seen, [one], asked, ended, by, reason)
    one = state.runs[one.id]
    run_is(state, seen, found, one)
    # What is shown after a request is later than the request: others may have looked in between.
    run_allowed(state, seen, found, one)
    seen.same(9, found["cancel"], one.cancel, "whether the run was asked to end")


def logs(state: State, seen: Seen, *, run: str, by: str) -> None:
    """Read what the step of a run wrote, so far."""
    one = state.need_run(run)
    line = f"I am {state.which(state.published[one.published].digest)}\n"
    text = seen["text"]
    if one.state == "succeeded":
        seen.same(11, text, line, "the log of a run that has succeeded")
    require(11, line.startswith(text), f"{seen.call}: the log is {text!r}, and the step writes {line!r}")


def outputs(state: State, seen: Seen, *, run: str, by: str) -> None:
    """Read the outputs of a run that has ended."""
    one = state.need_run(run)
    if one.lasting:
        raise No("run_not_finished", "the run goes on")
    if not one.ended and seen.may_be("run_not_finished"):
        return
    found = seen["outputs"]
    if one.state == "succeeded" or found:
        outputs_are(state, seen, found, one)
        state.put(evolve(one, state="succeeded"))
    else:
        require(11, one.cancel, f"{seen.call}: a run that nobody asked to end has no outputs")


def end_all(state: State, seen: Seen, through: Sequence[Run], by: str, reason: str) -> None:
    """Ask runs to end, as closing a gate does."""
    _end(state, seen, through, seen["requested"], seen["ended"], by, reason)


def _end(
    state: State, seen: Seen, runs: Sequence[Run], requested: list[str], ended: list[str], by: str, reason: str
) -> None:
    """Take in which runs were asked to end and which ended at that: all that nobody asked before and that go on."""
    strangers = {*requested, *ended} - {run.id for run in runs}
    require(5, not strangers, f"{seen.call}: runs are asked to end that did not come through here: {sorted(strangers)}")
    for run in runs:
        told = run.id in requested or run.id in ended
        if run.cancel or run.ended:
            require(9, not told, f"{seen.call}: run {run.id} is asked to end, and it was before, or has ended")
            continue
        require(9, told or not run.lasting, f"{seen.call}: run {run.id} goes on and is not asked to end")
        subject = {"kind": "run", "subject_id": run.id, "subject": state.published[run.published].name}
        if run.id in ended:
            require(9, run.state == "queued", f"{seen.call}: run {run.id} ended at once, and it was {run.state}")
            state.put(evolve(run, cancel=True, state="canceled"))
            state.note(Row(action="run_ended", from_="queued", to="canceled", reason=reason, by=by, **subject))
        elif run.id in requested:
            state.put(evolve(run, cancel=True))
            state.note(Row(action="run_cancel_requested", reason=reason, by=by, **subject))
        else:
            state.put(evolve(run, state="ended"))


def _learn(state: State, seen: Seen, run: Run) -> None:
    seen.same(12, seen["run"]["id"], run.id, "the run that was found")
    learn(state, seen, seen["run"])


def _locate(state: State, ref: str, version: str | None, key: str | None) -> _Place:
    """What a trigger addresses; with a key also what is no more, because the key lives as long as its run."""
    endpoint = state.endpoint(ref)
    if endpoint is not None:
        return _Place(endpoint=endpoint, version=version)
    name, pinned = split_version(ref)
    endpoint = state.endpoint(name) if pinned is not None else None
    if endpoint is not None:
        return _Place(endpoint=endpoint, version=pinned if version is None else version)
    if ":" in ref:
        if key is None or state.find_published(ref):
            return _Place(published=state.need_published(ref))
        gone = [one for one in state.published.values() if ref in (one.ref, f"{one.name}:{one.label}")]
        if not gone:
            state.need_published(ref)
        return _Place(published=gone[-1])
    dead = [one for one in state.endpoints.values() if one.name == name]
    if key is None or not dead:
        state.need_endpoint(name)
    return _Place(endpoint=dead[-1], version=pinned if version is None else version)


def _wrong_token(state: State, run: Run, token: str | None) -> list[str]:
    """Where the sensitive parameter is wrong: it is needed where there is one."""
    if state.which(state.published[run.published].digest) == GUARDED:
        return [] if token is not None and len(token) >= 12 else ["$.token"]
    return [] if token is None else ["$.token"]


def _accept(
    state: State,
    seen: Seen,
    place: _Place,
    key: str | None,
    request: Hashable,
    name: str,
    by: str,
    *,
    again: bool = False,
) -> Run | None:
    """The run that a trigger makes if its parameters are right; None when its key gave one that is there, or, without
    a key and not `again`, its endpoint's deduplication window. Raises No.
    """
    # Who is not known has keys and windows apart from who is.
    scope = f"{place.id} {by}" if by == ANYBODY else place.id
    window = place.endpoint is not None and not place.endpoint.deleted and place.endpoint.window is not None
    in_window = state.by_http and window and key is None and not again
    known = state.keys.get((scope, key)) if key is not None else None
    if in_window:
        known = state.bodies.get((scope, request))
    if known is not None:
        _replay(state, seen, state.runs[known], request, name)
        return None
    published, number = place.published, None
    if place.endpoint is not None:
        endpoint = place.endpoint
        if endpoint.deleted:
            raise No("endpoint_not_found", f"endpoint `{endpoint.name}` was deleted")
        number = endpoint.default if place.version is None else state.need_version(endpoint, place.version)
        refuse_closed(f"endpoint `{endpoint.name}`", "endpoint_disabled", endpoint.gate)
        refuse_version(state, endpoint, number)
        published = state.published[endpoint.versions[number].published]
    assert published is not None
    if published.deleted:
        raise No("pipeline_not_found", f"published pipeline `{published.ref}` was deleted")
    refuse_pipeline(published)
    return Run(
        id="",
        endpoint=None if place.endpoint is None else place.endpoint.id,
        endpoint_name=None if place.endpoint is None else place.endpoint.name,
        version=number,
        resolved_from="published" if place.endpoint is None else "default" if place.version is None else "pinned",
        published=published.id,
        depth=0,
        seconds=0.0,
        marks="",
        by="",
        scope=scope,
        key=key,
        in_window=in_window,
        rerun_of=None,
        request=request,
    )


def _replay(state: State, seen: Seen, run: Run, request: Hashable, name: str) -> None:
    if run.request != request:
        raise No("idempotency_conflict", f"the key `{run.key}` belongs to another request")
    seen.granted(8, f"its key has run {run.id} already")
    found = seen["run"]
    seen.same(8, found["id"], run.id, "the run of the key")
    seen.same(8, seen["replayed"], True, "whether the key had its run already")
    learn(state, seen, found)
    state.names[name] = run.id


def _insert(state: State, seen: Seen, name: str, fresh: Run) -> None:
    found = seen["run"]
    require(8, found["id"] not in state.runs, f"{seen.call}: a new request gets run {found['id']}, which is another's")
    run = evolve(fresh, id=found["id"])
    run_is(state, seen, found, run)
    seen.same(8, seen["replayed"], False, "whether the run was there already")
    if found["state"] == "failed":
        raise LawBroken(11, f"{seen.call}: a run that cannot fail is failed, with `{found['error']}`")
    state.put(run)
    state.names[name] = run.id
    if run.key is not None:
        state.keys[(run.scope, run.key)] = run.id
    elif run.in_window:
        state.bodies[(run.scope, run.request)] = run.id
    published = state.published[run.published]
    told = published.ref if run.endpoint is None else f"{run.endpoint_name}@{run.version}"
    state.note(
        Row(
            action="run_accepted",
            kind="run",
            subject_id=run.id,
            subject=published.name,
            from_=run.resolved_from,
            to=told,
            by=run.by,
        )
    )
