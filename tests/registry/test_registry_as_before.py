"""A trigger that leads where it did before is accepted by one question, and whatever changed meanwhile still counts."""

import uuid
from collections.abc import Callable

import pytest
from attrs import evolve

from penstock.callers import Rights
from penstock.registry import NewRun, Registry, ResolutionChanged, TriggerRequest, resolving


@pytest.fixture
def asked(registry, kit):
    """A request that addresses `digits@0` by name, what it resolved to, and a caller with a token."""
    endpoint, _ = (kit.publish(registry, digest, endpoint="digits").endpoint for digest in "ab")
    registry.endpoints.set_access("digits", "public", kit.caller)
    token = registry.tokens.create("nightly", "submit", None, None, kit.caller).record
    caller = evolve(kit.caller, rights=Rights(scope="submit", token=token.id))
    request = TriggerRequest(kind="endpoint", ref=endpoint.id, name="digits", key="mine", body=lambda: "asked")
    return request, registry.runs.resolve(request), caller


def accepted() -> NewRun:
    return NewRun(id=str(uuid.uuid4()), experiment="trials")


@pytest.mark.parametrize(
    "said",
    [{}, {"name": None}, {"key": None}, {"version": "0"}, {"public": True}, {"most_unfinished": 1}, {"body": None}],
    ids=str,
)
def test_what_leads_where_it_did_is_not_resolved_again(registry, asked, monkeypatch, said):
    request, found, caller = asked
    monkeypatch.setattr(resolving, "resolve", None)
    run, known = registry.runs.accept(evolve(request, **said), found, accepted(), caller)
    assert not known
    assert run == registry.runs.get(run.id)
    assert run.version == "0"


def _renamed(other: Registry, kit, endpoint: str) -> None:
    other.endpoints.rename("digits", "letters", kit.caller)


def _renamed_and_replaced(other: Registry, kit, endpoint: str) -> None:
    _renamed(other, kit, endpoint)
    kit.publish(other, "a", endpoint="digits")


def _closed(kind: str, ref: str, version: str | None = None) -> Callable[[Registry, object, str], None]:
    def close(other, kit, endpoint):
        other.set_gate(kind, ref, open=False, caller=kit.caller, version=version)

    return close


def _default_moved(other: Registry, kit, endpoint: str) -> None:
    other.endpoints.set_default("digits", "1", kit.caller)


def _deleted(other: Registry, kit, endpoint: str) -> None:
    other.endpoints.delete("digits", kit.caller)


def _private(other: Registry, kit, endpoint: str) -> None:
    other.endpoints.set_access("digits", "private", kit.caller)


def _revoked(other: Registry, kit, endpoint: str) -> None:
    other.tokens.revoke("nightly", kit.caller)


CHANGES = [
    (_closed("endpoint", "digits"), {}, "endpoint_disabled"),
    (_closed("version", "digits", "0"), {}, "version_disabled"),
    (_closed("version", "digits", "1"), {}, None),
    (_closed("pipeline", "digits:1"), {}, "pipeline_disabled"),
    (_closed("pipeline", "digits:2"), {}, None),
    (_default_moved, {}, ResolutionChanged),
    (_default_moved, {"version": "0"}, None),
    (_renamed, {}, ResolutionChanged),
    (_renamed, {"name": None}, None),
    (_renamed_and_replaced, {}, ResolutionChanged),
    (_deleted, {}, "endpoint_not_found"),
    (_private, {}, None),
    (_private, {"public": True}, "not_authenticated"),
    (_revoked, {}, "not_authenticated"),
]


@pytest.mark.parametrize(("change", "said", "outcome"), CHANGES)
def test_what_another_process_changed_since_counts(registry, kit, asked, change, said, outcome):
    request, found, caller = asked
    request = evolve(request, **said)
    if said.get("public"):
        caller = evolve(caller, rights=Rights(scope="submit", public=True))
    before, _ = registry.runs.accept(evolve(request, key="before"), found, accepted(), caller)
    registry.runs.request_cancel(before.id, kit.caller)  # an endpoint with an unfinished run does not go
    other = Registry.open(registry._database.path, clock=registry._database._clock)
    change(other, kit, request.ref)
    other.close()
    with registry.group_commit() as group:
        with group.joined():
            if outcome is ResolutionChanged:
                with pytest.raises(ResolutionChanged):
                    registry.runs.accept(request, found, accepted(), caller)
            else:
                assert kit.code(registry.runs.accept, request, found, accepted(), caller) == outcome
        group.commit()
    assert len(kit.runs(registry).items) == (2 if outcome is None else 1)


def test_a_key_and_a_body_that_another_process_had_accepted_are_known(registry, kit, asked):
    request, found, caller = asked
    registry.endpoints.set_deduplication("digits", 60, kit.caller)
    other = Registry.open(registry._database.path, clock=registry._database._clock)
    for one in (request, evolve(request, key=None)):
        first, _ = other.runs.accept(one, found, accepted(), caller)
        assert registry.runs.accept(one, found, accepted(), caller) == (first, True)
        public = evolve(caller, rights=Rights(scope="submit", public=True))
        assert registry.runs.accept(evolve(one, public=True), found, accepted(), public)[1] is False
    other.close()
