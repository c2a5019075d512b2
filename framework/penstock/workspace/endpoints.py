"""The verbs of pipeline endpoints: create, versions, the default pointer, gates, history."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from penstock.contract.hooks import Event
from penstock.records import Caller, DefaultAt, EndpointRecord, HistoryRecord, Page
from penstock.registry import GateOutcome, MoveOutcome, VersionOutcome
from penstock.workspace.context import Group, verb
from penstock.workspace.gates import move_gate
from penstock.workspace.references import split_version


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
        record = self._context.registry().create_endpoint(
            name, published, caller, description=description, tags=tags or {}
        )
        self._moved(record)
        self._context.dispatcher.sync()
        return record

    @verb("endpoint.add_version")
    def add_version(
        self, caller: Caller, name: str, published: str, *, default: bool = False, expect: str | None = None
    ) -> VersionOutcome:
        """Add a published pipeline as the next version; the default moves only when asked.

        What the endpoint already has is not added again, and the answer says so.
        """
        outcome = self._context.registry().add_version(name, published, caller, default=default, expect=expect)
        if outcome.default_moved:
            self._moved(outcome.endpoint)
        self._context.dispatcher.sync()
        return outcome

    @verb("endpoint.get")
    def get(self, caller: Caller, ref: str) -> EndpointRecord:
        """One endpoint with all its versions. Raises NotFound."""
        return self._context.registry().get_endpoint(ref)

    @verb("endpoint.list")
    def list(
        self, caller: Caller, *, all: bool = False, limit: int = 50, before: str | None = None
    ) -> Page[EndpointRecord]:
        """A page of endpoints, newest first; closed endpoints and versions only with `all`."""
        if not self._context.exists:
            return Page(items=())
        return self._context.registry().list_endpoints(all=all, limit=limit, before=before)

    @verb("endpoint.set_default")
    def set_default(
        self, caller: Caller, ref: str, version: str | int, *, expect: str | int | None = None
    ) -> MoveOutcome:
        """Move the default, only if it is `expect` when that is said. Raises Conflict, GateClosed, NotFound."""
        outcome = self._context.registry().set_default(
            ref, str(version), caller, expect=None if expect is None else str(expect)
        )
        if outcome.moved:
            self._moved(outcome.endpoint)
        self._context.dispatcher.sync()
        return outcome

    @verb("endpoint.rollback")
    def rollback(self, caller: Caller, ref: str, *, expect: str | None = None) -> MoveOutcome:
        """Take the last move of the default back. Raises Conflict `nothing_to_roll_back`, GateClosed."""
        outcome = self._context.registry().rollback(ref, caller, expect=expect)
        self._moved(outcome.endpoint)
        self._context.dispatcher.sync()
        return outcome

    @verb("endpoint.disable")
    def disable(self, caller: Caller, ref: str, *, reason: str = "", cancel_runs: bool = False) -> GateOutcome:
        """Close the gate of an endpoint, or of one version when the reference names it."""
        return self._gate(caller, ref, open=False, reason=reason, cancel_runs=cancel_runs)

    @verb("endpoint.enable")
    def enable(self, caller: Caller, ref: str) -> GateOutcome:
        """Open the gate of an endpoint, or of one version; the other gates stay as they are."""
        return self._gate(caller, ref, open=True)

    @verb("endpoint.rename")
    def rename(self, caller: Caller, ref: str, name: str) -> EndpointRecord:
        """Give an endpoint another name; its id stays. Raises Conflict `name_taken`."""
        record = self._context.registry().rename_endpoint(ref, name, caller)
        self._context.dispatcher.sync()
        return record

    @verb("endpoint.delete")
    def delete(self, caller: Caller, ref: str) -> EndpointRecord:
        """Delete an endpoint. Raises Conflict `in_use` while a run of it is unfinished."""
        registry = self._context.registry()
        self._context.dispatcher.refresh_all()
        record = registry.delete_endpoint(ref, caller)
        self._context.dispatcher.sync()
        return record

    @verb("endpoint.history")
    def history(self, caller: Caller, ref: str, *, limit: int = 50, before: str | None = None) -> Page[HistoryRecord]:
        """What happened to an endpoint, its versions and its pointer, newest first."""
        return self._context.registry().history(subject=ref, limit=limit, before=before)

    @verb("endpoint.at")
    def at(self, caller: Caller, ref: str, when: datetime) -> DefaultAt:
        """What a trigger without a version would have run at that time, or why it would have been refused."""
        return self._context.registry().endpoint_at(ref, when)

    def _gate(
        self, caller: Caller, ref: str, *, open: bool, reason: str = "", cancel_runs: bool = False
    ) -> GateOutcome:
        name, version = (ref, None) if self._context.registry().endpoint_id(ref) else split_version(ref)
        return move_gate(
            self._context,
            caller,
            "endpoint" if version is None else "version",
            name,
            open=open,
            version=version,
            reason=reason,
            cancel_runs=cancel_runs,
        )

    def _moved(self, record: EndpointRecord) -> None:
        event = Event(kind="endpoint", subject_id=record.id, subject=record.name, data={"default": record.default})
        self._context.tell("penstock_default_moved", event)
