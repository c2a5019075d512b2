"""The verbs of runs: submit, list, show, wait, cancel, logs, outputs, rerun."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from penstock.contract.run import RunState
from penstock.dispatch import run_event
from penstock.errors import Conflict, TargetUnavailable, TargetUnsupported, UsageError, WaitTimeout
from penstock.records import Caller, Page, RunRecord
from penstock.registry import CancelOutcome
from penstock.spec import Value
from penstock.spec.values import RawValue
from penstock.workspace.context import Group, verb
from penstock.workspace.logs import LogParts, read_logs
from penstock.workspace.parameters import Request
from penstock.workspace.references import is_file, locate
from penstock.workspace.triggers import (
    Submitted,
    accept,
    accept_again,
    accept_file,
    given_by,
    order_of,
)

_QUICK, _SLOW = 0.01, 0.5
"""Seconds between looks at a run: quick while it changes, slower while it does not."""


class Runs(Group):
    """Verbs of runs. A reference is an id or its first characters."""

    @verb("run.submit")
    def submit(
        self,
        caller: Caller,
        ref: str,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        text: bool = False,
        experiment: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        base: Path | None = None,
        target: str | None = None,
    ) -> Submitted:
        """Trigger an endpoint (`digits`, `digits@0`), a published pipeline, or a spec file as a trial run.

        `text`: values given as text are read by their declared type. `base` is the folder that local paths
        are relative to, the current one by default. `target` is for a file only. Raises NotFound, GateClosed,
        ParameterInvalid, Conflict; then nothing was accepted.
        """
        given = {str(name): value for name, value in (parameters or {}).items()}
        if text:
            given = {name: RawValue(value) if isinstance(value, str) else value for name, value in given.items()}
        request = Request(
            parameters=given,
            experiment=experiment,
            description=description,
            tags=tags or {},
            key=idempotency_key,
            base=base or Path.cwd(),
        )
        if is_file(ref):
            return accept_file(self._context, caller, Path(ref), target, request)
        if target is not None:
            raise UsageError(
                f"`{ref}` runs on the target where it was published; only a spec file can be sent to `{target}` "
                f"(to move it there: `penstock publish --from {ref} --target {target}`)"
            )
        found = locate(
            self._context.registry(), ref, None if version is None else str(version), replay=idempotency_key is not None
        )
        return accept(self._context, caller, order_of(self._context, found, request), request)

    @verb("run.rerun")
    def rerun(self, caller: Caller, ref: str, *, idempotency_key: str | None = None) -> Submitted:
        """Run again what a run resolved to, with the same parameters; the gates apply as they are now."""
        registry = self._context.registry()
        run = registry.get_run(ref)
        request = Request(
            parameters=given_by(self._context, run),
            experiment=run.experiment,
            description=run.description,
            tags=run.tags,
            key=idempotency_key,
            base=Path("/"),
            rerun_of=run.id,
        )
        return accept_again(self._context, caller, run, request)

    @verb("run.get")
    def get(self, caller: Caller, ref: str) -> RunRecord:
        """One run as its target sees it now. Raises NotFound."""
        return self._context.dispatcher.refresh(self._context.registry().get_run(ref).id)

    @verb("run.list")
    def list(
        self,
        caller: Caller,
        *,
        endpoint: str | None = None,
        experiment: str | None = None,
        state: RunState | None = None,
        pipeline: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[RunRecord]:
        """A page of runs, newest first; the unfinished ones on it are refreshed."""
        if not self._context.exists:
            return Page(items=())
        registry = self._context.registry()
        page = registry.list_runs(
            endpoint=endpoint, experiment=experiment, state=state, pipeline=pipeline, limit=limit, before=before
        )
        refresh = self._context.dispatcher.refresh
        return evolve(page, items=tuple(run if run.finished else refresh(run.id) for run in page.items))

    @verb("run.wait")
    def wait(
        self,
        caller: Caller,
        ref: str,
        *,
        timeout: float | None = None,
        watch: Callable[[RunRecord], None] | None = None,
    ) -> RunRecord:
        """Wait until a run has ended, however it ended; `watch` is called with every change.

        `timeout` is in seconds. Raises WaitTimeout, NotFound.
        """
        run_id = self._context.registry().get_run(ref).id
        deadline = None if timeout is None else time.monotonic() + timeout
        pause, seen = _QUICK, None
        while True:
            run = self._context.dispatcher.refresh(run_id, must_record=True)
            if run != seen:
                pause, seen = _QUICK, run
                if watch is not None:
                    watch(run)
            if run.finished:
                return run
            if deadline is not None and time.monotonic() >= deadline:
                raise WaitTimeout(f"run {run_id} is still {run.state} after {timeout:g} s; it goes on")
            time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
            pause = min(_SLOW, pause * 1.3)

    @verb("run.cancel")
    def cancel(self, caller: Caller, ref: str, *, reason: str = "") -> CancelOutcome:
        """Ask a run to end. Before hand-over it ends at once; later the target's answer decides.

        A run that has ended answers with its state. Raises TargetUnsupported when the target cannot cancel.
        """
        registry = self._context.registry()
        run = registry.get_run(ref)
        if not run.finished and run.external is not None and not self._context.dispatcher.can_cancel(run):
            raise TargetUnsupported(f"target `{run.target}` cannot cancel runs; run {run.id} goes on")
        outcome = registry.request_cancel(run.id, caller, reason=reason)
        if outcome.ended:
            self._context.tell("penstock_run_changed", run_event(outcome.run))
        elif outcome.requested and outcome.run.external is not None:
            try:
                return evolve(outcome, run=self._context.dispatcher.cancel(run.id))
            except TargetUnavailable:
                pass  # the request is recorded; a later command passes it on
        return outcome

    @verb("run.logs")
    def logs(self, caller: Caller, ref: str, *, step: str | None = None, follow: bool = False) -> LogParts:
        """What the steps wrote, piece by piece; with `follow` until the run has ended.

        Raises NotFound for an unknown step, TargetUnsupported when the target keeps no logs.
        """
        run = self._context.dispatcher.refresh(self._context.registry().get_run(ref).id)
        return read_logs(self._context, run, step, follow)

    @verb("run.outputs")
    def outputs(self, caller: Caller, ref: str) -> dict[str, Value]:
        """The outputs of a run that succeeded: typed values, artifacts as a path or URI.

        Raises Conflict `run_not_finished` before the run has ended.
        """
        run = self._context.dispatcher.refresh(self._context.registry().get_run(ref).id)
        if not run.finished:
            raise Conflict(
                f"run {run.id} is {run.state} and has no outputs yet; wait with `penstock run wait {run.id}`",
                code="run_not_finished",
            )
        return dict(run.outputs)
