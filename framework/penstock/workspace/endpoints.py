"""The verbs of pipeline endpoints: create, versions, the default pointer, gates, history."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Literal

from penstock.contract.hooks import Event
from penstock.errors import RegistryError
from penstock.records import Caller, DefaultAt, EndpointRecord, HistoryQuery, HistoryRecord, Page
from penstock.registry import GateOutcome, MoveOutcome, VersionOutcome
from penstock.workspace.references import split_version
from penstock.workspace.services import Services
from penstock.workspace.verbs import Group, verb


class Endpoints(Group):
    """Verbs of endpoints. A reference is a name or an id; where a version is meant too, `digits@0`."""

    @verb("endpoint.create")
    def create(
        self,
        caller: Caller,
        name: str,
        published: str,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> EndpointRecord:
        """Create an endpoint with a published pipeline as version 0, its default. Raises Conflict `name_taken`."""
        registry = self._services.registry
        record = registry.endpoints.create(name, published, caller, description=description, tags=tags or {})
        return self._changed(record, moved=True)

    @verb("endpoint.add_version")
    def add_version(
        self, caller: Caller, name: str, published: str, *, default: bool = False, expect: str | None = None
    ) -> VersionOutcome:
        """Add a published pipeline as the next version; the default moves only when asked.

        What the endpoint already has is not added again, and the answer says so.
        """
        registry = self._services.registry
        outcome = registry.endpoints.add_version(name, published, caller, default=default, expect=expect)
        self._changed(outcome.endpoint, moved=outcome.default_moved)
        return outcome

    @verb("endpoint.get")
    def get(self, caller: Caller, ref: str) -> EndpointRecord:
        """One endpoint with all its versions. Raises NotFound."""
        return self._services.registry.endpoints.get(ref)

    @verb("endpoint.list")
    def list(
        self, caller: Caller, *, all: bool = False, limit: int = 50, before: str | None = None
    ) -> Page[EndpointRecord]:
        """A page of endpoints, newest first; closed endpoints and versions only with `all`."""
        if not self._services.exists:
            return Page(items=())
        return self._services.registry.endpoints.list(all=all, limit=limit, before=before)

    @verb("endpoint.set_default")
    def set_default(
        self, caller: Caller, ref: str, version: str | int, *, expect: str | int | None = None
    ) -> MoveOutcome:
        """Move the default, only if it is `expect` when that is said. Raises Conflict, GateClosed, NotFound."""
        expected = None if expect is None else str(expect)
        outcome = self._services.registry.endpoints.set_default(ref, str(version), caller, expect=expected)
        self._changed(outcome.endpoint, moved=outcome.moved)
        return outcome

    @verb("endpoint.rollback")
    def rollback(self, caller: Caller, ref: str, *, expect: str | None = None) -> MoveOutcome:
        """Take the last move of the default back. Raises Conflict `nothing_to_roll_back`, GateClosed."""
        outcome = self._services.registry.endpoints.rollback(ref, caller, expect=expect)
        self._changed(outcome.endpoint, moved=True)
        return outcome

    @verb("endpoint.update")
    def update(
        self,
        caller: Caller,
        ref: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        default: str | int | None = None,
        enabled: bool | None = None,
        reason: str = "",
        expect_revision: int | None = None,
    ) -> EndpointRecord:
        """Change several things of an endpoint at once, all of them or none; what is not given stays.

        Raises Conflict `revision_changed` when it is not at the revision that the caller expects, and what each
        change raises.
        """
        registry = self._services.registry
        before = registry.endpoints.get(ref)
        record = registry.endpoints.update(
            before.id,
            caller,
            name=name,
            description=description,
            tags=tags,
            default=None if default is None else str(default),
            enabled=enabled,
            reason=reason,
            expect_revision=expect_revision,
        )
        if record.enabled != before.enabled:
            event = _gate_event("endpoint", record.id, record.name, record.enabled)
            self._services.tell("penstock_gate_changed", event)
        return self._changed(record, moved=record.default != before.default)

    @verb("endpoint.disable")
    def disable(self, caller: Caller, ref: str, *, reason: str = "", cancel_runs: bool = False) -> GateOutcome:
        """Close the gate of an endpoint, or of one version when the reference names it."""
        return move_gate(self._services, caller, *_gated(ref), open=False, reason=reason, cancel_runs=cancel_runs)

    @verb("endpoint.enable")
    def enable(self, caller: Caller, ref: str) -> GateOutcome:
        """Open the gate of an endpoint, or of one version; the other gates stay as they are."""
        return move_gate(self._services, caller, *_gated(ref), open=True)

    @verb("endpoint.rename")
    def rename(self, caller: Caller, ref: str, name: str) -> EndpointRecord:
        """Give an endpoint another name; its id stays. Raises Conflict `name_taken`."""
        return self._changed(self._services.registry.endpoints.rename(ref, name, caller))

    @verb("endpoint.delete")
    def delete(self, caller: Caller, ref: str) -> EndpointRecord:
        """Delete an endpoint. Raises Conflict `in_use` while a run of it is unfinished."""
        registry = self._services.registry
        endpoint = registry.endpoints.get(ref)
        look_at_unfinished(self._services, endpoint=endpoint.id)
        return self._changed(registry.endpoints.delete(endpoint.id, caller))

    @verb("endpoint.history")
    def history(self, caller: Caller, ref: str, *, limit: int = 50, before: str | None = None) -> Page[HistoryRecord]:
        """What happened to an endpoint, its versions and its pointer, newest first."""
        return self._services.registry.history(HistoryQuery(subject=ref, limit=limit, before=before))

    @verb("endpoint.at")
    def at(self, caller: Caller, ref: str, when: datetime) -> DefaultAt:
        """What a trigger without a version would have run at that time, or why it would have been refused."""
        return self._services.registry.endpoints.at(ref, when)

    def _changed(self, record: EndpointRecord, *, moved: bool = False) -> EndpointRecord:
        """Tell plugins and targets what an endpoint is now."""
        if moved:
            self._services.tell("penstock_default_moved", default_moved(record))
        self._services.outbox.give_time()
        return record


def move_gate(
    services: Services,
    caller: Caller,
    kind: Literal["endpoint", "version", "pipeline"],
    ref: str,
    version: str | None = None,
    *,
    open: bool,
    reason: str = "",
    cancel_runs: bool = False,
) -> GateOutcome:
    """Move one gate, tell plugins and targets, and pass on the cancel requests that were asked for with it."""
    registry = services.registry
    if cancel_runs:  # what has ended needs no cancelling
        if kind == "pipeline":
            look_at_unfinished(services, published=registry.pipelines.get(ref).id)
        else:
            look_at_unfinished(services, endpoint=registry.endpoints.get(ref).id)
    outcome = registry.set_gate(
        kind, ref, open=open, caller=caller, reason=reason, version=version, cancel_runs=cancel_runs
    )
    if outcome.changed:
        services.tell("penstock_gate_changed", _gate_event(kind, outcome.subject_id, outcome.subject, open))
    with suppress(RegistryError):  # the gate has moved
        for run_id in outcome.ended:
            services.outbox.tell_run(registry.runs.get(run_id))
    services.outbox.give_time()
    return outcome


def look_at_unfinished(services: Services, *, endpoint: str | None = None, published: str | None = None) -> None:
    """Look at the unfinished runs of an endpoint or published pipeline: what ended on its target has ended here too."""
    registry = services.registry
    runs = [registry.runs.get(run) for run in registry.runs.unfinished(endpoint=endpoint, published=published)]
    services.follower.look(runs)


def _gated(ref: str) -> tuple[Literal["endpoint", "version"], str, str | None]:
    name, version = split_version(ref)
    return "endpoint" if version is None else "version", name, version


def _gate_event(kind: str, subject_id: str, subject: str, open: bool) -> Event:
    return Event(kind=kind, subject_id=subject_id, subject=subject, at=datetime.now(UTC), data={"open": open})


def default_moved(endpoint: EndpointRecord) -> Event:
    """The event that tells plugins where a default is now."""
    return Event(
        kind="endpoint",
        subject_id=endpoint.id,
        subject=endpoint.name,
        at=endpoint.modified,
        data={"default": endpoint.default},
    )
