"""Endpoints in the model (laws 2 and 3): versions are counted, and the default is where it was moved to."""

from __future__ import annotations

from attrs import evolve, frozen
from laws.model.expectations import No, Seen
from laws.model.facts import endpoint_is
from laws.model.state import (
    Endpoint,
    Published,
    Row,
    State,
    Version,
    refuse_pipeline,
    refuse_version,
)

from penstock.testing.laws import require


@frozen(kw_only=True)
class Attached:
    """What putting a published pipeline behind an endpoint did; `before` is None for a new endpoint."""

    before: Endpoint | None
    after: Endpoint
    version: int
    added: bool
    moved: bool


def create(state: State, seen: Seen, *, endpoint: str, published: str, by: str) -> None:
    """A new endpoint with a published pipeline as its version 0."""
    if state.endpoint(endpoint) is not None:
        raise No("name_taken", f"there is an endpoint `{endpoint}` already")
    one = state.need_published(published)
    refuse_pipeline(one)
    found = seen["endpoint"]
    require(2, found["id"] not in state.endpoints, f"{seen.call}: the new endpoint has an id that is taken")
    done = attach(state, found["id"], endpoint, one, default=False)
    note_attached(state, done, one, by)
    endpoint_is(state, seen, found, done.after)


def add_version(
    state: State,
    seen: Seen,
    *,
    endpoint: str,
    published: str,
    by: str,
    default: bool = False,
    expect: str | None = None,
) -> None:
    """A published pipeline as the next version, unless the endpoint has it."""
    state.need_endpoint(endpoint)
    one = state.need_published(published)
    check_can_add(state, endpoint, one, default=default, expect=expect)
    done = attach(state, seen["endpoint"]["id"], endpoint, one, default=default)
    note_attached(state, done, one, by)
    seen.same(2, (seen["version"], seen["added"]), (str(done.version), done.added), "the version, and if it is new")
    seen.same(3, seen["moved"], done.moved, "whether the default moved")
    endpoint_is(state, seen, seen["endpoint"], done.after)


def set_default(state: State, seen: Seen, *, endpoint: str, version: str, by: str, expect: str | None = None) -> None:
    """Move the default."""
    one = state.need_endpoint(endpoint)
    _expect(one, expect)
    number = state.need_version(one, version)
    if number != one.default:
        refuse_version(state, one, number)
    _is_not_elsewhere(state, seen, one)
    after = _moved(one, number)
    _pointed(state, seen, one, after, "default_moved", by)


def rollback(state: State, seen: Seen, *, endpoint: str, by: str, expect: str | None = None) -> None:
    """Take the last move back."""
    one = state.need_endpoint(endpoint)
    _expect(one, expect)
    if not one.stack:
        raise No("nothing_to_roll_back", f"the default of `{endpoint}` has no move to take back")
    refuse_version(state, one, one.stack[-1])
    _is_not_elsewhere(state, seen, one)
    after = evolve(one, default=one.stack[-1], stack=one.stack[:-1])
    _pointed(state, seen, one, after, "default_rolled_back", by)


def rename(state: State, seen: Seen, *, endpoint: str, to: str, by: str) -> None:
    """Another name; the id stays."""
    one = state.need_endpoint(endpoint)
    if to != endpoint:
        if state.endpoint(to) is not None:
            raise No("name_taken", f"there is an endpoint `{to}` already")
        seen.granted()
        _hold_name(state, to, one.id)
        subject = {"kind": "endpoint", "subject_id": one.id, "subject": to}
        state.note(Row(action="endpoint_renamed", from_=endpoint, to=to, by=by, **subject))
    one = evolve(one, name=to)
    state.put(one)
    endpoint_is(state, seen, seen["endpoint"], one)


def access(state: State, seen: Seen, *, endpoint: str, access: str, by: str) -> None:
    """Say who may trigger an endpoint by HTTP."""
    one = state.need_endpoint(endpoint)
    _changed(state, seen, one, evolve(one, access=access), "access_changed", (one.access, access), by)


def deduplicate(state: State, seen: Seen, *, endpoint: str, by: str, window: int | None = None) -> None:
    """Say for how long the same request without a key is the same run: an hour, or not at all."""
    one = state.need_endpoint(endpoint)
    told = ("off" if one.window is None else "1h", "off" if window is None else "1h")
    _changed(state, seen, one, evolve(one, window=window), "deduplication_changed", told, by)


def delete(state: State, seen: Seen, *, endpoint: str, by: str) -> None:
    """Delete an endpoint that has no unfinished run."""
    one = state.need_endpoint(endpoint)
    through = [run for run in state.runs.values() if run.endpoint == one.id and not run.ended]
    if any(run.lasting for run in through):
        raise No("in_use", f"a run of endpoint `{endpoint}` is unfinished")
    if through and seen.may_be("in_use"):
        return
    endpoint_is(state, seen, seen["endpoint"], one)
    for run in through:
        state.put(evolve(run, state="ended"))
    state.put(evolve(one, deleted=True))
    state.note(Row(action="endpoint_deleted", kind="endpoint", subject_id=one.id, subject=one.name, by=by))


def check_can_add(state: State, name: str, published: Published | None, *, default: bool, expect: str | None) -> None:
    """Raise No when a published pipeline (None: a new one) cannot be put behind an endpoint."""
    endpoint = state.endpoint(name)
    if endpoint is None:
        if expect is not None:
            raise No("default_changed", f"there is no endpoint `{name}` whose default could be {expect}")
        if published is not None:
            refuse_pipeline(published)
        return
    _expect(endpoint, expect)
    if not default or published is None:
        return
    known = _version_of(endpoint, published)
    if known is None:
        refuse_pipeline(published)
    elif known != endpoint.default:
        refuse_version(state, endpoint, known)


def attach(state: State, id: str, name: str, published: Published, *, default: bool) -> Attached:
    """Put a published pipeline behind an endpoint, which gets this id when it is new."""
    before = state.endpoint(name)
    if before is None:
        endpoint = Endpoint(id=id, name=name, versions=(Version(published.id),))
        _hold_name(state, name, id)
        state.put(endpoint)
        return Attached(before=None, after=endpoint, version=0, added=True, moved=True)
    known = _version_of(before, published)
    number = len(before.versions) if known is None else known
    after = before if known is not None else evolve(before, versions=(*before.versions, Version(published.id)))
    moved = default and number != before.default
    if moved:
        after = _moved(after, number)
    state.put(after)
    return Attached(before=before, after=after, version=number, added=known is None, moved=moved)


def note_attached(state: State, done: Attached, published: Published, by: str) -> None:
    """Append to the history what `attach` did."""
    one = done.after
    subject = {"kind": "endpoint", "subject_id": one.id, "subject": one.name}
    if done.before is None:
        state.note(Row(action="endpoint_created", by=by, **subject))
    if done.added:
        named = f"{one.name}@{done.version}"
        state.note(
            Row(action="version_added", kind="version", subject_id=one.id, subject=named, to=published.ref, by=by)
        )
    if done.moved:
        before = None if done.before is None else str(done.before.default)
        state.note(Row(action="default_moved", from_=before, to=str(one.default), by=by, **subject))


def _expect(endpoint: Endpoint, expect: str | None) -> None:
    if expect is not None and expect != str(endpoint.default):
        raise No("default_changed", f"the default of `{endpoint.name}` is {endpoint.default}, not {expect}")


def _version_of(endpoint: Endpoint, published: Published) -> int | None:
    return next((at for at, one in enumerate(endpoint.versions) if one.published == published.id), None)


def _moved(endpoint: Endpoint, number: int) -> Endpoint:
    if number == endpoint.default:
        return endpoint
    return evolve(endpoint, default=number, stack=(*endpoint.stack, endpoint.default))


def _hold_name(state: State, name: str, id: str) -> None:
    if state.remember:
        state.held.append((name, id))


def _changed(
    state: State, seen: Seen, before: Endpoint, after: Endpoint, action: str, told: tuple[str, str], by: str
) -> None:
    """Take in what an endpoint became, and the history of that if it became anything."""
    seen.granted()
    state.put(after)
    endpoint_is(state, seen, seen["endpoint"], after)
    if after != before:
        subject = {"kind": "endpoint", "subject_id": after.id, "subject": after.name}
        state.note(Row(action=action, from_=told[0], to=told[1], by=by, **subject))


def _is_not_elsewhere(state: State, seen: Seen, endpoint: Endpoint) -> None:
    """Hold that a move is not refused for a gate that is closed indeed, but not where the move goes."""
    closed = any(one.gate or state.published[one.published].gate for one in endpoint.versions)
    if closed and seen.refused in ("version_disabled", "pipeline_disabled"):
        seen.granted(3, "it goes to a version that is open")


def _pointed(state: State, seen: Seen, before: Endpoint, after: Endpoint, action: str, by: str) -> None:
    seen.granted()
    state.put(after)
    moved = after is not before
    seen.same(3, (seen["from"], seen["to"]), (str(before.default), str(after.default)), "the move")
    seen.same(3, seen["moved"], moved, "whether the default moved")
    endpoint_is(state, seen, seen["endpoint"], after)
    if moved:
        subject = {"kind": "endpoint", "subject_id": after.id, "subject": after.name}
        state.note(Row(action=action, from_=str(before.default), to=str(after.default), by=by, **subject))
