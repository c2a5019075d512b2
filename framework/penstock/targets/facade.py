"""An opened target: one typed method per hook, in front of one backend and the plugins that wrap it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from penstock.contract.artifacts import ArtifactPlace
from penstock.contract.run import Absent, LogChunk, RunOutputs, RunReport, Submission
from penstock.contract.target import Compiled, Health, NativeTrigger, Publication, Target
from penstock.errors import Problem
from penstock.records import Placement
from penstock.targets.calls import HookCalls

if TYPE_CHECKING:
    from penstock.contract.artifacts import Destination
    from penstock.contract.run import RunRef, RunReports, RunRequest
    from penstock.contract.target import EndpointState, Location
    from penstock.snapshot import Snapshot
    from penstock.spec import Pipeline

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def _is_worded(answer: Publication | Submission, *more: object) -> bool:
    """Whether a backend's name for something, what it tells of it, and more are text."""
    details = [*answer.details.items()] if isinstance(answer.details, Mapping) else [(None, None)]
    words = [answer.external, *(word for pair in details for word in pair), *more]
    return bool(answer.external) and all(isinstance(word, str) and _is_text(word) for word in words)


def _is_text(word: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in word)


class OpenTarget:
    """A configured place together with the backend that answers for it. Only PenstockErrors leave these methods.

    `placement` is what a publication here freezes. Beyond what each says, every method raises TargetUnsupported when
    the backend lacks its optional hook, ConfigInvalid when a module it needs is not installed, and BackendBroken when
    the backend or a plugin raises anything else, answers nothing or answers a wrong type.
    """

    def __init__(self, target: Target, placement: Placement, hooks: HookCalls) -> None:
        self.target = target
        self.placement = placement
        self._hooks = hooks

    @property
    def name(self) -> str:
        """The target's name in the configuration."""
        return self.target.name

    def has(self, hook_name: str) -> bool:
        """Whether the backend implements the hook: that is what a capability is."""
        return self._hooks.has(hook_name)

    def validate(self, pipeline: Pipeline) -> tuple[Problem, ...]:
        """What the target cannot do (errors) or does differently (warnings)."""
        answer = self._hooks.call("penstock_validate_pipeline", list, tuple, target=self.target, pipeline=pipeline)
        for item in answer:
            if not isinstance(item, Problem):
                raise self._hooks.wrong("penstock_validate_pipeline", f"a list with a `{type(item).__name__}` in it")
        return tuple(answer)

    def compile(self, snapshot: Snapshot) -> Compiled:
        """The snapshot in the backend's own language."""
        return self._hooks.call("penstock_compile_pipeline", Compiled, target=self.target, snapshot=snapshot)

    def publish(self, snapshot: Snapshot, compiled: Compiled) -> Publication:
        """Put the compiled snapshot where runs can be started from it. Raises TargetUnavailable, TargetRefused."""
        answer = self._hooks.call(
            "penstock_publish_pipeline", Publication, target=self.target, snapshot=snapshot, compiled=compiled
        )
        if not _is_worded(answer, *filter(None, [answer.trigger_url])):
            raise self._hooks.wrong("penstock_publish_pipeline", "a `Publication` whose words are no text")
        return answer

    def resolve_location(self, location: Location) -> str | Problem:
        """The path or URI that a run will read, or why not.

        A backend without the hook reads any URI as it is and no path of the caller's machine.
        """
        if self.has("penstock_resolve_location"):
            return self._hooks.call("penstock_resolve_location", str, Problem, target=self.target, location=location)
        if _URI.match(location.text):
            return location.text
        message = f"`{location.text}` is a local path, which this target cannot read: give a URI"
        return Problem(severity="error", code="location_refused", message=message)

    def submit(self, run: RunRequest) -> Submission:
        """Start the run or find it. Raises TargetUnavailable, TargetRefused."""
        answer = self._hooks.call("penstock_submit_run", Submission, target=self.target, run=run)
        if not _is_worded(answer):
            raise self._hooks.wrong("penstock_submit_run", "a `Submission` whose words are no text")
        return answer

    def get_run(self, run: RunRef) -> RunReport | Absent:
        """The run as the backend sees it now. Raises TargetUnavailable."""
        return self._hooks.call("penstock_get_run", RunReport, Absent, target=self.target, run=run)

    def list_runs(self, runs: Sequence[RunRef]) -> RunReports:
        """What the backend sees of several runs, by id; some may be missing. Raises TargetUnavailable."""
        answer = self._hooks.call("penstock_list_runs", dict, target=self.target, runs=runs)
        for item in answer.values():
            if not isinstance(item, RunReport | Absent):
                raise self._hooks.wrong("penstock_list_runs", f"a `{type(item).__name__}` for a run")
        return answer

    def get_outputs(self, run: RunRef) -> RunOutputs:
        """The pipeline's outputs after the run ended. Raises TargetUnavailable."""
        return self._hooks.call("penstock_get_outputs", RunOutputs, target=self.target, run=run)

    def fetch_artifact(self, run: RunRef, name: str, destination: Destination) -> bool:
        """Put an artifact of an ended run into a destination. Raises NotFound, TargetUnavailable, TargetRefused."""
        answer = self._hooks.call(
            "penstock_fetch_artifact", bool, target=self.target, run=run, name=name, destination=destination
        )
        if not (answer and destination.is_begun):
            raise self._hooks.wrong("penstock_fetch_artifact", f"`{answer}`, having put nothing into the destination")
        return answer

    def locate_artifact(self, run: RunRef, reported: str) -> ArtifactPlace:
        """Where an artifact lies by now that was reported so."""
        answer = self._hooks.call(
            "penstock_locate_artifact", ArtifactPlace, target=self.target, run=run, reported=reported
        )
        if not (isinstance(answer.text, str) and _is_text(answer.text)):
            raise self._hooks.wrong("penstock_locate_artifact", "an `ArtifactPlace` whose path is no text")
        return answer

    def read_logs(self, run: RunRef, step: str, offset: int) -> LogChunk:
        """The step's log from a byte offset on. Raises TargetUnavailable."""
        return self._hooks.call("penstock_read_logs", LogChunk, target=self.target, run=run, step=step, offset=offset)

    def cancel(self, run: RunRef) -> bool:
        """Ask the run to end: False when it had already ended. Raises TargetUnavailable."""
        return self._hooks.call("penstock_cancel_run", bool, target=self.target, run=run)

    def clear_run(self, run: RunRef) -> int:
        """Remove what an ended run left; answers how many bytes. Raises TargetUnavailable."""
        return self._hooks.call("penstock_clear_run", int, target=self.target, run=run)

    def keep_secrets(self) -> bool:
        """Whether sensitive values stay with the run."""
        return self._hooks.call("penstock_keep_secrets", bool, target=self.target)

    def sync_endpoint(self, endpoint: EndpointState) -> NativeTrigger | bool:
        """Make the backend's idea of an endpoint what `endpoint` says. Raises TargetUnavailable."""
        answer = self._hooks.call("penstock_sync_endpoint", bool, NativeTrigger, target=self.target, endpoint=endpoint)
        if isinstance(answer, NativeTrigger) and not (isinstance(answer.url, str) and _is_text(answer.url)):
            raise self._hooks.wrong("penstock_sync_endpoint", "a `NativeTrigger` whose URL is no text")
        return answer

    def check_publication(self, publication: Publication) -> tuple[str, ...]:
        """What of a publication is not what was put there. Raises TargetUnavailable."""
        answer = self._hooks.call(
            "penstock_check_publication", list, tuple, target=self.target, publication=publication
        )
        if not all(isinstance(line, str) and _is_text(line) for line in answer):
            raise self._hooks.wrong("penstock_check_publication", "a list of something else than lines")
        return tuple(answer)

    def retire(self, publication: Publication) -> bool:
        """Forget a publication that nothing points to any more. Raises TargetUnavailable."""
        return self._hooks.call("penstock_retire_pipeline", bool, target=self.target, publication=publication)

    def check(self) -> Health:
        """How the target is, in words."""
        return self._hooks.call("penstock_check_target", Health, target=self.target)
