"""Operations on one target: one typed method per hook, in front of one backend and the plugins that wrap it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penstock.contract.hooks import BackendHooks
from penstock.contract.run import Absent, LogChunk, RunOutputs, RunReport, Submission
from penstock.contract.target import Compiled, Health, Problem, Publication
from penstock.errors import BackendBroken, PenstockError, TargetUnsupported, one_line
from penstock.targets.manager import HookManager

if TYPE_CHECKING:
    from penstock.contract.run import RunRef, RunReports, RunRequest
    from penstock.contract.target import EndpointState, Location, Target
    from penstock.snapshot import Snapshot
    from penstock.spec import Pipeline

ANSWERS: dict[str, tuple[type[Any], ...]] = {
    "penstock_target_options": (type,),
    "penstock_validate_pipeline": (list, tuple),
    "penstock_compile_pipeline": (Compiled,),
    "penstock_publish_pipeline": (Publication,),
    "penstock_resolve_location": (str, Problem),
    "penstock_submit_run": (Submission,),
    "penstock_get_run": (RunReport, Absent),
    "penstock_list_runs": (dict,),
    "penstock_get_outputs": (RunOutputs,),
    "penstock_read_logs": (LogChunk,),
    "penstock_cancel_run": (bool,),
    "penstock_sync_endpoint": (bool,),
    "penstock_retire_pipeline": (bool,),
    "penstock_check_target": (Health,),
}
"""What each hook may answer."""

CAPABILITIES: dict[str, str] = {
    "penstock_resolve_location": "read a file or directory from outside the pipeline",
    "penstock_list_runs": "answer for many runs at once",
    "penstock_read_logs": "show logs",
    "penstock_cancel_run": "cancel a run",
    "penstock_sync_endpoint": "mirror endpoints",
    "penstock_retire_pipeline": "remove published pipelines",
    "penstock_check_target": "report its health",
}
"""The optional hooks, each in words; every other hook is mandatory."""

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def operations_for(backend_name: str, backend: object, wrappers: Sequence[tuple[str, object]] = ()) -> TargetOperations:
    """Put one backend behind its typed facade, wrapped by plugins given as (name, plugin).

    The first wrapper is the outermost. Raises BackendBroken when one of them breaks the hook contract or the
    backend lacks a mandatory hook.
    """
    manager = HookManager(BackendHooks)
    who = manager.take("backend", backend_name, backend)
    missing = [name for name in ANSWERS if name not in CAPABILITIES and not manager.implementers(name)]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise BackendBroken(f"{who} lacks the mandatory hook{'s' * (len(missing) > 1)} {names}")
    for name, plugin in reversed(wrappers):
        manager.take("plugin", name, plugin)
    return TargetOperations(backend_name, who, manager)


class TargetOperations:
    """What one target can do. Only PenstockErrors leave these methods.

    Beyond what each says, every method raises TargetUnsupported when the backend lacks its optional hook,
    ConfigInvalid when a module it needs is not installed, and BackendBroken when the backend or a plugin
    raises anything else, answers nothing or answers a wrong type.
    """

    def __init__(self, backend: str, who: str, manager: HookManager) -> None:
        self.backend = backend
        self._who = who
        self._manager = manager

    def has(self, hook_name: str) -> bool:
        """Whether the backend implements the hook: that is what a capability is."""
        return hook_name in ANSWERS and self._who in self._manager.implementers(hook_name)

    def options_class(self) -> type[Any]:
        """The attrs class of the backend's target options."""
        import attrs

        answer: type[Any] = self._call("penstock_target_options")
        if not attrs.has(answer):
            raise self._wrong("penstock_target_options", f"the class `{answer.__name__}`, which is not an attrs class")
        return answer

    def validate(self, target: Target, pipeline: Pipeline) -> tuple[Problem, ...]:
        """What the target cannot do (errors) or does differently (warnings)."""
        answer = self._call("penstock_validate_pipeline", target=target, pipeline=pipeline)
        for item in answer:
            if not isinstance(item, Problem):
                raise self._wrong("penstock_validate_pipeline", f"a list with a `{type(item).__name__}` in it")
        return tuple(answer)

    def compile(self, target: Target, snapshot: Snapshot) -> Compiled:
        """The snapshot in the backend's own language."""
        answer: Compiled = self._call("penstock_compile_pipeline", target=target, snapshot=snapshot)
        return answer

    def publish(self, target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
        """Put the compiled snapshot where runs can be started from it. Raises TargetUnavailable, TargetRefused."""
        answer: Publication = self._call(
            "penstock_publish_pipeline", target=target, snapshot=snapshot, compiled=compiled
        )
        return answer

    def resolve_location(self, target: Target, location: Location) -> str | Problem:
        """The path or URI that a run will read, or why not.

        A backend without the hook reads any URI as it is and no path of the caller's machine.
        """
        if not self.has("penstock_resolve_location"):
            if _URI.match(location.text):
                return location.text
            message = f"`{location.text}` is a local path, which this target cannot read: give a URI"
            return Problem(severity="error", code="location_refused", message=message)
        answer: str | Problem = self._call("penstock_resolve_location", target=target, location=location)
        return answer

    def submit(self, target: Target, run: RunRequest) -> Submission:
        """Start the run or find it. Raises TargetUnavailable, TargetRefused."""
        answer: Submission = self._call("penstock_submit_run", target=target, run=run)
        return answer

    def get_run(self, target: Target, run: RunRef) -> RunReport | Absent:
        """The run as the backend sees it now. Raises TargetUnavailable."""
        answer: RunReport | Absent = self._call("penstock_get_run", target=target, run=run)
        return answer

    def list_runs(self, target: Target, runs: Sequence[RunRef]) -> RunReports:
        """What the backend sees of several runs, by id; some may be missing. Raises TargetUnavailable."""
        answer: RunReports = self._call("penstock_list_runs", target=target, runs=runs)
        for item in answer.values():
            if not isinstance(item, RunReport | Absent):
                raise self._wrong("penstock_list_runs", f"a `{type(item).__name__}` for a run")
        return answer

    def get_outputs(self, target: Target, run: RunRef) -> RunOutputs:
        """The pipeline's outputs after the run ended. Raises TargetUnavailable."""
        answer: RunOutputs = self._call("penstock_get_outputs", target=target, run=run)
        return answer

    def read_logs(self, target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
        """The step's log from a byte offset on. Raises TargetUnavailable."""
        answer: LogChunk = self._call("penstock_read_logs", target=target, run=run, step=step, offset=offset)
        return answer

    def cancel(self, target: Target, run: RunRef) -> bool:
        """Ask the run to end: False when it had already ended. Raises TargetUnavailable."""
        answer: bool = self._call("penstock_cancel_run", target=target, run=run)
        return answer

    def sync_endpoint(self, target: Target, endpoint: EndpointState) -> bool:
        """Make the backend's idea of an endpoint what `endpoint` says. Raises TargetUnavailable."""
        answer: bool = self._call("penstock_sync_endpoint", target=target, endpoint=endpoint)
        return answer

    def retire(self, target: Target, publication: Publication) -> bool:
        """Forget a publication that nothing points to any more. Raises TargetUnavailable."""
        answer: bool = self._call("penstock_retire_pipeline", target=target, publication=publication)
        return answer

    def check(self, target: Target) -> Health:
        """How the target is, in words."""
        answer: Health = self._call("penstock_check_target", target=target)
        return answer

    def _call(self, hook: str, **arguments: Any) -> Any:
        if not self.has(hook):
            raise TargetUnsupported(f"{self._who} cannot {CAPABILITIES[hook]}: it has no hook `{hook}`")
        try:
            answer = getattr(self._manager.hook, hook)(**arguments)
        except PenstockError:
            raise
        except Exception as error:
            raise self._failed(hook, error) from error
        if answer is None:
            raise self._wrong(hook, "nothing")
        if not isinstance(answer, ANSWERS[hook]):
            raise self._wrong(hook, f"a `{type(answer).__name__}`")
        return answer

    def _wrong(self, hook: str, found: str) -> BackendBroken:
        expected = " or ".join(f"`{answer.__name__}`" for answer in ANSWERS[hook])
        *wrappers, _ = self._manager.implementers(hook)
        note = f"; it is wrapped by {', '.join(wrappers)}, which must return what `yield` gives" if wrappers else ""
        return BackendBroken(f"{self._who} answered hook `{hook}` with {found}, expected {expected}{note}")

    def _failed(self, hook: str, error: Exception) -> PenstockError:
        culprit = self._manager.culprit(hook, error) or self._who
        place = self._manager.place(hook, error)
        failed = f"failed in hook `{hook}`: {one_line(error)}{f' ({place})' if place else ''}"
        if culprit != self._who:
            return BackendBroken(f"{culprit} {failed}", code="plugin_broken")
        if isinstance(error, ImportError):
            from penstock.targets.discovery import unavailable

            return unavailable("backend", self.backend, error)
        return BackendBroken(f"{self._who} {failed}")
