"""Published pipelines in the model (law 1): one name and label is one digest for ever."""

from __future__ import annotations

from attrs import evolve
from laws.model.endpoints import Attached, attach, check_can_add, note_attached
from laws.model.expectations import No, Seen
from laws.model.facts import endpoint_is, published_is
from laws.model.state import Published, Row, State, split_version

from penstock.testing.laws import require


def publish(
    state: State,
    seen: Seen,
    *,
    variant: str,
    by: str,
    target: str = "main",
    name: str | None = None,
    label: str | None = None,
    endpoint: str | None = None,
    default: bool = False,
    expect: str | None = None,
) -> None:
    """Publish a variant, and put it behind an endpoint when one is named."""
    known = state.variants.get(variant)
    _publish(state, seen, known, name or "probe", label, target, endpoint, default, expect, by)
    digest = seen["published"]["digest"]
    if known is None:
        others = set(state.variants.values())
        require(1, digest not in others, f"{seen.call}: two different pipelines have the digest {digest}")
        state.variants[variant] = digest


def publish_from(
    state: State,
    seen: Seen,
    *,
    ref: str,
    by: str,
    target: str = "main",
    name: str | None = None,
    label: str | None = None,
    endpoint: str | None = None,
    default: bool = False,
    expect: str | None = None,
) -> None:
    """Publish what is behind a run, an endpoint, a version or a published pipeline."""
    source = _behind(state, ref)
    _publish(state, seen, source.digest, name or source.name, label, target, endpoint, default, expect, by)


def delete(state: State, seen: Seen, *, published: str, by: str) -> None:
    """Delete a published pipeline that nothing points to, and burn its label."""
    one = state.need_published(published)
    for endpoint in state.endpoints.values():
        if not endpoint.deleted and any(version.published == one.id for version in endpoint.versions):
            raise No("in_use", f"`{one.ref}` is a version of endpoint `{endpoint.name}`")
    through = [run for run in state.runs.values() if run.published == one.id and not run.ended]
    if any(run.lasting for run in through):
        raise No("in_use", f"a run of `{one.ref}` is unfinished")
    if through and seen.may_be("in_use"):
        return
    published_is(seen, seen["published"], one)
    for run in through:
        state.put(evolve(run, state="ended"))
    state.put(evolve(one, deleted=True))
    state.labels[(one.name, one.label)] = (one.digest, True)
    state.note(Row(action="pipeline_deleted", kind="pipeline", subject_id=one.id, subject=one.ref, by=by))


def _publish(
    state: State,
    seen: Seen,
    digest: str | None,
    name: str,
    label: str | None,
    target: str,
    endpoint: str | None,
    default: bool,
    expect: str | None,
    by: str,
) -> None:
    label, known = _settle(state, digest, name, label, target)
    if endpoint is not None:
        check_can_add(state, endpoint, known, default=default, expect=expect)
    found = seen["published"]
    seen.same(1, seen["created"], known is None, "whether it was published just now")
    if known is None:
        require(
            1, found["id"] not in state.published, f"{seen.call}: the new published pipeline has an id that is taken"
        )
        if digest is not None:
            seen.same(1, found["digest"], digest, "the digest of the same snapshot")
        known = Published(id=found["id"], name=name, label=label, digest=found["digest"], target=target, by=by)
        state.put(known)
        state.labels.setdefault((name, label), (known.digest, False))
        subject = {"kind": "pipeline", "subject_id": known.id, "subject": known.ref}
        state.note(Row(action="pipeline_published", to=known.digest, by=by, **subject))
    published_is(seen, found, known)
    if endpoint is None:
        seen.same(2, (seen["endpoint"], seen["version"]), (None, None), "the endpoint that was not asked for")
        return
    before = state.endpoint(endpoint)
    done: Attached = attach(state, seen["endpoint"]["id"], endpoint, known, default=default)
    note_attached(state, done, known, by)
    seen.same(2, seen["endpoint_created"], before is None, "whether the endpoint was made just now")
    seen.same(2, (seen["version"], seen["added"]), (str(done.version), done.added), "the version, and if it is new")
    seen.same(3, seen["moved"], done.moved, "whether the default moved")
    endpoint_is(state, seen, seen["endpoint"], done.after)


def _settle(
    state: State, digest: str | None, name: str, label: str | None, target: str
) -> tuple[str, Published | None]:
    """The label that a publish takes, and what it gives back when that is there. Raises No."""
    label = label or _label(state, digest, name, target)
    taken = state.labels.get((name, label))
    if taken is None:
        return label, None
    kept, burnt = taken
    alive = [one for one in state.find_published(f"{name}:{label}@{target}") if one.digest == digest]
    if not alive and burnt:
        raise No("label_reserved", f"`{name}:{label}` was deleted")
    if kept != digest:
        raise No("label_frozen", f"`{name}:{label}` has another digest")
    return label, alive[0] if alive else None


def _label(state: State, digest: str | None, name: str, target: str) -> str:
    """The label that this digest has already, on this target first, else the next number."""
    here = [
        one.label
        for one in state.published.values()
        if (one.name, one.digest, one.target, one.deleted) == (name, digest, target, False)
    ]
    mine = {label: kept for (owner, label), kept in state.labels.items() if owner == name}
    had = here or [label for label, kept in mine.items() if kept == (digest, False)]
    return had[-1] if had else str(max([0, *(int(label) for label in mine if label.isdigit())]) + 1)


def _behind(state: State, ref: str) -> Published:
    if ref in state.names:
        return state.published[state.runs[state.names[ref]].published]
    name, pinned = split_version(ref)
    endpoint = state.endpoint(name)
    if endpoint is not None:
        number = endpoint.default if pinned is None else state.need_version(endpoint, pinned)
        return state.published[endpoint.versions[number].published]
    if ":" not in ref:
        state.need_endpoint(name)
    return state.need_published(ref)
