"""The verbs of published pipelines: validate, publish, list, show, disable, enable, delete."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Unpack

from attrs import frozen

from penstock.contract.target import Problem
from penstock.records import Caller, Page, PublishedRecord
from penstock.registry import GateOutcome
from penstock.spec import Pipeline
from penstock.workspace import freezing
from penstock.workspace.context import Group, verb
from penstock.workspace.gates import move_gate
from penstock.workspace.publishing import Asked, Publishing, publish, snapshot_behind


@frozen(kw_only=True)
class Validation:
    """A spec that is valid and that the target can run. `warnings` are what the target does differently."""

    pipeline: Pipeline
    digest: str
    target: str
    warnings: tuple[Problem, ...]


class Pipelines(Group):
    """Verbs of published pipelines. A reference is an id, `name:label` or `name:label@target`."""

    @verb("pipeline.validate")
    def validate(self, caller: Caller, source: Path | str | Pipeline, *, target: str | None = None) -> Validation:
        """Check a spec and what travels with it against a target, writing nothing that stays.

        Raises SpecInvalid, TargetUnsupported.
        """
        place = self._context.places.open(target)
        read = freezing.read(source)
        with tempfile.TemporaryDirectory() as folder:
            taken = freezing.take(read, Path(folder))
        warnings = freezing.check(place, read)
        return Validation(pipeline=read.pipeline, digest=taken.digest, target=place.target.name, warnings=warnings)

    @verb("pipeline.publish")
    def publish(
        self,
        caller: Caller,
        source: Path | str | Pipeline,
        *,
        folder: Path | None = None,
        target: str | None = None,
        **asked: Unpack[Asked],
    ) -> Publishing:
        """Freeze a spec under a name and a label on a target; with `endpoint`, put it behind one too.

        The whole publish is one transaction: either all of it happened or nothing. `folder` is where a
        pipeline built in Python has its code; see `Asked` for the rest. Raises SpecInvalid,
        TargetUnsupported, Conflict.
        """
        place = self._context.places.open(target)
        read = freezing.read(source, folder)
        warnings = freezing.check(place, read)
        self._context.registry(create=True)
        taken = freezing.take(read, self._context.store)
        return publish(self._context, caller, place, taken, warnings, read.pipeline.name, asked)

    @verb("pipeline.publish_from")
    def publish_from(
        self, caller: Caller, ref: str, *, target: str | None = None, **asked: Unpack[Asked]
    ) -> Publishing:
        """Publish the very snapshot behind an endpoint, a version, a published pipeline or a run.

        So a version moves to another target, or a trial run becomes a published pipeline, with the same
        digest. Raises NotFound, TargetUnsupported, Conflict.
        """
        taken, name = snapshot_behind(self._context, ref)
        place = self._context.places.open(target)
        warnings = freezing.check(place, freezing.Source(pipeline=taken.pipeline, folder=Path.cwd()))
        return publish(self._context, caller, place, taken, warnings, name, asked)

    @verb("pipeline.get")
    def get(self, caller: Caller, ref: str) -> PublishedRecord:
        """One published pipeline. Raises NotFound."""
        return self._context.registry().get_published(ref)

    @verb("pipeline.list")
    def list(
        self, caller: Caller, *, all: bool = False, limit: int = 50, before: str | None = None, name: str | None = None
    ) -> Page[PublishedRecord]:
        """A page of published pipelines, newest first; closed ones only with `all`."""
        if not self._context.exists:
            return Page(items=())
        return self._context.registry().list_published(all=all, limit=limit, before=before, name=name)

    @verb("pipeline.disable")
    def disable(self, caller: Caller, ref: str, *, reason: str = "", cancel_runs: bool = False) -> GateOutcome:
        """Close the gate of a published pipeline: no trigger passes it, whichever way it comes."""
        return move_gate(self._context, caller, "pipeline", ref, open=False, reason=reason, cancel_runs=cancel_runs)

    @verb("pipeline.enable")
    def enable(self, caller: Caller, ref: str) -> GateOutcome:
        """Open the gate of a published pipeline."""
        return move_gate(self._context, caller, "pipeline", ref, open=True)

    @verb("pipeline.delete")
    def delete(self, caller: Caller, ref: str) -> PublishedRecord:
        """Delete a published pipeline that nothing points to; its label stays burnt. Raises Conflict `in_use`."""
        registry = self._context.registry()
        self._context.dispatcher.refresh_all()
        with self._context.publications(alone=True):
            outcome = registry.delete_published(ref, caller)
            if outcome.retire is not None:
                self._context.dispatcher.retire(*outcome.retire)
        return outcome.published
