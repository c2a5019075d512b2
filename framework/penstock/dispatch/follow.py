"""Following runs: asking targets what became of them, together and for a limited time, and writing only what is new."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import chain

from attrs import evolve, frozen

from penstock.contract.run import RUN_STATES, Absent, RunRef, RunReport, RunReports
from penstock.dispatch.outbox import Outbox
from penstock.dispatch.placing import Placing
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
    cause_of,
    one_line,
)
from penstock.machine import lacks
from penstock.records import Placement, RunRecord
from penstock.registry import Breaker, Owed, Registry
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
            return not error.is_passing
        return isinstance(error, ConfigInvalid | Conflict | BackendBroken | TargetUnsupported)


class _Unwritten(RegistryError):
    """What a target says could not be written down. `run` is the run as it is all the same."""

    def __init__(self, error: RegistryError, run: RunRecord) -> None:
        super().__init__(f"not written down yet: {error.cause}", code=error.code, undone=error.undone)
        self.run = run


def _left_alone(breaker: Breaker) -> TargetUnavailable:
    """What is said of other things of a target than what it could not be reached for."""
    return TargetUnavailable(f"the target is left alone until {breaker.until:%H:%M:%S} UTC, after: {breaker.message}")


class Follower:
    """Looks at runs. What targets do not say stays as it was."""

    def __init__(self, registry: Registry, targets: OpenTargets, outbox: Outbox) -> None:
        self._registry = registry
        self._targets = targets
        self._outbox = outbox
        self.placing = Placing(registry, targets)

    def look(self, runs: Sequence[RunRecord], budget: float = LOOK_BUDGET) -> list[Followed]:
        """Every run as its target sees it now; a slow target delays no other.

        Where a dispatcher follows the runs nobody else asks their targets, and what it last saw is the answer.
        """
        if self._outbox.wake is not None:
            return [self._followed(run, self._last_trouble(run)) for run in runs]
        return self.ask(runs, budget)

    def ask(self, runs: Sequence[RunRecord], budget: float = LOOK_BUDGET) -> list[Followed]:
        """The same, asking the targets in any case."""
        wanted: dict[str, dict[Placement, list[RunRef]]] = {}
        for run in runs:
            if not run.finished:
                ref, placement = self._registry.runs.ref(run.id)
                wanted.setdefault(placement.target, {}).setdefault(placement, []).append(ref)
        answers: dict[str, PenstockError | None] = {}
        works = {target: partial(self._look_at, places, answers) for target, places in wanted.items()}
        late = self._outbox.patience.work(budget, works)
        for target, places in wanted.items():
            silent = TargetUnavailable(f"target `{target}` has not answered within {budget:g} s")
            for ref in chain.from_iterable(places.values()):
                answers.setdefault(ref.id, late.get(target, silent))
        return [self._followed(run, answers.get(run.id)) for run in runs]

    def one(self, run: RunRecord, budget: float = LOOK_BUDGET) -> Followed:
        """One run as its target sees it now."""
        return self.look([run], budget)[0]

    def _last_trouble(self, run: RunRecord) -> PenstockError | None:
        """Why a target is left alone just now, if it is."""
        breaker = None if run.finished or run.external is None else self._registry.outbox.breaker(run.target)
        return None if breaker is None else _left_alone(breaker)

    def _followed(self, run: RunRecord, trouble: PenstockError | None) -> Followed:
        if run.finished:
            return Followed(run=self.placing.placed(run))
        now = self.placing.placed(self._registry.runs.get(run.id))
        if trouble is None or now.finished:
            return Followed(run=now)
        if isinstance(trouble, _Unwritten):
            now = trouble.run
        return Followed(run=evolve(now, stale=cause_of(trouble), waits_for=None), trouble=trouble)

    def _look_at(self, places: Mapping[Placement, Sequence[RunRef]], answers: dict[str, PenstockError | None]) -> None:
        """Look at the runs of one target, noting what stands in the way of each, or None, once its word is there."""
        for placement, refs in self._outbox.patience.in_time(places.items()):
            try:
                self._ask(placement, refs, answers)
            except PenstockError as error:
                answers.update((ref.id, error) for ref in refs if ref.id not in answers)
                if isinstance(error, TargetUnavailable):
                    self._outbox.patience.leave_alone(placement.target, error)
            except Exception as error:  # a bug of ours in a thread would be lost, and the run would look late
                if lacking := lacks(error):
                    short = TargetUnavailable(f"target `{placement.target}` cannot be asked: {lacking}")
                    answers.update((ref.id, short) for ref in refs if ref.id not in answers)
                    continue
                _log.exception("looking at the runs of target %s failed", placement.target)
                bug = PenstockError(f"unexpected {type(error).__name__}; this is a bug")
                answers.update((ref.id, bug) for ref in refs)

    def _ask(self, placement: Placement, refs: Sequence[RunRef], answers: dict[str, PenstockError | None]) -> None:
        """Hand over what waits, pass cancels on, and take in what the target says. Raises what stands in all ways."""
        patience = self._outbox.patience
        self._outbox.be_at_home()
        target = self._targets.open_frozen(placement)
        breaker = self._registry.outbox.breaker(placement.target)
        if breaker is not None:
            # What waits was tried for that; of what runs, something else is known.
            answers.update((ref.id, TargetUnavailable(breaker.message)) for ref in refs if not ref.external)
            raise _left_alone(breaker)
        for ref in patience.in_time(ref for ref in refs if not ref.external):
            answers[ref.id] = self._hand_over(Owed(kind="submit", subject=ref.id, target=placement.target))
        handed = [ref for ref in refs if ref.external]
        if not handed:
            return
        for ref in patience.in_time(handed):
            owed = Owed(kind="cancel", subject=ref.id, target=placement.target)
            error = self._outbox.try_now(owed) if self._registry.outbox.is_due(owed) else None
            if isinstance(error, TargetUnavailable):
                raise error
        together = len(handed) > 1 and target.has("penstock_list_runs")
        reports = target.list_runs(handed) if together else {}
        for ref in patience.in_time(handed):
            answers[ref.id] = self._report(target, ref, reports)
        patience.answered(placement.target)

    def _hand_over(self, owed: Owed) -> PenstockError | None:
        """Hand over a run that still waits, if that is due. Raises TargetUnavailable."""
        # Who looks may have mended what it was stuck for. Else somebody hands it over just now, or it was put off.
        outbox = self._registry.outbox
        if self._outbox.is_claimed(owed) or not (outbox.is_due(owed) or outbox.is_stuck(owed)):
            return None
        error = self._outbox.try_now(owed)
        if isinstance(error, TargetUnavailable):
            raise error  # nor will it take the others
        return error

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
        read = read_report(self.placing.pipeline(run.digest), report, outputs)
        if self._registry.runs.is_news(ref.id, read.report, read.outputs, read.step_outputs):
            news = ref.id, read.report, read.outputs, read.step_outputs
            try:
                after, changed = self._registry.runs.report(*news)
            except RegistryError as error:
                if error.is_passing:
                    raise _Unwritten(error, self._registry.runs.preview(*news)) from error
                raise
            if changed and after.state != run.state:
                self._outbox.tell_run(after)
        if read.wrong is not None:
            return TargetUnavailable(f"the backend of target `{target.name}` reported {read.wrong}")
        return None
