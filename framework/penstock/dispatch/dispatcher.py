"""Handing accepted runs to their targets and following them, so that no process has to stay for a run to go on.

Everything here may be repeated and may be interrupted anywhere: the registry says what is still to do, and a
backend's submit is create-if-absent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ParamSpec

from penstock.codec import from_canonical
from penstock.contract.hooks import Event
from penstock.contract.run import Absent, Failure, RunRef, RunReport
from penstock.contract.target import Publication
from penstock.errors import BackendBroken, PenstockError, RegistryError, TargetRefused, TargetUnavailable
from penstock.records import RunRecord
from penstock.registry import Registry
from penstock.spec import Pipeline, Type, Value
from penstock.spec.command import sole_reference
from penstock.spec.values import ValueInvalid, read_text
from penstock.targets.opened import OpenTargets, Place

P = ParamSpec("P")

_log = logging.getLogger("penstock")

PATIENCE = 10.0
"""How long, in seconds, a submit tries to hand its run over before it leaves that to later commands."""

_LATER = 30.0
"""Seconds until the next try when a target is misconfigured or broken rather than away."""


class Dispatcher:
    """Moves runs between the registry and the targets. `tell` is called with every change, after its commit.

    `store` is the folder of archives that a workspace has since its first publish. Without it the registry is a
    copy that lies elsewhere: what targets on this machine would say of its runs is not true.
    """

    def __init__(
        self, registry: Registry, places: OpenTargets, tell: Callable[[str, Event], None], store: Path
    ) -> None:
        self._store = store
        self._registry = registry
        self._places = places
        self._tell = tell
        self._pipelines: dict[str, Pipeline] = {}

    def deliver(self, run_id: str, patience: float | None = None) -> tuple[RunRecord, str | None]:
        """Hand a run over, trying for `patience` seconds, `PATIENCE` by default; answers the run and why it waits."""
        deadline = time.monotonic() + (PATIENCE if patience is None else patience)
        while True:
            why, pause = self._hand_over(run_id)
            left = deadline - time.monotonic()
            if why is None or pause is None or left <= 0:
                return self._registry.get_run(run_id), why
            time.sleep(min(pause, left))

    def refresh(self, run_id: str, *, must_record: bool = False) -> RunRecord:
        """The run as its target sees it now; what the target does not answer stays as it was.

        With `must_record` it raises RegistryError when the registry cannot take what the target says: who waits
        would wait for ever.
        """
        record = self._registry.get_run(run_id)
        if record.finished:
            return record
        if record.external is None:
            return self.deliver(run_id, patience=0)[0] if run_id in self._registry.due() else record
        try:
            ref, place = self._find(run_id)
            report = place.operations.get_run(place.target, ref)
            return self._record(place, record, ref, report)
        except PenstockError as error:
            if must_record and isinstance(error, RegistryError):
                raise
            _log.info("run %s could not be refreshed: %s", run_id, error)
            return record

    def refresh_all(self) -> None:
        """Look at every unfinished run: what ended on its target has ended here too."""
        for run_id in self._registry.unfinished():
            self.refresh(run_id)

    def cancel(self, run_id: str) -> RunRecord:
        """Pass a recorded cancel request on to the target and look at what it answers."""
        ref, place = self._find(run_id)
        place.operations.cancel(place.target, ref)
        self._registry.mark_cancel_sent(run_id)
        return self.refresh(run_id)

    def can_cancel(self, run: RunRecord) -> bool:
        """Whether the run's target has the hook that ends runs."""
        return self._places.open(run.target).operations.has("penstock_cancel_run")

    def retire(self, target: str, publication: Publication) -> None:
        """Let the target forget a publication that nothing uses any more, if it can; it may be away, or gone."""

        def forget() -> None:
            place = self._places.open(target)
            if place.operations.has("penstock_retire_pipeline"):
                place.operations.retire(place.target, publication)

        _quietly(f"retiring {publication.external}", forget)

    def catch_up(self) -> None:
        """Do what is due: hand-overs, cancel requests, endpoint states. Never raises for a target's trouble."""
        for run_id in self._registry.due():
            _quietly(f"run {run_id}", self._hand_over, run_id)
        for run_id in self._registry.pending_cancels():
            _quietly(f"cancel of run {run_id}", self.cancel, run_id)
        self.sync()

    def sync(self) -> None:
        """Tell the targets the endpoint states that they do not know yet; what fails is tried again later."""
        for endpoint_id, target in self._registry.pending_syncs():
            state = self._registry.endpoint_state(endpoint_id, target)
            try:
                place = self._places.open(target)
                if place.operations.has("penstock_sync_endpoint"):
                    place.operations.sync_endpoint(place.target, state)
            except TargetUnavailable as error:
                self._registry.sync_failed(endpoint_id, target, error.retry_after, str(error))
            except PenstockError as error:
                self._registry.sync_failed(endpoint_id, target, _LATER, str(error))
            else:
                self._registry.sync_done(endpoint_id, target, state.revision)

    def _hand_over(self, run_id: str) -> tuple[str | None, float | None]:
        """One try: why it did not come to anything, None when nothing is left to do; and the seconds to wait, None
        when waiting would not help.
        """
        work = self._registry.start_handover(run_id)
        if work is None:
            return None, None
        try:
            self._be_at_home()
            place = self._places.open_frozen(work.target, work.identity)
            submission = place.operations.submit(place.target, work.request)
        except TargetRefused as error:
            record = self._registry.refuse_handover(run_id, Failure(code=error.code, message=str(error)))
            self._tell_run(record)
            return None, None
        except TargetUnavailable as error:
            self._registry.defer_handover(run_id, error.retry_after, str(error))
            return str(error), error.retry_after
        except PenstockError as error:
            self._registry.defer_handover(run_id, _LATER, str(error))
            return str(error), None
        record = self._registry.finish_handover(run_id, submission)
        if record.cancel_requested and not record.finished:
            _quietly(f"cancel of run {run_id}", self.cancel, run_id)
        return None, None

    def _be_at_home(self) -> None:
        if not self._store.is_dir():
            raise RegistryError(
                f"this registry was copied here without its state ({self._store} is missing): "
                "it can be looked at, but its runs can only be followed from where they were submitted",
                code="registry_copied",
            )

    def _find(self, run_id: str) -> tuple[RunRef, Place]:
        self._be_at_home()
        ref, target, identity = self._registry.run_ref(run_id)
        return ref, self._places.open_frozen(target, identity)

    def _record(self, place: Place, before: RunRecord, ref: RunRef, report: RunReport | Absent) -> RunRecord:
        outputs: Mapping[str, Value] | None = None
        steps: dict[str, Mapping[str, Value]] = {}
        if isinstance(report, RunReport):
            pipeline = self._pipeline(before.digest)
            if report.state == "succeeded":
                found = place.operations.get_outputs(place.target, ref).outputs
                outputs = {name: _typed(output_type(pipeline, name), text) for name, text in found.items()}
            for step in report.steps:
                if step.outputs:
                    declared = pipeline.steps[step.name].outputs
                    steps[step.name] = {n: _typed(declared[n].type, text) for n, text in step.outputs.items()}
        record, changed = self._registry.report(ref.id, report, outputs, steps)
        if changed and record.state != before.state:
            self._tell_run(record)
        return record

    def _pipeline(self, digest: str) -> Pipeline:
        if digest not in self._pipelines:
            self._pipelines[digest] = from_canonical(self._registry.snapshot_data(digest)[0])
        return self._pipelines[digest]

    def _tell_run(self, record: RunRecord) -> None:
        self._tell("penstock_run_changed", run_event(record))


def run_event(record: RunRecord) -> Event:
    """The event that tells plugins about a run."""
    return Event(kind="run", subject_id=record.id, subject=record.pipeline, data={"state": record.state})


def output_type(pipeline: Pipeline, name: str) -> Type:
    """The type of a pipeline output: that of the step output it names. Raises BackendBroken for an unknown one."""
    reference = sole_reference(pipeline.outputs.get(name, ""))
    if reference is None:
        raise BackendBroken(f"the backend answered an output `{name}` that the pipeline does not declare")
    step, _, output = reference.names
    return pipeline.steps[step].outputs[output].type


def _quietly(what: str, work: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
    """Do what may be repeated later; a target's trouble is noted and is not the caller's."""
    try:
        work(*args, **kwargs)
    except PenstockError as error:
        _log.info("%s waits: %s", what, error)


def _typed(type_: Type, text: str) -> Value:
    try:
        return read_text(type_, text)
    except ValueInvalid as error:
        raise BackendBroken(f"the backend answered an output that is not what its type says: {error}") from None
