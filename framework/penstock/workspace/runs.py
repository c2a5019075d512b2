"""The verbs of runs: submit, list, show, wait, cancel, logs, rerun, clean; those of what they made are in `outputs`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve

from penstock.callers import Caller
from penstock.contract.run import Failure, RunState
from penstock.dispatch.follow import Followed
from penstock.errors import (
    PenstockError,
    RegistryError,
    TargetUnavailable,
    TargetUnsupported,
    UsageError,
)
from penstock.records import Page, RunRecord
from penstock.registry import CancelOutcome, Owed, RunQuery
from penstock.workspace import triggers
from penstock.workspace.accepting import Submitted
from penstock.workspace.clearing import Cleared, clear
from penstock.workspace.logs import LogParts, read_logs
from penstock.workspace.outputs import Outputs
from penstock.workspace.parameters import TriggerOptions
from penstock.workspace.references import Kind, is_file
from penstock.workspace.rights import within
from penstock.workspace.verbs import folder_of, verb
from penstock.workspace.waiting import wait


class Runs(Outputs):
    """Verbs of runs. A reference is an id or its first characters."""

    @verb("run.submit", "submit", within="endpoint")
    def submit(
        self,
        caller: Caller,
        ref: str | Path,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
        target: str | None = None,
        deduplicate: bool = False,
        only: Kind | None = None,
        large_code: bool = False,
    ) -> Submitted:
        """Trigger an endpoint (`digits`, `digits@0`), a published pipeline, or a spec file as a trial run.

        Local paths among the parameters are relative to the caller's folder. `target` is for a file only. With
        `deduplicate` a request without a key is one that may be a repeat: within the endpoint's deduplication window it
        is the run that it was before. `only` says what the reference names, if that is known. Much code is refused
        without `large_code`. Raises NotFound, GateClosed, ParameterInvalid, Conflict, TooManyRequests: nothing is done.
        """
        options = TriggerOptions(
            parameters={str(name): value for name, value in (parameters or {}).items()},
            experiment=experiment,
            description=description,
            tags=tags or {},
            idempotency_key=idempotency_key,
            folder=None if caller.folder is None else Path.cwd() / caller.folder,
            deduplicate=deduplicate,
        )
        if only is None and is_file(ref):
            folder_of(caller, f"`{ref}`")
            if version is not None:
                raise UsageError(f"`{ref}` is a spec file, which has no versions: leave the version out")
            return triggers.submit_file(self._services, caller, ref, target, options, large_code=large_code)
        if target is not None:
            raise UsageError(
                f"`{ref}` runs on the target where it was published; only a spec file can be sent to `{target}` "
                f"(to move it there: `penstock publish --from {ref} --target {target}`)"
            )
        wanted = None if version is None else str(version)
        return triggers.submit(self._services, caller, str(ref), wanted, options, only=only)

    @verb("run.rerun", "submit", within="run")
    def rerun(
        self,
        caller: Caller,
        ref: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> Submitted:
        """Run again what a run resolved to, with the same parameters; the gates apply as they are now.

        `parameters` are the sensitive ones, whose values were not kept. Raises ParameterInvalid for one that is missing
        (`sensitive_missing`) and for others (`parameter_fixed`), and as `submit`.
        """
        run = self._services.registry.runs.get(ref)
        given = {str(name): value for name, value in (parameters or {}).items()}
        options = TriggerOptions(
            parameters=triggers.parameters_of(self._services, run, given),
            experiment=run.experiment,
            description=run.description,
            tags=run.tags,
            idempotency_key=idempotency_key,
            folder=Path("/"),  # what an accepted run read may be read again
            rerun_of=run.id,
            not_kept=triggers.not_kept(self._services, run),
        )
        return triggers.submit_again(self._services, caller, run, options)

    @verb("run.get", "read", within="run")
    def get(self, caller: Caller, ref: str) -> RunRecord:
        """One run as its target sees it now, or `stale`. Raises NotFound."""
        return self._look(ref).run

    @verb("run.list", "read", within="listing")
    def list(
        self,
        caller: Caller,
        *,
        endpoint: str | None = None,
        experiment: str | None = None,
        state: RunState | None = None,
        pipeline: str | None = None,
        published: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Page[RunRecord]:
        """A page of runs, newest first; the unfinished ones on it are looked at, all together.

        `pipeline` is a name, `published` the id of a published pipeline.
        """
        if not self._services.can_be_listed:
            return Page(items=())
        query = RunQuery(
            endpoint=endpoint,
            within=within(caller),
            experiment=experiment,
            state=state,
            pipeline=pipeline,
            published=published,
            limit=limit,
            before=before,
        )
        page = self._services.registry.runs.list(query)
        return evolve(page, items=tuple(found.run for found in self._services.follower.look(page.items)))

    @verb("run.wait", "read", within="run")
    def wait(
        self,
        caller: Caller,
        ref: str,
        *,
        timeout: float | None = None,
        watch: Callable[[RunRecord], None] | None = None,
    ) -> RunRecord:
        """Wait until a run has ended, however it ended; `watch` is called with every change. Without it, what a run
        waits for is said once, as a warning of the logger `penstock`.

        `timeout` is in seconds. Raises WaitTimeout, NotFound, and what stands in the way when the end can never be
        seen: the target is gone from the configuration, is another one now, or its backend is broken. A full disk and
        a locked registry are waited for: the record that is watched says it as `stale`.
        """
        known = self._services.registry.runs.get(ref)
        return wait(known, partial(self._look, known.id), timeout=timeout, watch=watch)

    @verb("run.cancel", "submit", within="run")
    def cancel(self, caller: Caller, ref: str, *, reason: str = "", force: bool = False) -> CancelOutcome:
        """Ask a run to end. Before hand-over it ends at once; later the target's answer decides.

        A run that has ended answers with its state. Raises TargetUnsupported when the target cannot cancel. With
        `force` the target is told first too, and one that takes the request decides; where it is gone, away or broken,
        or was told before and cannot be followed, the run ends here all the same, its error says why, and nothing that
        the target says of it later changes that.
        """
        registry = self._services.registry
        run = registry.runs.get(ref)
        if not (force or run.finished or run.external is None or self._can_cancel(run.target)):
            raise TargetUnsupported(f"target `{run.target}` cannot cancel runs; run {run.id} goes on")
        outcome = registry.runs.request_cancel(run.id, caller, reason=reason)
        if outcome.ended:
            self._services.outbox.tell_run(outcome.run)
        outcome = evolve(outcome, run=self._services.follower.placing.placed(outcome.run))
        self._services.give_time()
        if outcome.run.finished or not (force or (outcome.requested and outcome.run.external is not None)):
            return outcome
        try:
            found = self._services.follower.one(outcome.run)
        except RegistryError:  # which has the request all the same
            return outcome
        if not force or found.run.finished:
            return evolve(outcome, run=found.run)
        told = self._is_told(found.run)
        untold = None if told and outcome.requested else self._untold(found)
        if untold is None:
            return evolve(outcome, run=found.run)
        what = "was told before and cannot be followed" if told else "was not told"
        why = f"ended here by force: target `{run.target}` {what} ({untold}), and it may go on there"
        last_try = isinstance(untold, TargetUnavailable)
        failure = Failure(code=untold.code, message=why)
        try:
            after = registry.runs.give_up(run.id, caller, failure, last_try=last_try)
        except RegistryError as error:
            message = f"run {run.id} is asked to end and could not be ended here: {error.cause}"
            raise RegistryError(message, code=error.code) from error
        if after.error != failure:  # it has ended by itself meanwhile
            return evolve(outcome, run=after)
        self._services.outbox.tell_run(after)
        return evolve(outcome, run=after, ended=True)

    @verb("run.logs", "read", within="run")
    def logs(
        self, caller: Caller, ref: str, *, step: str | None = None, follow: bool = False, timestamps: bool = False
    ) -> LogParts:
        """What the steps wrote, piece by piece; with `follow` until the run has ended.

        With `timestamps` each line begins with the time at which it was there, `2026-11-20T14:29:07.123Z` and a blank,
        or with a `-` as wide where that is not known.

        Raises NotFound for an unknown step, TargetUnsupported when the target keeps no logs, and as `wait` when the
        end can never be seen.
        """
        return read_logs(self._services, self._look(ref).run, step, follow, timestamps)

    @verb("run.clean", "admin")
    def clean(self, caller: Caller, *, older_than: float = 30 * 86400, keep: int = 0, dry_run: bool = False) -> Cleared:
        """Clear away what runs left on their targets that ended more than `older_than` seconds ago: working copies,
        logs, artifacts. What the registry knows of them stays.

        Of each endpoint the newest `keep` runs are left alone, and so is what a target does not clear away. With
        `dry_run` it is only told which runs those are.
        """
        return clear(self._services, caller, age=older_than, keep=keep, dry_run=dry_run)

    def _can_cancel(self, target: str) -> bool:
        """Whether a target can end runs; of one that cannot be opened now it is not known, and the request is kept."""
        try:
            return self._services.targets.open(target).has("penstock_cancel_run")
        except PenstockError:
            return True

    def _is_told(self, run: RunRecord) -> bool:
        """Whether the target of a run that is to end has taken that request."""
        if run.external is None or not self._can_cancel(run.target):
            return False
        return not self._services.registry.outbox.is_owed(Owed(kind="cancel", subject=run.id, target=run.target))

    def _untold(self, found: Followed) -> PenstockError | None:
        """Why the target of a run cannot be told that it is to end, as far as a look at it found out."""
        run = found.run
        if isinstance(found.trouble, RegistryError):
            return None
        if found.trouble is not None:
            return found.trouble
        if run.external is None:
            return TargetUnavailable((run.waiting and run.waiting.message) or "it was not handed over yet")
        if not self._can_cancel(run.target):
            return TargetUnsupported("it cannot cancel runs")
        return None if self._is_told(run) else TargetUnavailable("it did not take the request")
