"""The registry's front: every method is one transaction over the function that says the rules.

Longer than a module should be, because whoever uses the registry finds all of it in one list; no rule is in here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, TypeVar

from penstock.contract.run import Absent, Failure, RunRef, RunReport, Submission
from penstock.contract.target import EndpointState, Publication
from penstock.records import Caller, DefaultAt, EndpointRecord, HistoryRecord, Page, PublishedRecord, RunRecord
from penstock.registry import (
    acceptance,
    asof,
    cancelling,
    default_version,
    endpoints,
    gates,
    handover,
    history,
    listing,
    lookup,
    maintenance,
    outbox,
    publications,
    published,
    reports,
    rows,
)
from penstock.registry.database import Clock, Database, Transaction, system_clock
from penstock.registry.file import copy, open_database
from penstock.registry.messages import (
    CancelOutcome,
    CheckReport,
    Counts,
    DeleteOutcome,
    GateOutcome,
    Handover,
    MoveOutcome,
    NewRun,
    PendingHandover,
    PublishOutcome,
    PublishPlan,
    PublishRequest,
    Resolution,
    TriggerRequest,
    VersionOutcome,
)
from penstock.spec import Value

P = ParamSpec("P")
T = TypeVar("T")


class Registry:
    """One registry file, open in this process. Threads may share it and take turns; a fork opens its own.

    References: an endpoint by name or id, a published pipeline by id, `name:label` or `name:label@target`, a run by
    id or its first characters. Every method may raise RegistryError.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, path: Path, *, create: bool = True, read_only: bool = False, clock: Clock = system_clock) -> Registry:
        """Open a registry file; a missing one is made, an older one migrated with a copy beside it.

        What cannot be written can still be read. `clock` answers microseconds since 1970 UTC. Raises RegistryError:
        `registry_missing`, `registry_newer`, `registry_corrupt`, `registry_network_fs`, `registry_read_only`,
        `registry_disk_full`, `registry_busy`.
        """
        return cls(open_database(path, create=create, read_only=read_only, clock=clock))

    def close(self) -> None:
        """Close the file; closing twice is closing once."""
        self._database.close()

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # Published pipelines

    def plan_publish(self, order: PublishRequest) -> PublishPlan:
        """What `publish` would do; raises what it would raise. Changes nothing."""
        return self._read(published.plan, order)

    def publish(self, order: PublishRequest, caller: Caller) -> PublishOutcome:
        """Publish, and put behind an endpoint when asked: all of it or nothing. Raises Conflict, GateClosed."""
        return self._write(published.publish, order, caller)

    def record_publication(
        self,
        *,
        target: str,
        backend: str,
        digest: str,
        identity: str,
        options: str,
        publication: Publication,
        spec: str,
        archives: str,
    ) -> Publication:
        """Keep the snapshot and publication of a trial run; doing it again changes nothing."""
        return self._write(
            publications.record,
            target=target,
            backend=backend,
            digest=digest,
            identity=identity,
            options=options,
            publication=publication,
            spec=spec,
            archives=archives,
        )

    def find_publication(self, target: str, digest: str, identity: str) -> Publication | None:
        """The publication of a digest on a target of this identity, unless it was retired."""
        return self._read(publications.find_publication, target, digest, identity)

    def snapshot_data(self, digest: str) -> tuple[str, str]:
        """A snapshot's canonical JSON and the JSON text of its archives. Raises NotFound."""
        return self._read(publications.snapshot_data, digest)

    def get_published(self, ref: str) -> PublishedRecord:
        """One published pipeline. Raises NotFound, Conflict `ambiguous`."""
        return self._read(published.get, ref)

    def was_published(self, ref: str) -> bool:
        """Whether a reference names a published pipeline that is there or was deleted."""
        return self._read(published.known, ref)

    def list_published(
        self, *, all: bool = False, limit: int = 50, before: str | None = None, name: str | None = None
    ) -> Page[PublishedRecord]:
        """A page of published pipelines, newest first; closed ones only with `all`."""
        return self._read(listing.list_published, all=all, limit=limit, before=before, name=name)

    def delete_published(self, ref: str, caller: Caller) -> DeleteOutcome:
        """Delete a published pipeline and burn its label. Raises Conflict `in_use`, NotFound."""
        return self._write(published.delete, ref, caller)

    # Endpoints

    def create_endpoint(
        self,
        name: str,
        published_ref: str,
        caller: Caller,
        *,
        description: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> EndpointRecord:
        """A new endpoint with its version 0. Raises Conflict `name_taken`, NotFound, GateClosed."""
        return self._write(endpoints.create, name, published_ref, caller, description=description, tags=tags)

    def add_version(
        self, endpoint: str, published_ref: str, caller: Caller, *, default: bool = False, expect: str | None = None
    ) -> VersionOutcome:
        """The next version of an endpoint, unless it has that one. Raises NotFound, Conflict, GateClosed."""
        return self._write(endpoints.add_version, endpoint, published_ref, caller, default=default, expect=expect)

    def set_default(self, endpoint: str, version: str, caller: Caller, *, expect: str | None = None) -> MoveOutcome:
        """Move the default. Raises Conflict `default_changed`, GateClosed, NotFound."""
        return self._write(default_version.set_default, endpoint, version, caller, expect=expect)

    def rollback(self, endpoint: str, caller: Caller, *, expect: str | None = None) -> MoveOutcome:
        """Take the last move back. Raises Conflict `nothing_to_roll_back`, GateClosed, NotFound."""
        return self._write(default_version.rollback, endpoint, caller, expect=expect)

    def set_gate(
        self,
        kind: gates.GateKind,
        ref: str,
        *,
        open: bool,
        caller: Caller,
        reason: str = "",
        version: str | None = None,
        cancel_runs: bool = False,
    ) -> GateOutcome:
        """Close or open the gate of an endpoint, a version of it, or a published pipeline. Raises NotFound."""
        return self._write(
            gates.set_gate,
            kind,
            ref,
            open=open,
            caller=caller,
            reason=reason,
            version=version,
            cancel_runs=cancel_runs,
        )

    def rename_endpoint(self, endpoint: str, name: str, caller: Caller) -> EndpointRecord:
        """Give an endpoint another name; its id stays. Raises Conflict `name_taken`, NotFound."""
        return self._write(endpoints.rename, endpoint, name, caller)

    def delete_endpoint(self, endpoint: str, caller: Caller) -> EndpointRecord:
        """Delete an endpoint; answers it as it was. Raises Conflict `in_use`, NotFound."""
        return self._write(endpoints.delete, endpoint, caller)

    def get_endpoint(self, ref: str, *, all: bool = True) -> EndpointRecord:
        """One endpoint with its versions. Raises NotFound."""
        return self._read(endpoints.get, ref, all=all)

    def endpoint_id(self, ref: str) -> str | None:
        """The id of the live endpoint that a name or id names, or None."""
        return self._read(endpoints.identify, ref)

    def was_endpoint(self, ref: str) -> bool:
        """Whether a reference names an endpoint that is there or was deleted."""
        return self._read(endpoints.known, ref)

    def list_endpoints(self, *, all: bool = False, limit: int = 50, before: str | None = None) -> Page[EndpointRecord]:
        """A page of endpoints, newest first; closed endpoints and versions only with `all`."""
        return self._read(listing.list_endpoints, all=all, limit=limit, before=before)

    # Runs

    def replay(self, order: TriggerRequest) -> RunRecord | None:
        """The run that a trigger's key has already, or None. Raises Conflict when another request came with it."""
        found = self._read(acceptance.replayed, order)
        return None if found is None else self._replay(order, found)

    def resolve(self, order: TriggerRequest) -> Resolution | RunRecord:
        """What a trigger resolves to now, or the run of its key. Raises NotFound, GateClosed, Conflict."""
        found = self._read(acceptance.resolve, order)
        return self._replay(order, found) if isinstance(found, RunRecord) else found

    def accept(
        self, order: TriggerRequest, resolution: Resolution, accepted: NewRun, caller: Caller
    ) -> tuple[RunRecord, bool]:
        """Accept a run, or answer the one of its key and true.

        Raises ResolutionChanged when it has to be resolved again, NotFound, GateClosed, Conflict.
        """
        run, replayed = self._write(acceptance.accept, order, resolution, accepted, caller)
        return (self._replay(order, run) if replayed else run), replayed

    def _replay(self, order: TriggerRequest, run: RunRecord) -> RunRecord:
        return acceptance.same_request(order, run, self._read(acceptance.asked, run.id))

    def due(self, *, now: datetime | None = None, limit: int = 100) -> list[str]:
        """The ids of runs to hand over now, the longest waiting first."""
        return self._read(handover.due, now=now, limit=limit)

    def next_due(self) -> datetime | None:
        """When the next hand-over is due, or None when nothing waits."""
        return self._read(handover.next_due)

    def waiting(self, run_id: str) -> PendingHandover | None:
        """Why a run still waits for its target, or None when it was handed over or ended."""
        return self._read(handover.waiting, run_id)

    def start_handover(self, run_id: str) -> Handover | None:
        """Mark a run as being handed over; None when nothing is left to do. Call the backend after this only."""
        return self._write(handover.start, run_id)

    def finish_handover(self, run_id: str, submission: Submission) -> RunRecord:
        """Record the backend's receipt. Raises NotFound."""
        return self._write(handover.finish, run_id, submission)

    def defer_handover(self, run_id: str, retry_after: float, message: str) -> None:
        """Note that the target did not take the run now; it is due again after so many seconds."""
        self._write(handover.defer, run_id, retry_after, message)

    def refuse_handover(self, run_id: str, failure: Failure) -> RunRecord:
        """End a run `failed`, because its target refused it for good. Raises NotFound."""
        return self._write(handover.refuse, run_id, failure)

    def report(
        self,
        run_id: str,
        report: RunReport | Absent,
        outputs: Mapping[str, Value] | None,
        step_outputs: Mapping[str, Mapping[str, Value]],
    ) -> tuple[RunRecord, bool]:
        """Take in what a target says of a run, as far as it goes forward; answers whether anything changed."""
        return self._write(reports.report, run_id, report, outputs, step_outputs)

    def request_cancel(self, run_ref: str, caller: Caller, *, reason: str = "") -> CancelOutcome:
        """Ask a run to end: at once before its hand-over began, later by a request. Raises NotFound."""
        return self._write(cancelling.request_cancel, run_ref, caller, reason=reason)

    def pending_cancels(self) -> list[str]:
        """The ids of runs whose target has them and was not told yet to end them."""
        return self._read(cancelling.wanted)

    def mark_cancel_sent(self, run_id: str) -> None:
        """Note that the target was told to end a run."""
        self._write(cancelling.told, run_id)

    def get_run(self, ref: str) -> RunRecord:
        """One run by its id or at least 6 of its first characters. Raises NotFound, Conflict `ambiguous`."""
        return self._read(lambda tx: rows.run_record(lookup.need_run(tx, ref)))

    def run_ref(self, run_id: str) -> tuple[RunRef, str, str]:
        """How the backend knows a run, its target, and the identity that the target had. Raises NotFound."""
        return self._read(handover.run_ref, run_id)

    def list_runs(
        self,
        *,
        endpoint: str | None = None,
        experiment: str | None = None,
        state: str | None = None,
        pipeline: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[RunRecord]:
        """A page of runs, newest first. Raises NotFound for an unknown endpoint, UsageError for a state."""
        return self._read(
            listing.list_runs,
            endpoint=endpoint,
            experiment=experiment,
            state=state,
            pipeline=pipeline,
            limit=limit,
            before=before,
        )

    def unfinished(self, limit: int = 1000) -> list[str]:
        """The ids of runs that have not ended, oldest first."""
        return self._read(listing.unfinished, limit)

    # What targets should know of endpoints

    def pending_syncs(self, *, now: datetime | None = None, limit: int = 100) -> list[tuple[str, str]]:
        """Endpoint ids and targets that are due to be told."""
        return self._read(outbox.pending, now=now, limit=limit)

    def endpoint_state(self, endpoint_id: str, target: str) -> EndpointState:
        """All that a target should know of an endpoint, deleted or not. Raises NotFound."""
        return self._read(outbox.state, endpoint_id, target)

    def sync_done(self, endpoint_id: str, target: str, revision: int) -> None:
        """Note that a target knows a revision; when the endpoint changed since, it stays due."""
        self._write(outbox.done, endpoint_id, target, revision)

    def sync_failed(self, endpoint_id: str, target: str, retry_after: float, message: str) -> None:
        """Note that a target could not be told; it is due again after so many seconds."""
        self._write(outbox.failed, endpoint_id, target, retry_after, message)

    # History and administration

    def history(
        self,
        *,
        since: datetime | None = None,
        by: str | None = None,
        subject: str | None = None,
        limit: int = 50,
        before: str | None = None,
        runs: bool = False,
    ) -> Page[HistoryRecord]:
        """A page of what happened, newest first; rows of runs with `runs` or for a run. Raises NotFound."""
        return self._read(history.page, since=since, by=by, subject=subject, limit=limit, before=before, runs=runs)

    def endpoint_at(self, endpoint: str, at: datetime) -> DefaultAt:
        """What a trigger without a version would have run at a time. Raises NotFound."""
        return self._read(asof.endpoint_at, endpoint, at)

    def check(self) -> CheckReport:
        """Check the whole file: SQLite's structures, references, and the laws."""
        with self._database.connection() as connection:
            return maintenance.check(connection)

    def backup(self, destination: Path) -> None:
        """Write a consistent copy while others write. Raises Conflict when the destination exists."""
        with self._database.connection() as connection:
            copy(connection, destination)

    def counts(self) -> Counts:
        """How much there is, and how much still waits for a target."""
        return self._read(maintenance.counts)

    def _read(self, function: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._database.read() as tx:
            return function(tx, *args, **kwargs)

    def _write(self, function: Callable[Concatenate[Transaction, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        with self._database.write() as tx:
            return function(tx, *args, **kwargs)
