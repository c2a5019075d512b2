"""The hooks of the local backend: each in a few lines, its work done in the file it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penstock.contract.hooks import hookimpl
from penstock_local.options import LocalOptions

if TYPE_CHECKING:
    import sqlite3

    from penstock.contract.artifacts import ArtifactPlace, Destination
    from penstock.contract.run import (
        Absent,
        LogChunk,
        RunOutputs,
        RunRef,
        RunReport,
        RunReports,
        RunRequest,
        Submission,
    )
    from penstock.contract.target import Compiled, EndpointState, Health, Location, Problem, Publication, Target
    from penstock.snapshot import Snapshot
    from penstock.spec import Pipeline

F = TypeVar("F", bound=Any)


def _hook(function: F) -> F:
    return cast(F, hookimpl(function))


@_hook
def penstock_target_options() -> type[Any]:
    """See `options`."""
    return LocalOptions


@_hook
def penstock_validate_pipeline(target: Target, pipeline: Pipeline) -> Sequence[Problem]:
    """What this machine does differently: images, devices, resources beyond it, content from elsewhere."""
    from penstock_local import ownership
    from penstock_local.machine import problems

    return list(problems(pipeline, target.options, runs_here=not ownership.would_be_guest(target)))


@_hook
def penstock_compile_pipeline(target: Target, snapshot: Snapshot) -> Compiled:
    """The engine's plan as JSON. No option is in it."""
    from penstock_local.compile import compile_snapshot

    return compile_snapshot(snapshot)


@_hook
def penstock_publish_pipeline(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Plan and archives under the root."""
    from penstock_local import store

    return store.publish(target, snapshot, compiled)


@_hook
def penstock_resolve_location(target: Target, location: Location) -> str | Problem:
    """A path on this machine."""
    from penstock_local.locations import resolve

    return resolve(location, target.options.data_roots, target.name)


@_hook
def penstock_submit_run(target: Target, run: RunRequest) -> Submission:
    """Into the queue, durably, and the engine woken. A run that is there already is only looked after."""
    from penstock.contract.run import Submission
    from penstock_local import runs

    return Submission(external=run.id, details=runs.submit(target, run))


@_hook
def penstock_get_run(target: Target, run: RunRef) -> RunReport | Absent:
    """What the queue says; an engine that died meanwhile is started again."""
    from penstock_local.runs import look

    return look(target, [run.id])[run.id]


@_hook
def penstock_list_runs(target: Target, runs: Sequence[RunRef]) -> RunReports:
    """What the queue says of each, as of one moment."""
    from penstock_local.runs import look

    return look(target, [run.id for run in runs])


@_hook
def penstock_get_outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs as the engine noted them at the end."""
    from penstock_local import database, queue, reports
    from penstock_local.layout import Layout

    layout = Layout.of(target)
    with database.opened_if_there(layout) as connection:
        job = queue.job(connection, run.id) if connection else None
    return reports.run_outputs(layout, job, run.id)


@_hook
def penstock_fetch_artifact(target: Target, run: RunRef, name: str, destination: Destination) -> bool:
    """What lies in the run's folder, links within it too."""
    from penstock_local.downloads import fetch

    fetch(target, run, name, destination)
    return True


@_hook
def penstock_locate_artifact(target: Target, run: RunRef, reported: str) -> ArtifactPlace:
    """In the run's folder of this root, wherever that lay when it was reported."""
    from penstock_local.layout import Layout
    from penstock_local.made import place_of

    return place_of(Layout.of(target), run.id, reported)


@_hook
def penstock_read_logs(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """A step's output so far: stdout and stderr in the order they were written, all attempts in sequence."""
    from penstock_local import database, queue, reports
    from penstock_local.layout import Layout

    layout = Layout.of(target)

    def look() -> sqlite3.Row | None:
        with database.opened_if_there(layout) as connection:
            if connection is None or not queue.knows(connection, run.id):
                raise reports.unknown(layout, run.id)
            return queue.step(connection, run.id, step)

    return reports.log_chunk(layout, run.id, step, look, offset)


@_hook
def penstock_cancel_run(target: Target, run: RunRef) -> bool:
    """Noted durably, and the engine woken to act on it."""
    from penstock_local.runs import cancel

    return cancel(target, run.id)


@_hook
def penstock_clear_run(target: Target, run: RunRef) -> int:
    """The run's folder, unless it has not ended."""
    from penstock_local.runs import clear

    return clear(target, run.id)


@_hook
def penstock_keep_secrets(target: Target) -> bool:
    """Only this user reads the files under the root, and a step's environment."""
    return True


@_hook
def penstock_sync_endpoint(target: Target, endpoint: EndpointState) -> bool:
    """A document per endpoint under the root, for people and tools that look there."""
    from penstock_local import store
    from penstock_local.layout import Layout

    store.write_endpoint(Layout.of(target), endpoint)
    return True


@_hook
def penstock_check_publication(target: Target, publication: Publication) -> Sequence[str]:
    """Plan and archives, held against their digests."""
    from penstock_local import store

    return store.damage(target, publication)


@_hook
def penstock_retire_pipeline(target: Target, publication: Publication) -> bool:
    """Plan and archives go when no other target under the same root and no other plan needs them."""
    from penstock_local import store

    return store.retire(target, publication)


@_hook
def penstock_check_target(target: Target) -> Health:
    """The root, its space, the engine and what is waiting."""
    from penstock_local.layout import Layout
    from penstock_local.machine import health

    return health(Layout.of(target), target.options)
