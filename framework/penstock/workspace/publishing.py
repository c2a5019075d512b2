"""Publishing a snapshot: the one way, whether it comes from a spec or from something that already ran."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TypedDict

from attrs import asdict, evolve, frozen

from penstock import snapshot
from penstock.contract.hooks import Event
from penstock.contract.target import Problem
from penstock.errors import NotFound
from penstock.records import Caller, EndpointRecord, PublishedRecord
from penstock.registry import PublishOutcome, PublishRequest
from penstock.snapshot import Snapshot
from penstock.targets.opened import Place
from penstock.workspace import freezing
from penstock.workspace.context import Context
from penstock.workspace.references import locate


class Asked(TypedDict, total=False):
    """What a caller may say of a publish.

    `name` is the pipeline's own unless given, `label` the one that law 1 gives, `description` the spec's.
    `endpoint` puts it behind an endpoint, made when it is not there; `default` moves that one's default, if it
    is `expect` when that is said.
    """

    name: str | None
    label: str | None
    description: str | None
    tags: Mapping[str, str] | None
    endpoint: str | None
    default: bool
    expect: str | None


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


def publish(
    context: Context,
    caller: Caller,
    place: Place,
    taken: Snapshot,
    warnings: tuple[Problem, ...],
    name: str,
    asked: Asked,
) -> Publishing:
    """Put a checked snapshot on a target and record it, all in one transaction. `name` is the pipeline's own.

    What the registry would refuse is refused before the target is called. Raises Conflict, GateClosed,
    TargetUnavailable, TargetRefused.
    """
    description = asked.get("description")
    chosen = asked.get("name")
    order = PublishRequest(
        name=name if chosen is None else chosen,
        label=asked.get("label"),
        digest=taken.digest,
        target=place.target.name,
        backend=place.target.backend,
        identity=place.identity,
        options=place.options,
        publication=None,
        spec=taken.canonical,
        archives=json.dumps(snapshot.archive_data(taken)),
        description=taken.pipeline.description if description is None else description,
        tags=asked.get("tags") or {},
        endpoint=asked.get("endpoint"),
        default=asked.get("default", False),
        expect=asked.get("expect"),
    )
    registry = context.registry()
    registry.plan_publish(order)
    with context.publications(alone=False):
        publication = freezing.deliver(place, taken)
        outcome = registry.publish(evolve(order, publication=publication), caller)
    _tell(context, outcome)
    context.dispatcher.sync()
    return Publishing(**asdict(outcome, recurse=False), warnings=warnings)


def snapshot_behind(context: Context, ref: str) -> tuple[Snapshot, str]:
    """The kept snapshot behind an endpoint, a version, a published pipeline or a run, and its pipeline's name.

    Raises NotFound, and RegistryError when what was kept is damaged.
    """
    digest, name = _digest_behind(context, ref)
    return load_snapshot(context, digest), name


def load_snapshot(context: Context, digest: str) -> Snapshot:
    """The snapshot of a digest as it was kept, its archives checked."""
    spec, archives = context.registry().snapshot_data(digest)
    taken = snapshot.load(spec, json.loads(archives), context.store)
    snapshot.verify(taken)
    return taken


def _digest_behind(context: Context, ref: str) -> tuple[str, str]:
    registry = context.registry()
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


def _tell(context: Context, outcome: PublishOutcome) -> None:
    published, endpoint = outcome.published, outcome.endpoint
    if outcome.created:
        data = {"label": published.label, "digest": published.digest, "target": published.target}
        event = Event(kind="pipeline", subject_id=published.id, subject=published.name, data=data)
        context.tell("penstock_pipeline_published", event)
    if endpoint is not None and outcome.default_moved:
        event = Event(
            kind="endpoint", subject_id=endpoint.id, subject=endpoint.name, data={"default": endpoint.default}
        )
        context.tell("penstock_default_moved", event)
