"""Endpoints, published pipelines and runs as objects, for Python: thin handles over the verbs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.errors import RunFailed
from penstock.records import DefaultAt, EndpointRecord, HistoryRecord, PublishedRecord, RunRecord, VersionRecord
from penstock.spec import Value
from penstock.workspace.arguments import taken

if TYPE_CHECKING:
    from penstock.workspace import Downloaded, Workspace


class Run:
    """One triggered execution. `state` and `outputs` are read again while it is unfinished; `record` is all that was
    last read.
    """

    def __init__(self, workspace: Workspace, record: RunRecord, warnings: tuple[str, ...] = ()) -> None:
        self._workspace = workspace
        self.record = record
        self.warnings = warnings

    def __repr__(self) -> str:
        """Id and state as last read."""
        return f"<Run {self.id} {self.record.state}>"

    @property
    def id(self) -> str:
        """The run's id: its identity everywhere."""
        return self.record.id

    @property
    def version(self) -> str | None:
        """The endpoint version that the trigger resolved to."""
        return self.record.version

    @property
    def parameters(self) -> Mapping[str, Value]:
        """Every parameter's value, defaults included."""
        return self.record.parameters

    @property
    def state(self) -> str:
        """`queued`, `running`, `succeeded`, `failed` or `canceled`, read again while the run is unfinished."""
        return self._current().state

    @property
    def outputs(self) -> Mapping[str, Value]:
        """The pipeline's outputs, read again while the run is unfinished: values, and artifacts as path or URI."""
        return self._current().outputs

    def _current(self) -> RunRecord:
        return self.record if self.record.finished else self.refresh().record

    def refresh(self) -> Run:
        """Read the run again from its target."""
        self.record = self._workspace.runs.get(self.id)
        return self

    def wait(
        self,
        *,
        timeout: float | None = None,
        check: bool = True,
        watch: Callable[[RunRecord], None] | None = None,
    ) -> Run:
        """Wait until the run has ended; `timeout` is in seconds. What it waits for meanwhile is said once, as a warning
        of the logger `penstock`, unless there is a `watch`.

        Raises WaitTimeout, and RunFailed when it did not succeed, unless `check` is false.
        """
        self.record = self._workspace.runs.wait(self.id, timeout=timeout, watch=watch)
        if check and self.record.state != "succeeded":
            why = self.record.failure
            raise RunFailed(f"run {self.id} {self.record.state}" + (f": {why}" if why else ""))
        return self

    def cancel(self, *, reason: str = "", force: bool = False) -> Run:
        """Ask the run to end; a run that has ended stays as it is. `force` is as for `Runs.cancel`."""
        self.record = self._workspace.runs.cancel(self.id, reason=reason, force=force).run
        return self

    def logs(
        self, step: str | None = None, *, follow: bool = False, timestamps: bool = False
    ) -> Iterator[tuple[str, bytes]]:
        """Step name and bytes, piece by piece; with `follow` until the run has ended.

        `timestamps` begins each line with its time, see `Runs.logs`.
        """
        for part in self._workspace.runs.logs(self.id, step=step, follow=follow, timestamps=timestamps):
            yield part.step, part.data

    def download(self, destination: str | Path, *, names: Sequence[str] | None = None) -> tuple[Downloaded, ...]:
        """Download its artifacts, each to `destination/NAME`: all of them, or those that are named."""
        return self._workspace.runs.download(self.id, destination, names=names)

    def rerun(self, *, parameters: Mapping[str, Any] | None = None, idempotency_key: str | None = None) -> Run:
        """Run again what this run resolved to, with the same parameters; `parameters` are the sensitive ones again."""
        submitted = self._workspace.runs.rerun(self.id, parameters=parameters, idempotency_key=idempotency_key)
        return Run(self._workspace, submitted.run, submitted.warnings)


class PublishedPipeline:
    """A snapshot frozen under a name and a label on a target. It can be triggered by itself."""

    def __init__(self, workspace: Workspace, record: PublishedRecord) -> None:
        self._workspace = workspace
        self.record = record

    def __repr__(self) -> str:
        """Name, label and target."""
        return f"<PublishedPipeline {self.name}:{self.label} on {self.target}>"

    @property
    def id(self) -> str:
        """The published pipeline's id."""
        return self.record.id

    @property
    def name(self) -> str:
        """The name it was published under."""
        return self.record.name

    @property
    def label(self) -> str:
        """The label that stands for its digest."""
        return self.record.label

    @property
    def digest(self) -> str:
        """The snapshot's digest, the same on every target."""
        return self.record.digest

    @property
    def target(self) -> str:
        """The target where it was published and where its runs go."""
        return self.record.target

    @property
    def enabled(self) -> bool:
        """Whether its gate is open, as last read."""
        return self.record.enabled

    def submit(
        self,
        *,
        parameters: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Trigger it; the arguments are those of `Workspace.submit`."""
        return self._workspace.submit(
            self.id,
            parameters=parameters,
            experiment=experiment,
            description=description,
            tags=tags,
            idempotency_key=idempotency_key,
        )

    def disable(self, *, reason: str = "", cancel_runs: bool = False) -> PublishedPipeline:
        """Close its gate."""
        self._workspace.pipelines.disable(self.id, reason=reason, cancel_runs=cancel_runs)
        return self._read()

    def enable(self) -> PublishedPipeline:
        """Open its gate."""
        self._workspace.pipelines.enable(self.id)
        return self._read()

    def delete(self) -> None:
        """Delete it, when nothing points to it."""
        self._workspace.pipelines.delete(self.id)

    def _read(self) -> PublishedPipeline:
        self.record = self._workspace.pipelines.get(self.id)
        return self


class Endpoint:
    """A stable name in front of versions. Properties show it as it was last read; every verb reads it again."""

    def __init__(self, workspace: Workspace, record: EndpointRecord) -> None:
        self._workspace = workspace
        self.record = record

    def __repr__(self) -> str:
        """Name and default version."""
        return f"<Endpoint {self.name}, default {self.default}>"

    @property
    def id(self) -> str:
        """The endpoint's id, which outlives its name."""
        return self.record.id

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.record.name

    @property
    def default(self) -> str | None:
        """The version that a trigger without a version runs."""
        return self.record.default

    @property
    def versions(self) -> tuple[VersionRecord, ...]:
        """All versions, from "0" on."""
        return self.record.versions

    @property
    def enabled(self) -> bool:
        """Whether the endpoint's own gate is open."""
        return self.record.enabled

    def refresh(self) -> Endpoint:
        """Read the endpoint again."""
        self.record = self._workspace.endpoints.get(self.id)
        return self

    def submit(
        self,
        *,
        version: str | int | None = None,
        parameters: Mapping[str, Any] | None = None,
        experiment: str | None = None,
        description: str = "",
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Run:
        """Trigger the default, or the version that is named; the other arguments are those of `Workspace.submit`."""
        return self._workspace.submit(
            self.id,
            version=version,
            parameters=parameters,
            experiment=experiment,
            description=description,
            tags=tags,
            idempotency_key=idempotency_key,
        )

    def add_version(
        self, published: PublishedPipeline | str, *, default: bool = False, expect: str | None = None
    ) -> str:
        """Add a published pipeline and return its version; the default moves only when asked."""
        ref = published.id if isinstance(published, PublishedPipeline) else published
        outcome = self._workspace.endpoints.add_version(self.id, ref, default=default, expect=expect)
        self.record = outcome.endpoint
        return outcome.version

    def set_default(self, version: str | int, *, expect: str | int | None = None, reason: str = "") -> Endpoint:
        """Move the default, only if it is `expect` when that is said."""
        self.record = self._workspace.endpoints.set_default(self.id, version, expect=expect, reason=reason).endpoint
        return self

    def rollback(self, *, expect: str | int | None = None, reason: str = "") -> Endpoint:
        """Take the last move of the default back, only if it is `expect` when that is said."""
        self.record = self._workspace.endpoints.rollback(self.id, expect=expect, reason=reason).endpoint
        return self

    def disable(self, version: str | int | None = None, *, reason: str = "", cancel_runs: bool = False) -> Endpoint:
        """Close the gate of the endpoint, or of one version."""
        self._workspace.endpoints.disable(self._gate(version), reason=reason, cancel_runs=cancel_runs)
        return self.refresh()

    def enable(self, version: str | int | None = None) -> Endpoint:
        """Open the gate of the endpoint, or of one version."""
        self._workspace.endpoints.enable(self._gate(version))
        return self.refresh()

    def rename(self, name: str) -> Endpoint:
        """Give it another name."""
        self.record = self._workspace.endpoints.rename(self.id, name)
        return self

    def delete(self) -> None:
        """Delete the endpoint, when it has no unfinished run."""
        self._workspace.endpoints.delete(self.id)

    def history(self, *, limit: int = 50) -> tuple[HistoryRecord, ...]:
        """What happened to it, newest first."""
        return self._workspace.endpoints.history(self.id, limit=limit).items

    def at(self, when: datetime) -> DefaultAt:
        """What a trigger without a version would have run at that time."""
        return self._workspace.endpoints.at(self.id, when)

    def _gate(self, version: str | int | None) -> str:
        if version is None:
            return self.id
        return f"{self.id}@{taken({'version': 'str | int'}, {'version': version})['version']}"
