"""Doing what targets are owed: piece by piece, with a pause for who cannot be reached, for as long as there is time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path

from attrs import evolve

from penstock.contract.hooks import Event
from penstock.contract.run import Failure, RunRequest
from penstock.contract.target import NativeTrigger
from penstock.dispatch.backoff import RETRY_MISCONFIGURED, Patience, pause_after
from penstock.dispatch.retire import retire
from penstock.errors import PenstockError, RegistryError, TargetRefused, TargetUnavailable, cause_of
from penstock.machine import lacked
from penstock.records import RunRecord
from penstock.registry import AT_ONCE, Owed, Registry, copied, sensitive
from penstock.targets.opened import OpenTargets

_log = logging.getLogger("penstock")

PATIENCE = 10.0
"""How long, in seconds, a submit tries to hand its run over before it leaves that to later commands."""

BUDGET = 1.0
"""How long, in seconds, a command that writes gives to what else is due."""

_UNCLAIMED = nullcontext()


class Outbox:
    """Does what the registry owes to targets. `tell` is called with every change of a run, after its commit.

    `home` is the state folder, with the archives that a workspace has since its first publish. Without them the
    registry is a copy that lies elsewhere: what targets on this machine would say of its runs is not true. With
    `wake` a dispatcher does all of it, and is told by it that there is something new.
    """

    def __init__(
        self,
        registry: Registry,
        targets: OpenTargets,
        tell: Callable[[str, Event], None],
        home: Path,
        wake: Callable[[], None] | None = None,
    ) -> None:
        self.wake = wake
        self._registry = registry
        self._targets = targets
        self._tell = tell
        self._home = home
        self.patience = Patience(registry)
        self._claimed: list[str] = []

    def claimed(self, run_id: str) -> AbstractContextManager[None]:
        """Nobody else of this process hands a run over meanwhile; another process may, and that does no harm.

        With `wake` nobody does before the dispatcher, which does not ask here.
        """
        return _UNCLAIMED if self.wake is not None else self._claiming(run_id)

    @contextmanager
    def _claiming(self, run_id: str) -> Iterator[None]:
        self._claimed.append(run_id)  # more than once: by who accepted it, and by who hands it over
        try:
            yield
        finally:
            self._claimed.remove(run_id)

    def is_claimed(self, owed: Owed) -> bool:
        """Whether another thread of this process hands it over just now."""
        return owed.kind == "submit" and owed.subject in self._claimed

    def give_time(self, budget: float = BUDGET, *, at_once: bool = False) -> None:
        """Do what is due for at most so many seconds, or of it what is told `at_once`.

        Never raises: it is owed, and somebody will do it later.
        """
        if self.wake is not None:
            return self.wake()
        kinds = AT_ONCE if at_once else None
        try:
            due = self._registry.outbox.due_targets(kinds)
            self.patience.work(budget, {one: partial(self._work, one, kinds) for one in due}, at_once=at_once)
        except Exception as error:
            _log.info("what is due waits: %s", error)

    def hand_over(self, run_id: str, target: str, patience: float | None = None) -> str | None:
        """Hand a run over, trying for `patience` seconds, `PATIENCE` by default; returns why it waits, if it does.

        A target that others could not reach a moment ago is left alone.
        """
        patience = PATIENCE if patience is None else patience
        breaker = self._registry.outbox.breaker(target)
        if breaker is not None:
            return f"{breaker.message}; it is tried again from {breaker.until:%H:%M:%S} UTC on"
        owed = Owed(kind="submit", subject=run_id, target=target)
        deadline = time.monotonic() + patience
        waits: list[str | None] = []

        def work() -> None:
            with self.claimed(run_id):  # also when nobody waits for it any more
                for _ in self.patience.in_time(count()):
                    error = self.try_now(owed)
                    waits[:] = [None if error is None else cause_of(error)]
                    if not isinstance(error, TargetUnavailable):
                        return
                    pause = pause_after(self._registry.outbox.failures(target), error.retry_after)
                    if pause > deadline - time.monotonic():
                        return
                    time.sleep(pause)

        late = self.patience.work(patience, {target: work})
        if waits:
            return waits[0]
        return str(late[target]) if target in late else f"target `{target}` has not answered within {patience:g} s"

    def deliver(self, run: RunRecord) -> str:
        """Hand a run over that was accepted before, if that is due and nobody is at it; returns why it waits, if known.

        Raises RegistryError.
        """
        owed = Owed(kind="submit", subject=run.id, target=run.target)
        known = run.waiting.message if run.waiting is not None else ""
        if not self.is_claimed(owed) and (self._registry.outbox.is_due(owed) or self._registry.outbox.is_stuck(owed)):
            return self.hand_over(run.id, run.target) or ""
        breaker = self._registry.outbox.breaker(run.target)
        return known or (breaker.message if breaker is not None else "")

    def try_now(self, owed: Owed) -> PenstockError | None:
        """One try; returns what stood in the way, None when nothing is left to do. Raises RegistryError."""
        if owed.kind != "submit":  # which is marked where it begins
            self._registry.outbox.begin(owed)
        try:
            self._do(owed)
        except TargetUnavailable as error:
            # What still needs a publication, is still worked at or lacks something here is no trouble of the target's.
            if owed.kind == "retire" or error.code == "sync_unfinished" or lacked(error):
                pause = pause_after(self._registry.outbox.tries(owed) + 1, error.retry_after)
                self._registry.outbox.defer(owed, pause, str(error))
                return error
            pause = self.patience.pause(owed.target, error)
            self._registry.outbox.defer(owed, pause, str(error))
            self._registry.outbox.leave_alone(owed.target, pause, str(error))
            return error
        except RegistryError as error:  # no trouble of the target's, and nothing that somebody has to mend there
            self._registry.outbox.defer(owed, pause_after(self._registry.outbox.tries(owed), 1.0), error.cause)
            return error
        except PenstockError as error:
            if owed.kind == "cancel" and self._registry.runs.get(owed.subject).finished:
                self._registry.outbox.done(owed)  # the last try for a run that was given up
                return None
            tries = self._registry.outbox.tries(owed)
            self._registry.outbox.defer(owed, pause_after(tries, RETRY_MISCONFIGURED), str(error), stuck=True)
            return error
        self.patience.answered(owed.target)
        return None

    def be_at_home(self) -> None:
        """Raise RegistryError `registry_copied` when this registry lies apart from its state, `registry_linked` when
        its file has another name, or `registry_not_owned`.

        Who cannot write down what a target says does not ask it.
        """
        self._registry.refuse_guest()
        self._registry.refuse_linked()
        if not (self._home / "archives").is_dir():
            raise copied(self._home / "archives")

    def work_on(self, target: str, seconds: float = BUDGET, *, at_once: bool = False) -> bool:
        """Do what a target is owed for about so many seconds, sharing the work with other dispatchers; with `at_once`
        what is told at once, and else all.

        Returns whether there was anything. Raises RegistryError.
        """
        done: list[Owed] = []
        kinds = AT_ONCE if at_once else None
        self.patience.work(seconds, {target: partial(self._share, target, kinds, done)}, at_once=at_once)
        return bool(done)

    def _share(self, target: str, kinds: Collection[str] | None, done: list[Owed]) -> None:
        for _ in self.patience.in_time(count()):
            owed = self._registry.outbox.take(target, kinds)
            if owed is None:
                return
            done.append(owed)
            if not self._reaches(owed):
                return

    def _work(self, target: str, kinds: Collection[str] | None) -> None:
        """Do what one target is owed, until it does not answer."""
        tried: set[Owed] = set()
        for _ in self.patience.in_time(count()):
            due = self._registry.outbox.due(target=target, kinds=kinds)
            owed = next((one for one in due if one not in tried and not self.is_claimed(one)), None)
            if owed is None:
                return
            tried.add(owed)
            if not self._reaches(owed):
                return

    def _reaches(self, owed: Owed) -> bool:
        """One try, of which the log says why it did not do; answers whether the target is there."""
        error = self.try_now(owed)
        if error is not None:
            _log.info("%s of %s waits: %s", owed.kind, owed.subject, error)
        return not isinstance(error, TargetUnavailable)

    def _do(self, owed: Owed) -> None:
        self.be_at_home()
        match owed.kind:
            case "submit":
                self._submit(owed)
            case "cancel":
                self._cancel(owed)
            case "sync":
                self._sync(owed)
            case "retire":
                retire(self._registry, self._targets, self._home, owed)

    def _submit(self, owed: Owed) -> None:
        work = self._registry.runs.start_handover(owed.subject)
        if work is None:
            return
        try:
            submission = self._targets.open_frozen(work.placement).submit(self._whole(work.request))
        except TargetRefused as error:
            failure = Failure(code=error.code, message=str(error))
            self.tell_run(self._registry.runs.refuse_handover(owed.subject, failure))
            return
        run = self._registry.runs.finish_handover(owed.subject, submission)
        if work.request.parameters.sensitive:
            sensitive.forget(self._home, owed.subject)  # the target has them
        self._tell_handed_over(run)
        cancel = Owed(kind="cancel", subject=owed.subject, target=owed.target)
        if self._registry.outbox.is_owed(cancel):
            self.try_now(cancel)

    def _whole(self, request: RunRequest) -> RunRequest:
        """The request with the sensitive values of its run. Raises TargetRefused when they are gone."""
        bound = request.parameters
        if not bound.sensitive:
            return request
        found = sensitive.read(self._home, request.id)
        if found is None or not set(bound.sensitive) <= set(found):
            raise TargetRefused(
                "the values of its sensitive parameters are not here any more; submit it again", code="sensitive_lost"
            )
        return evolve(request, parameters=evolve(bound, texts={**bound.texts, **found}))

    def sweep_values(self) -> None:
        """Remove sensitive values that nobody needs and a killed process left behind. Never raises."""
        try:
            there = sensitive.left(self._home)
            if there and self._registry.runs.without_need(there):
                self._registry.runs.sweep_values(self._home)
        except Exception as error:
            _log.info("sensitive values that nobody needs wait: %s", error)

    def _cancel(self, owed: Owed) -> None:
        ref, placement = self._registry.runs.ref(owed.subject)
        target = self._targets.open_frozen(placement)
        if target.has("penstock_cancel_run"):
            target.cancel(ref)
        self._registry.outbox.done(owed)

    def _sync(self, owed: Owed) -> None:
        state = self._registry.outbox.endpoint_state(owed.subject, owed.target)
        target = self._targets.open(owed.target)
        answer = target.sync_endpoint(state) if target.has("penstock_sync_endpoint") else True
        native = answer if isinstance(answer, NativeTrigger) else None
        self._registry.outbox.synced(owed.subject, owed.target, state.revision, native)

    def tell_accepted(self, run: RunRecord) -> None:
        """Tell the plugins of a new run, and the dispatcher, whose it is from now on. Never raises."""
        self.tell_run(run)
        self.give_time()

    def tell_run(self, run: RunRecord) -> None:
        """Tell the plugins that a run changed; of one that has ended nothing secret stays."""
        if run.finished:
            sensitive.forget(self._home, run.id)
        when = run.ended or run.started or run.created
        data = {"state": run.state, "target": run.target, "started": run.started, "ended": run.ended}
        event = Event(kind="run", subject_id=run.id, subject=run.pipeline, at=when, data=data)
        self._tell("penstock_run_changed", event)

    def _tell_handed_over(self, run: RunRecord) -> None:
        now = datetime.now(UTC)
        data = {"target": run.target, "seconds": max(0.0, (now - run.created).total_seconds())}
        event = Event(kind="run", subject_id=run.id, subject=run.pipeline, at=now, data=data)
        self._tell("penstock_run_handed_over", event)
