"""The verbs of what runs made: their outputs, and the artifacts among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.callers import Caller
from penstock.dispatch.follow import LOOK_BUDGET, Followed
from penstock.errors import Conflict, UsageError
from penstock.records import RunRecord
from penstock.spec import Value
from penstock.workspace.artifacts import Artifact, artifact_names, find_artifact, missing_artifacts
from penstock.workspace.verbs import Group, folder_of, verb

if TYPE_CHECKING:
    from penstock.workspace.downloads import Downloaded, Progress


class Outputs(Group):
    """Verbs of what runs made. A reference is a run's id or its first characters."""

    @verb("run.outputs", "read", within="run")
    def outputs(self, caller: Caller, ref: str) -> dict[str, Value]:
        """The outputs of an ended run: values, artifacts as a path or URI. Raises Conflict `run_not_finished`."""
        return dict(self._ended(ref).outputs)

    @verb("run.artifacts", "read", within="run")
    def artifacts(self, caller: Caller, ref: str) -> tuple[str, ...]:
        """The names of the outputs that can be downloaded. Raises Conflict `run_not_finished`."""
        return artifact_names(self._services, self._ended(ref))

    @verb("run.missing", "read", within="run")
    def missing(self, caller: Caller, ref: str) -> dict[str, str]:
        """Which artifacts are not there any more, by the name of the output, each with why: cleared away, or gone.

        Of what lies elsewhere only its target knows, which is not asked. Raises Conflict `run_not_finished`.
        """
        return missing_artifacts(self._services, self._ended(ref))

    @verb("run.artifact", "read", within="run")
    def artifact(self, caller: Caller, ref: str, name: str) -> Artifact:
        """A `file` or `directory` output of a run, as its target reported it: on this machine, or to be fetched.

        Raises Conflict `run_not_finished`, NotFound, UsageError for a value, TargetUnsupported for what lies elsewhere
        and its target does not download.
        """
        return find_artifact(self._services, self._ended(ref), name)

    @verb("run.download", "read", within="run")
    def download(
        self,
        caller: Caller,
        ref: str,
        destination: str | Path,
        *,
        names: Sequence[str] | None = None,
        watch: Progress | None = None,
    ) -> tuple[Downloaded, ...]:
        """Download artifacts of an ended run from wherever its target has them, each to `destination/NAME`.

        All of them, unless `names` says which. The folder is relative to the caller's, and made where it is missing;
        nothing in it is written over, and what fails leaves nothing. `watch` is told the output's name and how many
        bytes of it have come. Raises Conflict `run_not_finished` and `file_exists`, NotFound, TargetUnavailable,
        TargetRefused, TargetUnsupported, UsageError.
        """
        from penstock.workspace.downloads import download

        folder = folder_of(caller, f"`{destination}`") / destination
        if isinstance(names, str):
            raise UsageError(f"`names` is a list of outputs: write [{names!r}]")
        return download(self._services, self._ended(ref), folder, names, watch)

    def _ended(self, ref: str) -> RunRecord:
        run = self._look(ref).run
        if not run.finished:
            stale = f" as far as is known ({run.stale})" if run.stale else ""
            raise Conflict(
                f"run {run.id} is {run.state}{stale} and has no outputs yet; it has them once it has ended",
                code="run_not_finished",
            )
        return run

    def _look(self, ref: str, budget: float = LOOK_BUDGET) -> Followed:
        return self._services.follower.one(self._services.registry.runs.get(ref), budget)
