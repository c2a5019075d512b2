"""The verbs of published pipelines: validate, publish, list, show, disable, enable, delete."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from penstock import snapshot
from penstock.errors import NotFound
from penstock.hookspecs import Event
from penstock.records import Caller, EndpointRecord, Page, PublishedRecord
from penstock.registry import GateOutcome, PublishOrder, PublishOutcome
from penstock.snapshot import Snapshot
from penstock.spec import Pipeline
from penstock.target import Problem
from penstock.workspace import freezing
from penstock.workspace.context import Group, verb
from penstock.workspace.gates import move_gate
from penstock.workspace.references import locate


@frozen(kw_only=True)
class Validation:
    """A spec that is valid and that the target can run. `warnings` are what the target does differently."""

    pipeline: Pipeline
    digest: str
    target: str
    warnings: tuple[Problem, ...]


@frozen(kw_only=True)
class Publishing:
    """What a publish did. `version` is the endpoint's version of this pipeline, when an endpoint was named."""

    published: PublishedRecord
    created: bool
    endpoint: EndpointRecord | None
    endpoint_created: bool
    version: str | None
    version_added: bool
    default_moved: bool
    warnings: tuple[Problem, ...]


class Pipelines(Group):
    """Verbs of published pipelines. A reference is an id, `name:label` or `name:label@target`."""

    @verb("pipeline.validate")
    def validate(self, caller: Caller, source: Path | str | Pipeline, *, target: str | None = None) -> Validation:
        """Check a spec and what travels with it against a target, writing nothing that stays.

        Raises SpecInvalid, TargetUnsupported.
        """
        import tempfile

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
        name: str | None = None,
        label: str | None = None,
        target: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        default: bool = False,
        expect: str | None = None,
    ) -> Publishing:
        """Freeze a spec under a name and a label on a target; with `endpoint`, put it behind one too.

        The whole publish is one transaction: either all of it happened or nothing. `folder` is where a
        pipeline built in Python has its code. Raises SpecInvalid, TargetUnsupported, Conflict.
        """
        place = self._context.places.open(target)
        read = freezing.read(source, folder)
        warnings = freezing.check(place, read)
        self._context.registry(create=True)
        taken = freezing.take(read, self._context.store)
        order = PublishOrder(
            name=name if name is not None else read.pipeline.name,
            label=label,
            digest=taken.digest,
            target=place.target.name,
            backend=place.target.backend,
            identity=place.identity,
            options=place.options,
            publication=None,
            spec=taken.canonical,
            archives=json.dumps(snapshot.archive_data(taken)),
            description=read.pipeline.description if description is None else description,
            tags=tags or {},
            endpoint=endpoint,
            default=default,
            expect=expect,
        )
        return self._publish(caller, order, taken, warnings)

    @verb("pipeline.publish_from")
    def publish_from(
        self,
        caller: Caller,
        ref: str,
        *,
        name: str | None = None,
        label: str | None = None,
        target: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        endpoint: str | None = None,
        default: bool = False,
        expect: str | None = None,
    ) -> Publishing:
        """Publish the very snapshot behind an endpoint, a version, a published pipeline or a run.

        So a version moves to another target, or a trial run becomes a published pipeline, with the same
        digest. Raises NotFound, TargetUnsupported, Conflict.
        """
        registry = self._context.registry()
        digest, original = self._digest_of(ref)
        spec, archives = registry.snapshot_data(digest)
        taken = snapshot.load(spec, json.loads(archives), self._context.store)
        snapshot.verify(taken)
        place = self._context.places.open(target)
        warnings = freezing.check(place, freezing.Source(pipeline=taken.pipeline, folder=Path.cwd()))
        order = PublishOrder(
            name=name if name is not None else original,
            label=label,
            digest=digest,
            target=place.target.name,
            backend=place.target.backend,
            identity=place.identity,
            options=place.options,
            publication=None,
            spec=spec,
            archives=archives,
            description=taken.pipeline.description if description is None else description,
            tags=tags or {},
            endpoint=endpoint,
            default=default,
            expect=expect,
        )
        return self._publish(caller, order, taken, warnings)

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
        with self._context.publications(alone=True):
            outcome = registry.delete_published(ref, caller)
            if outcome.retire is not None:
                self._context.dispatcher.retire(*outcome.retire)
        return outcome.published

    def _publish(
        self, caller: Caller, order: PublishOrder, taken: Snapshot, warnings: tuple[Problem, ...]
    ) -> Publishing:
        from attrs import evolve

        registry = self._context.registry()
        registry.plan_publish(order)
        place = self._context.places.open(order.target)
        with self._context.publications(alone=False):
            publication = freezing.deliver(place, taken)
            outcome = registry.publish(evolve(order, publication=publication), caller)
        self._tell(outcome)
        self._context.dispatcher.sync()
        return Publishing(
            published=outcome.published,
            created=outcome.created,
            endpoint=outcome.endpoint,
            endpoint_created=outcome.endpoint_created,
            version=outcome.version,
            version_added=outcome.version_added,
            default_moved=outcome.default_moved,
            warnings=warnings,
        )

    def _tell(self, outcome: PublishOutcome) -> None:
        published, endpoint = outcome.published, outcome.endpoint
        if outcome.created:
            data = {"label": published.label, "digest": published.digest, "target": published.target}
            event = Event(kind="pipeline", subject_id=published.id, subject=published.name, data=data)
            self._context.tell("penstock_pipeline_published", event)
        if endpoint is not None and outcome.default_moved:
            event = Event(
                kind="endpoint", subject_id=endpoint.id, subject=endpoint.name, data={"default": endpoint.default}
            )
            self._context.tell("penstock_default_moved", event)

    def _digest_of(self, ref: str) -> tuple[str, str]:
        """The digest and the pipeline's name behind a reference. Raises NotFound."""
        registry = self._context.registry()
        try:
            run = registry.get_run(ref)
        except NotFound:
            found = locate(registry, ref)
        else:
            return run.digest, run.pipeline
        if found.kind == "published":
            published = registry.get_published(found.id)
            return published.digest, published.name
        endpoint = registry.get_endpoint(found.id)
        wanted = endpoint.default if found.version is None else found.version
        for version in endpoint.versions:
            if version.version == wanted:
                return version.digest, version.pipeline
        raise NotFound(
            f"endpoint `{endpoint.name}` has no version {wanted}; it has {len(endpoint.versions)}, from 0",
            code="version_not_found",
        )
