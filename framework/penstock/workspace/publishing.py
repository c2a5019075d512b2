"""Publishing a snapshot: from a spec to a publication, the one way, whether it comes from a file or from a run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve, frozen

from penstock import codec, snapshot
from penstock.callers import Caller
from penstock.codec import Document
from penstock.contract.hooks import Event
from penstock.errors import NotFound, ParameterInvalid, Problem, RegistryError, TargetUnsupported
from penstock.records import EndpointRecord, FrozenSnapshot, PublishedRecord
from penstock.registry import PublishOutcome, PublishRequest
from penstock.registry.beside import own_files
from penstock.snapshot import Bundled, Snapshot
from penstock.snapshot.taking import is_bundled
from penstock.spec import Pipeline
from penstock.spec.problems import warnings as spec_warnings
from penstock.targets.facade import OpenTarget
from penstock.workspace.endpoints import default_moved
from penstock.workspace.parameters import location_of
from penstock.workspace.references import locate
from penstock.workspace.services import Services
from penstock.workspace.verbs import folder_of, placed

MOST_CODE = 100_000_000
"""Bytes of code that are published without asking: a data set or an environment got in more often than more code is."""


@frozen(kw_only=True)
class Source:
    """A pipeline and the folder that its relative paths start from; `document` when it was read from a file."""

    pipeline: Pipeline
    folder: Path
    document: Document | None = None


@frozen(kw_only=True)
class Publishing:
    """What a publish did. `version` is the endpoint's version of this pipeline, when an endpoint was named.

    `bundled` is what travels and what stays at home of each path in the spec; of a snapshot that was published before
    it is not known any more.
    """

    published: PublishedRecord
    created: bool
    endpoint: EndpointRecord | None
    endpoint_created: bool
    version: str | None
    version_added: bool
    default_moved: bool
    warnings: tuple[Problem, ...]
    bundled: tuple[Bundled, ...] = ()


def load(source: Path | str | Pipeline, caller: Caller, folder: Path | None = None) -> Source:
    """Read a spec file, or hold a pipeline built in Python to the same rules; `folder` is where that has its files.

    Raises SpecInvalid, and UsageError for a caller who may name no file.
    """
    if isinstance(source, Pipeline):
        if caller.folder is None and folder is None:
            return Source(pipeline=_without_files(codec.checked(source), caller), folder=Path("/nonexistent"))
        return Source(pipeline=codec.checked(source), folder=placed(caller, folder or Path()).resolve())
    named = Path(source)
    path = folder_of(caller, f"`{source}`") / named
    # The document is called what the caller calls it.
    document = codec.load_document(named if caller.folder == Path() else path)
    beside = path.resolve().parent
    pipeline = codec.pipeline_in(document, lambda found: snapshot.lacking(found, beside))
    return Source(pipeline=pipeline, folder=beside, document=document)


def _without_files(pipeline: Pipeline, caller: Caller) -> Pipeline:
    """The pipeline of a caller from another machine, when it needs nothing of this one. Raises UsageError."""
    codes = [pipeline.defaults.code, *(step.code for step in pipeline.steps.values())]
    data = [one.default for one in pipeline.parameters.values() if one.is_artifact and one.has_default]
    for path in [*codes, *filter(is_bundled, data)]:
        if path is not None:
            folder_of(caller, f"`{path}`")
    return pipeline


def take(services: Services, source: Source, store: Path | None, *, large_code: bool) -> Snapshot:
    """The snapshot of a pipeline, its archives in `store`, or nowhere. Raises what `snapshot.take` does.

    The registry stays at home wherever it lies: each publish changes it, and what is copied of it is torn.
    More than 100 MB of code are an error, `code_large`, unless somebody said that they are meant.
    """
    most = None if large_code else MOST_CODE
    stays = own_files(services.config.registry.value)
    return snapshot.take(source.pipeline, source.folder, store, document=source.document, most_code=most, stays=stays)


def validate(target: OpenTarget, caller: Caller, source: Source) -> tuple[Problem, ...]:
    """What is worth a warning in a pipeline, and on the target.

    Raises TargetUnsupported with all that the target cannot do, and ParameterInvalid for defaults that name content
    which a caller from another machine may not name.
    """
    document = source.document
    problems = [
        problem.at(document.position(problem.path)) if document and problem.path else problem
        for problem in (
            *spec_warnings(source.pipeline),
            *target.validate(source.pipeline),
            *_secret_problems(target, source.pipeline),
        )
    ]
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise TargetUnsupported.of(errors, f"target `{target.name}`")
    if caller.folder is None:
        _check_defaults(target, source.pipeline)
    return tuple(problems)


def kept_options(services: Services, target: OpenTarget, outcome: PublishOutcome) -> Iterator[Problem]:
    """What was published before and froze other options than the target has now: it keeps them."""
    if outcome.created:
        return
    try:
        before = json.loads(services.registry.pipelines.placement(outcome.published.id).options)
    except (NotFound, RegistryError):  # it is published, whatever became of that since
        return
    now = json.loads(target.placement.options)
    for key in sorted(key for key in {*before, *now} if before.get(key) != now.get(key)):
        message = (
            f"it was published before with `{key}: {before.get(key)}`, which stays; publish it under another label to "
            f"have `{now.get(key)}`"
        )
        yield Problem("option_frozen", message, severity="warning")


def _secret_problems(target: OpenTarget, pipeline: Pipeline) -> Iterator[Problem]:
    names = [name for name, parameter in pipeline.parameters.items() if parameter.sensitive]
    if names and not (target.has("penstock_keep_secrets") and target.keep_secrets()):
        for name in names:
            message = "this target keeps no secrets: others would see the value of the sensitive parameter"
            yield Problem("sensitive_unsupported", message, ("parameters", name, "sensitive"))


def _check_defaults(target: OpenTarget, pipeline: Pipeline) -> None:
    problems = []
    for name, parameter in pipeline.parameters.items():
        path = parameter.default if parameter.is_artifact and parameter.has_default else None
        if path is not None and not is_bundled(path):  # what is bundled came from whoever published it first
            answer = target.resolve_location(location_of(name, parameter, parameter.default, None))
            if isinstance(answer, Problem):
                problems.append(Problem(answer.code, answer.message, ("parameters", name, "default")))
    if problems:
        raise ParameterInvalid.of(problems, "defaults")


def frozen_snapshot(taken: Snapshot) -> FrozenSnapshot:
    """A snapshot as the registry keeps it."""
    archives = json.dumps(snapshot.archive_data(taken))
    return FrozenSnapshot(digest=taken.digest, spec=taken.canonical, archives=archives)


def load_snapshot(services: Services, digest: str) -> Snapshot:
    """The snapshot of a digest as it was kept, its archives checked. Raises NotFound, RegistryError when damaged."""
    kept = services.registry.pipelines.snapshot(digest)
    taken = snapshot.load(kept.spec, json.loads(kept.archives), services.store)
    snapshot.verify(taken)
    return taken


def publish(
    services: Services, caller: Caller, target: OpenTarget, taken: Snapshot, request: PublishRequest
) -> PublishOutcome:
    """Put a checked snapshot on a target and record it, all in one transaction.

    What the registry would refuse is refused before the target is called. Raises Conflict, GateClosed,
    TargetUnavailable, TargetRefused.
    """
    services.registry.pipelines.plan(request)
    with services.retiring_held_off(target.placement):
        publication = target.publish(taken, target.compile(taken))
        outcome = services.registry.pipelines.publish(evolve(request, publication=publication), caller)
    published, endpoint = outcome.published, outcome.endpoint
    if outcome.created:
        data = {"label": published.label, "digest": published.digest, "target": published.target}
        event = Event(kind="pipeline", subject_id=published.id, subject=published.name, at=published.created, data=data)
        services.tell("penstock_pipeline_published", event)
    if endpoint is not None and outcome.default_moved:
        services.tell("penstock_default_moved", default_moved(endpoint))
    services.give_time()
    return outcome


def snapshot_behind(services: Services, ref: str) -> tuple[Snapshot, str]:
    """The kept snapshot behind an endpoint, a version, a published pipeline or a run, and its pipeline's name.

    Raises NotFound, and RegistryError when what was kept is damaged.
    """
    registry = services.registry
    found = locate(registry, ref, runs=True)
    if found.kind == "run":
        run = registry.runs.get(found.id)
        return load_snapshot(services, run.digest), run.pipeline
    if found.kind == "published":
        published = registry.pipelines.get(found.id)
        return load_snapshot(services, published.digest), published.name
    endpoint = registry.endpoints.get(found.id)
    wanted = endpoint.default if found.version is None else found.version
    for version in endpoint.versions:
        if version.version == wanted:
            return load_snapshot(services, version.digest), version.pipeline
    raise NotFound(
        f"endpoint `{endpoint.name}` has no version {wanted}; it has {len(endpoint.versions)}, from 0",
        code="version_not_found",
    )
