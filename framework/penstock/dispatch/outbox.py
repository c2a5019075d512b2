"""Doing what targets are owed: piece by piece, with a pause for who cannot be reached, for as long as there is time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.contract.hooks import Event
from penstock.contract.run import Failure
from penstock.dispatch.backoff import RETRY_MISCONFIGURED, pause_after, within
from penstock.dispatch.retire import retire
from penstock.errors import PenstockError, RegistryError, TargetRefused, TargetUnavailable
from penstock.records import RunRecord
from penstock.registry import Owed, Registry
from penstock.targets.opened import OpenTargets

_log = logging.getLogger("penstock")

PATIENCE = 10.0
"""How long, in seconds, a submit tries to hand its run over before it leaves that to later commands."""

BUDGET = 1.0
"""How long, in seconds, a command that writes gives to what else is due."""


class Outbox:
    """Does what the registry owes to targets. `tell` is called with every change of a run, after its commit.

    `home` is the state folder, with the archives that a workspace has since its first publish. Without them the
    registry is a copy that lies elsewhere: what targets on this machine would say of its runs is not true.
    """

    def __init__(
        self, registry: Registry, targets: OpenTargets, tell: Callable[[str, Event], None], home: Path
    ) -> None:
        self._registry = registry
        self._targets = targets
        self._tell = tell
        self._home = home
        self._claimed: list[str] = []

    @contextmanager
    def claimed(self, run_id: str) -> Iterator[None]:
        """Nobody else of this process hands a run over meanwhile; another process may, and that does no harm."""
        self._claimed.append(run_id)  # more than once: by who accepted it, and by who hands it over
        try:
            yield
        finally:
            self._claimed.remove(run_id)

    def give_time(self, budget: float = BUDGET) -> None:
        """Do what is due for at most so many seconds. Never raises: it is owed, and somebody will do it later."""
        try:
            if self._registry.outbox.due(limit=1):
                within(budget, lambda: self._work(time.monotonic() + budget))
        except (PenstockError, OSError) as error:
            _log.info("what is due waits: %s", error)

    def hand_over(self, run_id: str, target: str, patience: float | None = None) -> str | None:
        """Hand a run over, trying for `patience` seconds, `PATIENCE` by default; returns why it waits, if it does.

        A target that others could not reach a moment ago is left alone.
        """
        patience = PATIENCE if patience is None else patience
        breaker = self._registry.outbox.breaker(target)
        if breaker is not None:
            return f"{breaker.message}; it is tried again from {breaker.until:%H:%M:%S} UTC on"
        waits: list[str | None] = [f"the target has not answered within {patience:g} s"]
        deadline = time.monotonic() + patience

        def work() -> None:
            with self.claimed(run_id):  # also when nobody waits for it any more
                while True:
                    why, pause = self._try_submit(Owed(kind="submit", subject=run_id, target=target))
                    left = deadline - time.monotonic()
                    waits[:] = [why]
                    if why is None or pause is None or pause > left:
                        return
                    time.sleep(pause)

        within(patience, work)
        return waits[0]

    def try_now(self, owed: Owed) -> PenstockError | None:
        """One try; returns what stood in the way, None when nothing is left to do. Raises RegistryError."""
        if owed.kind != "submit":  # which is marked where it begins
            self._registry.outbox.begin(owed)
        try:
            self._do(owed)
        except TargetUnavailable as error:
            self._pause(owed, error)
            return error
        except PenstockError as error:
            tries = self._registry.outbox.tries(owed)
            self._registry.outbox.defer(owed, pause_after(tries, RETRY_MISCONFIGURED), str(error), stuck=True)
            return error
        if self._registry.outbox.failures(owed.target):
            self._registry.outbox.reached(owed.target)
        return None

    def be_at_home(self) -> None:
        """Raise RegistryError `registry_copied` when this registry lies apart from its state."""
        if not (self._home / "archives").is_dir():
            raise RegistryError(
                f"this registry was copied here without its state ({self._home / 'archives'} is missing): "
                "it can be looked at, but its runs can only be followed from where they were submitted",
                code="registry_copied",
            )

    def _work(self, deadline: float) -> None:
        tried: set[Owed] = set()
        while True:
            due = [owed for owed in self._registry.outbox.due() if owed not in tried and not self.is_claimed(owed)]
            if not due:
                return
            away: set[str] = set()
            for owed in due:
                if time.monotonic() >= deadline:
                    return
                tried.add(owed)
                if owed.target in away:
                    continue
                try:
                    error = self.try_now(owed)
                except (PenstockError, OSError) as failed:
                    _log.info("%s of %s waits: %s", owed.kind, owed.subject, failed)
                    return  # the registry itself cannot be used
                if error is not None:
                    _log.info("%s of %s waits: %s", owed.kind, owed.subject, error)
                if isinstance(error, TargetUnavailable):
                    away.add(owed.target)

    def is_claimed(self, owed: Owed) -> bool:
        """Whether another thread of this process hands it over just now."""
        return owed.kind == "submit" and owed.subject in self._claimed

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

    def _try_submit(self, owed: Owed) -> tuple[str | None, float | None]:
        """Why a run still waits, and the seconds until another try may help, None when waiting would not help."""
        error = self.try_now(owed)
        if error is None:
            return None, None
        if not isinstance(error, TargetUnavailable):
            return str(error), None
        return str(error), pause_after(self._registry.outbox.failures(owed.target), error.retry_after)

    def _submit(self, owed: Owed) -> None:
        work = self._registry.runs.start_handover(owed.subject)
        if work is None:
            return
        try:
            submission = self._targets.open_frozen(work.placement).submit(work.request)
        except TargetRefused as error:
            failure = Failure(code=error.code, message=str(error))
            self.tell_run(self._registry.runs.refuse_handover(owed.subject, failure))
            return
        record = self._registry.runs.finish_handover(owed.subject, submission)
        if record.cancel_requested and not record.finished:
            self.try_now(Owed(kind="cancel", subject=owed.subject, target=owed.target))

    def _cancel(self, owed: Owed) -> None:
        ref, placement = self._registry.runs.ref(owed.subject)
        target = self._targets.open_frozen(placement)
        if target.has("penstock_cancel_run"):
            target.cancel(ref)
        self._registry.outbox.done(owed)

    def _sync(self, owed: Owed) -> None:
        state = self._registry.outbox.endpoint_state(owed.subject, owed.target)
        target = self._targets.open(owed.target)
        if target.has("penstock_sync_endpoint"):
            target.sync_endpoint(state)
        self._registry.outbox.synced(owed.subject, owed.target, state.revision)

    def _pause(self, owed: Owed, error: TargetUnavailable) -> None:
        pause = pause_after(self._registry.outbox.failures(owed.target) + 1, error.retry_after)
        self._registry.outbox.defer(owed, pause, str(error))
        if owed.kind != "retire":  # what still needs a publication is no trouble of the target's
            self._registry.outbox.leave_alone(owed.target, pause, str(error))

    def tell_run(self, record: RunRecord) -> None:
        """Tell the plugins that a run changed."""
        self._tell("penstock_run_changed", run_event(record))


def run_event(record: RunRecord) -> Event:
    """The event that tells plugins about a run."""
    when = record.ended or record.started or record.created
    return Event(kind="run", subject_id=record.id, subject=record.pipeline, at=when, data={"state": record.state})
