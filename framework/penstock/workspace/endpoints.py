"""The verbs of pipeline endpoints: create, versions, the default pointer, gates, history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal

from attrs import frozen

from penstock.callers import Caller
from penstock.codec import from_canonical
from penstock.contract.hooks import Event
from penstock.errors import NotFound
from penstock.records import Access, DefaultAt, EndpointRecord, HistoryRecord, Page
from penstock.registry import GateOutcome, HistoryQuery, MoveOutcome, VersionOutcome
from penstock.spec import Pipeline
from penstock.workspace.gates import gate_event, look_at_unfinished, move_gate
from penstock.workspace.references import split_version
from penstock.workspace.rights import scope_missing, within
from penstock.workspace.verbs import Group, verb


@frozen(kw_only=True)
class Signature:
    """What a trigger of an endpoint takes: the pipeline behind a version, with its parameters."""

    endpoint: EndpointRecord
    version: str
    pipeline: Pipeline


class Endpoints(Group):
    """Verbs of endpoints. A reference is a name or an id; where a version is meant too, `digits@0`."""

    @verb("endpoint.create", "publish")
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

    @verb("endpoint.add_version", "publish")
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

    @verb("endpoint.get", "read", within="endpoint")
    def get(self, caller: Caller, ref: str) -> EndpointRecord:
        """One endpoint with all its versions. Raises NotFound."""
        return self._services.registry.endpoints.get(ref)

    @verb("endpoint.signature", "read", within="endpoint")
    def signature(self, caller: Caller, ref: str) -> Signature:
        """The parameters of an endpoint's default version, or of the version that the reference names.

        Raises NotFound.
        """
        registry = self._services.registry
        name, wanted = split_version(ref)
        endpoint = registry.endpoints.get(name)
        number = endpoint.default if wanted is None else wanted
        for version in endpoint.versions:
            if version.version == number:
                pipeline = from_canonical(registry.pipelines.snapshot(version.digest).spec)
                return Signature(endpoint=endpoint, version=version.version, pipeline=pipeline)
        raise NotFound(f"endpoint `{endpoint.name}` has no version {number}", code="version_not_found")

    @verb("endpoint.list", "read", within="listing")
    def list(
        self, caller: Caller, *, all: bool = False, limit: int = 50, before: str | None = None
    ) -> Page[EndpointRecord]:
        """A page of endpoints, newest first; closed endpoints and versions only with `all`."""
        if not self._services.can_be_listed:
            return Page(items=())
        return self._services.registry.endpoints.list(all=all, limit=limit, before=before, within=within(caller))

    @verb("endpoint.set_default", "publish", within="endpoint")
    def set_default(
        self,
        caller: Caller,
        ref: str,
        version: str | int,
        *,
        expect: str | int | None = None,
        expect_revision: int | None = None,
        reason: str = "",
    ) -> MoveOutcome:
        """Move the default, only if it is `expect`, or the endpoint's revision the expected one, when that is said.
        `reason` is kept in the history.

        Raises Conflict, GateClosed, NotFound.
        """
        outcome = self._services.registry.endpoints.set_default(
            ref,
            str(version),
            caller,
            expect=None if expect is None else str(expect),
            expect_revision=expect_revision,
            reason=reason,
        )
        self._changed(outcome.endpoint, moved=outcome.moved)
        return outcome

    @verb("endpoint.rollback", "publish", within="endpoint")
    def rollback(
        self,
        caller: Caller,
        ref: str,
        *,
        expect: str | int | None = None,
        expect_revision: int | None = None,
        reason: str = "",
    ) -> MoveOutcome:
        """Take the last move of the default back, if the default or the revision is what is expected. `reason` is kept
        in the history.

        Raises Conflict `nothing_to_roll_back`, `default_changed`, `revision_changed`, GateClosed.
        """
        endpoints = self._services.registry.endpoints
        expected = None if expect is None else str(expect)
        outcome = endpoints.rollback(ref, caller, expect=expected, expect_revision=expect_revision, reason=reason)
        self._changed(outcome.endpoint, moved=True)
        return outcome

    @verb("endpoint.update", "publish", within="endpoint")
    def update(
        self,
        caller: Caller,
        ref: str,
        *,
        name: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        add_versions: Sequence[str] = (),
        default: str | int | None = None,
        enabled: bool | None = None,
        reason: str = "",
        expect_revision: int | None = None,
    ) -> EndpointRecord:
        """Change several things of an endpoint at once, all of them or none; what is not given stays.

        `add_versions` are published pipelines to add, in order. Raises Conflict `revision_changed` when it is not at
        the revision that the caller expects, and what each change raises.
        """
        registry = self._services.registry
        for asked, more in ((name is not None, "endpoint.rename"), (bool(add_versions), "endpoint.add_version")):
            if asked and within(caller) is not None:
                raise scope_missing(caller, more, "publish", None)
        before = registry.endpoints.get(ref)
        record = registry.endpoints.update(
            before.id,
            caller,
            name=name,
            description=description,
            tags=tags,
            add_versions=add_versions,
            default=None if default is None else str(default),
            enabled=enabled,
            reason=reason,
            expect_revision=expect_revision,
        )
        gated = record.enabled != before.enabled
        if gated:
            event = gate_event("endpoint", record.id, record.name, record.enabled)
            self._services.tell("penstock_gate_changed", event)
        return self._changed(record, moved=record.default != before.default, at_once=gated)

    @verb("endpoint.disable", "publish", within="endpoint")
    def disable(
        self,
        caller: Caller,
        ref: str,
        *,
        reason: str = "",
        cancel_runs: bool = False,
        expect_revision: int | None = None,
    ) -> GateOutcome:
        """Close the gate of an endpoint, or of one version when the reference names it.

        Raises Conflict `revision_changed` when the endpoint is not at the revision that is expected.
        """
        return move_gate(
            self._services,
            caller,
            *_gated(ref),
            open=False,
            reason=reason,
            cancel_runs=cancel_runs,
            expect_revision=expect_revision,
        )

    @verb("endpoint.enable", "publish", within="endpoint")
    def enable(self, caller: Caller, ref: str, *, expect_revision: int | None = None) -> GateOutcome:
        """Open the gate of an endpoint, or of one version; the other gates stay as they are.

        Raises Conflict `revision_changed`.
        """
        return move_gate(self._services, caller, *_gated(ref), open=True, expect_revision=expect_revision)

    @verb("endpoint.access", "admin", within="endpoint")
    def access(self, caller: Caller, ref: str, access: Access, *, expect_revision: int | None = None) -> EndpointRecord:
        """Take an endpoint's triggers by HTTP from everybody (`public`), or from who has a token (`private`).

        Nothing else of it is opened. Raises NotFound, UsageError, Conflict `revision_changed`.
        """
        registry = self._services.registry
        return self._changed(registry.endpoints.set_access(ref, access, caller, expect_revision=expect_revision))

    @verb("endpoint.deduplicate", "publish", within="endpoint")
    def deduplicate(
        self, caller: Caller, ref: str, window: float | None, *, expect_revision: int | None = None
    ) -> EndpointRecord:
        """Let the same request by HTTP without an idempotency key be the same run, within `window` seconds of its
        acceptance; None: each is a new run.

        Raises NotFound, UsageError, Conflict `revision_changed`.
        """
        endpoints = self._services.registry.endpoints
        return self._changed(endpoints.set_deduplication(ref, window, caller, expect_revision=expect_revision))

    @verb("endpoint.rename", "publish")
    def rename(self, caller: Caller, ref: str, name: str) -> EndpointRecord:
        """Give an endpoint another name; its id stays. Raises Conflict `name_taken`."""
        return self._changed(self._services.registry.endpoints.rename(ref, name, caller))

    @verb("endpoint.delete", "admin", within="endpoint")
    def delete(self, caller: Caller, ref: str) -> EndpointRecord:
        """Delete an endpoint. Raises Conflict `in_use` while a run of it is unfinished."""
        registry = self._services.registry
        endpoint = registry.endpoints.get(ref)
        look_at_unfinished(self._services, endpoint=endpoint.id)
        return self._changed(registry.endpoints.delete(endpoint.id, caller))

    @verb("endpoint.history", "read", within="endpoint")
    def history(self, caller: Caller, ref: str, *, limit: int = 50, before: str | None = None) -> Page[HistoryRecord]:
        """What happened to an endpoint, its versions and its pointer, newest first. Raises NotFound."""
        return self._services.registry.history(HistoryQuery(endpoint=ref, limit=limit, before=before))

    @verb("endpoint.at", "read", within="endpoint")
    def at(self, caller: Caller, ref: str, when: datetime) -> DefaultAt:
        """What a trigger without a version would have run at that time, or why it would have been refused."""
        return self._services.registry.endpoints.at(ref, when)

    def _changed(self, record: EndpointRecord, *, moved: bool = False, at_once: bool = False) -> EndpointRecord:
        """Tell plugins and targets what an endpoint is now."""
        if moved:
            self._services.tell("penstock_default_moved", default_moved(record))
        self._services.give_time(at_once=at_once)
        return record


def _gated(ref: str) -> tuple[Literal["endpoint", "version"], str, str | None]:
    name, version = split_version(ref)
    return "endpoint" if version is None else "version", name, version


def default_moved(endpoint: EndpointRecord) -> Event:
    """The event that tells plugins where a default is now."""
    return Event(
        kind="endpoint",
        subject_id=endpoint.id,
        subject=endpoint.name,
        at=endpoint.modified,
        data={"default": endpoint.default},
    )
