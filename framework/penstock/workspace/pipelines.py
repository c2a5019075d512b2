"""The verbs of published pipelines: validate, publish, list, show, disable, enable, delete."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import asdict, frozen

from penstock.callers import Caller
from penstock.codec import from_canonical
from penstock.errors import Problem
from penstock.records import Page, PublishedRecord
from penstock.registry import GateOutcome, PublishRequest
from penstock.snapshot import Bundled
from penstock.spec import Pipeline
from penstock.workspace import publishing
from penstock.workspace.gates import look_at_unfinished, move_gate
from penstock.workspace.publishing import Publishing, Source
from penstock.workspace.verbs import Group, verb


@frozen(kw_only=True)
class Validation:
    """A spec that is valid and that the target can run. `warnings` are what the target does differently.

    `bundled` is what would travel and what stays at home of each path in the spec.
    """

    pipeline: Pipeline
    digest: str
    target: str
    warnings: tuple[Problem, ...]
    bundled: tuple[Bundled, ...] = ()


class Pipelines(Group):
    """Verbs of published pipelines. A reference is an id, `name:label` or `name:label@target`."""

    @verb("pipeline.validate", "publish")
    def validate(
        self, caller: Caller, source: Path | str | Pipeline, *, folder: Path | None = None, target: str | None = None
    ) -> Validation:
        """Check a spec and what comes with it against a target, writing nothing that stays.

        Raises SpecInvalid, TargetUnsupported.
        """
        opened = self._services.targets.open(target)
        read = publishing.load(source, caller, folder)
        taken = publishing.take(self._services, read, None, large_code=True)
        warnings = publishing.validate(opened, caller, read)
        return Validation(
            pipeline=read.pipeline,
            digest=taken.digest,
            target=opened.name,
            warnings=warnings,
            bundled=taken.bundled,
        )

    @verb("pipeline.publish", "publish")
    def publish(
        self,
        caller: Caller,
        source: Path | str | Pipeline,
        *,
        folder: Path | None = None,
        target: str | None = None,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        default: bool = False,
        expect: str | None = None,
        large_code: bool = False,
    ) -> Publishing:
        """Freeze a spec under a name and a label on a target; with `endpoint`, put it behind one too.

        The whole publish is one transaction: either all of it happened or nothing. `folder` is where a
        pipeline built in Python has its code. `name` is the pipeline's own unless given, `label` the one that its
        digest has or the next number, `description` the spec's. `endpoint` is made when it is not there; `default`
        moves its default, if it is `expect` when that is said. `large_code` says that more than 100 MB of code are
        meant, which are refused else (`code_large`). Raises SpecInvalid, TargetUnsupported, Conflict.
        """
        opened = self._services.targets.open(target)
        read = publishing.load(source, caller, folder)
        warnings = publishing.validate(opened, caller, read)
        lost = self._services.lost()
        if lost is not None:
            message = f"{lost}; this begins a new one, at version 0"
            warnings += (Problem("registry_missing", message, severity="warning"),)
        self._services.make_registry()
        taken = publishing.take(self._services, read, self._services.store, large_code=large_code)
        request = PublishRequest(
            name=read.pipeline.name if name is None else name,
            label=label,
            snapshot=publishing.frozen_snapshot(taken),
            placement=opened.placement,
            description=read.pipeline.description if description is None else description,
            tags=tags or {},
            endpoint=endpoint,
            default=default,
            expect=expect,
        )
        outcome = publishing.publish(self._services, caller, opened, taken, request)
        warnings = (*warnings, *publishing.kept_options(self._services, opened, outcome))
        return Publishing(**asdict(outcome, recurse=False), warnings=warnings, bundled=taken.bundled)

    @verb("pipeline.publish_from", "publish")
    def publish_from(
        self,
        caller: Caller,
        ref: str,
        *,
        target: str | None = None,
        name: str | None = None,
        label: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        default: bool = False,
        expect: str | None = None,
    ) -> Publishing:
        """Publish the very snapshot behind an endpoint, a version, a published pipeline or a run.

        So a version moves to another target, or a trial run becomes a published pipeline, with the same
        digest. The rest is as for `publish`. Raises NotFound, TargetUnsupported, Conflict.
        """
        self._services.refuse_copy()
        taken, own_name = publishing.snapshot_behind(self._services, ref)
        opened = self._services.targets.open(target)
        warnings = publishing.validate(opened, caller, Source(pipeline=taken.pipeline, folder=Path("/")))
        request = PublishRequest(
            name=own_name if name is None else name,
            label=label,
            snapshot=publishing.frozen_snapshot(taken),
            placement=opened.placement,
            description=taken.pipeline.description if description is None else description,
            tags=tags or {},
            endpoint=endpoint,
            default=default,
            expect=expect,
        )
        outcome = publishing.publish(self._services, caller, opened, taken, request)
        warnings = (*warnings, *publishing.kept_options(self._services, opened, outcome))
        return Publishing(**asdict(outcome, recurse=False), warnings=warnings)

    @verb("pipeline.get", "read")
    def get(self, caller: Caller, ref: str) -> PublishedRecord:
        """One published pipeline. Raises NotFound."""
        return self._services.registry.pipelines.get(ref)

    @verb("pipeline.spec", "read")
    def spec(self, caller: Caller, ref: str) -> Pipeline:
        """What was published: the pipeline with its parameters and steps. Raises NotFound."""
        pipelines = self._services.registry.pipelines
        return from_canonical(pipelines.snapshot(pipelines.get(ref).digest).spec)

    @verb("pipeline.list", "read")
    def list(
        self, caller: Caller, *, all: bool = False, limit: int = 50, before: str | None = None, name: str | None = None
    ) -> Page[PublishedRecord]:
        """A page of published pipelines, newest first; closed ones only with `all`."""
        if not self._services.can_be_listed:
            return Page(items=())
        return self._services.registry.pipelines.list(all=all, limit=limit, before=before, name=name)

    @verb("pipeline.disable", "publish")
    def disable(
        self,
        caller: Caller,
        ref: str,
        *,
        reason: str = "",
        cancel_runs: bool = False,
        expect_revision: int | None = None,
    ) -> GateOutcome:
        """Close the gate of a published pipeline: no trigger passes it, whichever way it comes.

        Raises Conflict `revision_changed` when it is not at the revision that is expected.
        """
        return move_gate(
            self._services,
            caller,
            "pipeline",
            ref,
            open=False,
            reason=reason,
            cancel_runs=cancel_runs,
            expect_revision=expect_revision,
        )

    @verb("pipeline.enable", "publish")
    def enable(self, caller: Caller, ref: str, *, expect_revision: int | None = None) -> GateOutcome:
        """Open the gate of a published pipeline. Raises Conflict `revision_changed`."""
        return move_gate(self._services, caller, "pipeline", ref, open=True, expect_revision=expect_revision)

    @verb("pipeline.delete", "admin")
    def delete(self, caller: Caller, ref: str) -> PublishedRecord:
        """Delete a published pipeline that nothing points to; its label is never given again.

        Its target is owed to forget it. Raises NotFound, Conflict `in_use`.
        """
        registry = self._services.registry
        published = registry.pipelines.get(ref)
        look_at_unfinished(self._services, published=published.id)
        record = registry.pipelines.delete(published.id, caller)
        self._services.give_time()
        return record
