"""Following runs: asking targets what became of them, together and for a limited time, and writing only what is new."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from attrs import evolve, frozen

from penstock.codec import from_canonical
from penstock.contract.run import RUN_STATES, Absent, RunRef, RunReport, RunReports
from penstock.dispatch.backoff import pause_after
from penstock.dispatch.outbox import Outbox
from penstock.dispatch.reports import read_report
from penstock.errors import (
    BackendBroken,
    ConfigInvalid,
    Conflict,
    PenstockError,
    RegistryError,
    TargetUnavailable,
    TargetUnsupported,
    UsageError,
    one_line,
)
from penstock.records import Placement, RunRecord
from penstock.registry import Owed, Registry
from penstock.spec import Pipeline
from penstock.targets.facade import OpenTarget
from penstock.targets.opened import OpenTargets

_log = logging.getLogger("penstock")

LOOK_BUDGET = 5.0
"""How long, in seconds, a look at runs waits for their targets."""


@frozen(kw_only=True)
class Followed:
    """A run after a look. `trouble` is why its target could not say more; the record's `stale` says it in words."""

    run: RunRecord
    trouble: PenstockError | None = None

    @property
    def hopeless(self) -> bool:
        """Whether no later look will say more, unless somebody changes something."""
        error = self.trouble
        if isinstance(error, RegistryError):
            return error.code != "registry_busy"
        return isinstance(error, ConfigInvalid | Conflict | BackendBroken | TargetUnsupported)


class Follower:
    """Looks at runs. What targets do not say stays as it was."""

    def __init__(self, registry: Registry, targets: OpenTargets, outbox: Outbox) -> None:
        self._registry = registry
        self._targets = targets
        self._outbox = outbox
        self._pipelines: dict[str, Pipeline] = {}

    def look(self, runs: Sequence[RunRecord], budget: float = LOOK_BUDGET) -> list[Followed]:
        """Every run as its target sees it now: one thread for each place, so that a slow one delays no other."""
        places: dict[Placement, list[RunRef]] = {}
        troubles: dict[str, PenstockError] = {}
        for run in runs:
            if not run.finished:
                ref, placement = self._registry.runs.ref(run.id)
                places.setdefault(placement, []).append(ref)
        deadline = time.monotonic() + budget
        threads = []
        for placement, refs in places.items():
            late = TargetUnavailable(f"target `{placement.target}` has not answered within {budget:g} s")
            troubles |= {ref.id: late for ref in refs}
            threads.append(threading.Thread(target=self._look_at, args=(placement, refs, troubles), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return [self._followed(run, troubles.get(run.id)) for run in runs]

    def one(self, run: RunRecord, budget: float = LOOK_BUDGET) -> Followed:
        """One run as its target sees it now."""
        return self.look([run], budget)[0]

    def _followed(self, run: RunRecord, trouble: PenstockError | None) -> Followed:
        if run.finished:
            return Followed(run=run)
        now = self._registry.runs.get(run.id)
        if trouble is None or now.finished:
            return Followed(run=now)
        return Followed(run=evolve(now, stale=str(trouble)), trouble=trouble)

    def _look_at(self, placement: Placement, refs: list[RunRef], troubles: dict[str, PenstockError]) -> None:
        """Look at the runs of one place, taking out of `troubles` whose word is there."""
        try:
            self._outbox.be_at_home()
            target = self._targets.open_frozen(placement)
            breaker = self._registry.outbox.breaker(placement.target)
            if breaker is not None:
                raise TargetUnavailable(breaker.message)
            waiting = [ref for ref in refs if not ref.external]
            for ref in waiting:
                error = self._hand_over(Owed(kind="submit", subject=ref.id, target=placement.target))
                if isinstance(error, TargetUnavailable):
                    raise error  # nor will it take the others
                self._note(ref, error, troubles)
            handed = [ref for ref in refs if ref.external]
            if handed:
                self._pass_on_cancels(placement.target, handed)
                reports = self._reports(target, handed)
                for ref in handed:
                    self._note(ref, self._report(target, ref, reports), troubles)
                self._reached(placement.target)
        except PenstockError as error:
            for ref in refs:
                self._note(ref, error, troubles)
            self._leave_alone(placement.target, error)
        except Exception as error:  # a bug of ours in a thread would be lost, and the run would look late
            _log.exception("looking at the runs of target %s failed", placement.target)
            for ref in refs:
                troubles[ref.id] = PenstockError(f"unexpected {type(error).__name__}; this is a bug")

    @staticmethod
    def _note(ref: RunRef, error: PenstockError | None, troubles: dict[str, PenstockError]) -> None:
        if error is None:
            troubles.pop(ref.id, None)
        else:
            troubles[ref.id] = error

    def _hand_over(self, owed: Owed) -> PenstockError | None:
        """Hand over a run that still waits, if that is due."""
        # Who looks may have mended what it was stuck for. Else somebody hands it over just now, or it was put off.
        outbox = self._registry.outbox
        if not self._outbox.is_claimed(owed) and (outbox.is_due(owed) or outbox.is_stuck(owed)):
            return self._outbox.try_now(owed)
        return None

    def _pass_on_cancels(self, target: str, refs: Sequence[RunRef]) -> None:
        """Tell the target which of these runs are to end, if it has not heard that yet."""
        for ref in refs:
            owed = Owed(kind="cancel", subject=ref.id, target=target)
            if self._registry.outbox.is_due(owed):
                error = self._outbox.try_now(owed)
                if isinstance(error, TargetUnavailable):
                    raise error

    def _reports(self, target: OpenTarget, refs: Sequence[RunRef]) -> RunReports:
        """What a target says of several runs in one call, where it can."""
        if len(refs) < 2 or not target.has("penstock_list_runs"):
            return {}
        return target.list_runs(refs)

    def _reached(self, target: str) -> None:
        """End a series of failures: the target has answered."""
        if self._registry.outbox.failures(target):
            with suppress(RegistryError):
                self._registry.outbox.reached(target)

    def _leave_alone(self, target: str, error: PenstockError) -> None:
        """Ask a target that could not be reached later, unless that is known already."""
        if isinstance(error, TargetUnavailable) and self._registry.outbox.breaker(target) is None:
            pause = pause_after(self._registry.outbox.failures(target) + 1, error.retry_after)
            with suppress(RegistryError):  # it may be read-only; then the next look asks again
                self._registry.outbox.leave_alone(target, pause, str(error))

    def _report(self, target: OpenTarget, ref: RunRef, reports: RunReports) -> PenstockError | None:
        """Take in what a target says of one run; returns what stood in the way."""
        try:
            report = reports[ref.id] if ref.id in reports else target.get_run(ref)
            return self._take_in(target, ref, report)
        except TargetUnavailable:
            raise  # nor will it answer for the others
        except UsageError as error:
            return BackendBroken(f"the backend of target `{target.name}` reported what cannot be kept: {error}")
        except PenstockError as error:
            return error
        except Exception as error:  # whatever is wrong with one report is not the others' trouble
            return BackendBroken(f"the backend of target `{target.name}` reported nonsense: {one_line(error)}")

    def _take_in(self, target: OpenTarget, ref: RunRef, report: RunReport | Absent) -> PenstockError | None:
        run = self._registry.runs.get(ref.id)
        if run.finished:
            return None
        if isinstance(report, RunReport) and report.state not in RUN_STATES:
            return BackendBroken(f"the backend of target `{target.name}` reported a state `{report.state}`")
        succeeded = isinstance(report, RunReport) and report.state == "succeeded"
        outputs = target.get_outputs(ref).outputs if succeeded else None
        read = read_report(self._pipeline(run.digest), report, outputs)
        if self._registry.runs.is_news(ref.id, read.report, read.outputs, read.step_outputs):
            after, changed = self._registry.runs.report(ref.id, read.report, read.outputs, read.step_outputs)
            if changed and after.state != run.state:
                self._outbox.tell_run(after)
        if read.wrong is not None:
            return TargetUnavailable(f"the backend of target `{target.name}` reported {read.wrong}")
        return None

    def _pipeline(self, digest: str) -> Pipeline:
        if digest not in self._pipelines:
            self._pipelines[digest] = from_canonical(self._registry.pipelines.snapshot(digest).spec)
        return self._pipelines[digest]
