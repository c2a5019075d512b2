"""What the local backend answers: each hook in a few lines, its work done in the file it names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penstock.contract.hooks import hookimpl
from penstock_local.options import LocalOptions

if TYPE_CHECKING:
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
    from penstock_local.machine import problems

    return list(problems(pipeline, target.options))


@_hook
def penstock_compile_pipeline(target: Target, snapshot: Snapshot) -> Compiled:
    """The engine's plan as JSON."""
    from penstock_local.compile import compile_snapshot

    return compile_snapshot(snapshot, target.options)


@_hook
def penstock_publish_pipeline(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Plan and archives under the root."""
    from penstock_local import store

    return store.publish(target, snapshot, compiled)


@_hook
def penstock_resolve_location(target: Target, location: Location) -> str | Problem:
    """A path on this machine."""
    from penstock_local.locations import resolve

    return resolve(location, target.options.data_roots)


@_hook
def penstock_submit_run(target: Target, run: RunRequest) -> Submission:
    """Into the queue, durably, and the engine woken. A run that is there already is only looked after."""
    from penstock.contract.run import Submission
    from penstock.errors import TargetRefused
    from penstock_local import queue, store, wake
    from penstock_local.layout import Layout

    layout, options = Layout.of(target), target.options
    if run.id in ("", ".", "..") or "/" in run.id or "\0" in run.id:
        raise TargetRefused(f"the run id `{run.id}` cannot name a folder")
    layout.make()
    with queue.deciding(layout) as database:
        if not queue.knows(database, run.id):
            plan = store.read_plan(layout, run.publication.external)
            request = {
                "values": dict(run.parameters.texts),
                "artifacts": dict(run.parameters.artifacts),
                "bundled": dict(run.parameters.bundled),
                "environment": {name: os.environ[name] for name in plan["pass_env"] if name in os.environ},
                "settings": {"slots": options.slots, "grace": options.grace, "idle": options.idle},
            }
            queue.add_job(database, run.id, run.publication.external, request, (s["name"] for s in plan["steps"]))
    wake.wake(layout)
    return Submission(external=run.id)


@_hook
def penstock_get_run(target: Target, run: RunRef) -> RunReport | Absent:
    """What the queue says; an engine that died meanwhile is started again."""
    from penstock.contract.run import Absent
    from penstock_local import queue, reports, wake
    from penstock_local.layout import Layout

    layout = Layout.of(target)
    if not layout.has_queue():
        return Absent()
    with queue.opened(layout) as database:
        found = queue.job(database, run.id)
    if found is None:
        return Absent()
    if found[0]["ended"] is None:
        wake.heal(layout)
    return reports.run_report(*found)


@_hook
def penstock_list_runs(target: Target, runs: Sequence[RunRef]) -> RunReports:
    """What the queue says of each, as of one moment."""
    from penstock.contract.run import Absent
    from penstock_local import queue, reports, wake
    from penstock_local.layout import Layout

    layout = Layout.of(target)
    if not layout.has_queue():
        return {run.id: Absent() for run in runs}
    with queue.opened(layout) as database:
        found = queue.jobs(database, [run.id for run in runs])
    if any(job is not None and job[0]["ended"] is None for job in found.values()):
        wake.heal(layout)
    return {run: Absent() if job is None else reports.run_report(*job) for run, job in found.items()}


@_hook
def penstock_get_outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs as the engine noted them at the end."""
    from penstock_local import queue, reports
    from penstock_local.layout import Layout

    with queue.opened_if_there(Layout.of(target)) as database:
        return reports.run_outputs(queue.job(database, run.id) if database else None, run.id)


@_hook
def penstock_read_logs(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """A step's output so far: stdout and stderr in the order they were written, all attempts in sequence."""
    from penstock_local import queue, reports
    from penstock_local.layout import Layout

    layout = Layout.of(target)
    with queue.opened_if_there(layout) as database:
        row = queue.step(database, run.id, step) if database else None
    return reports.log_chunk(layout, run.id, step, row, offset)


@_hook
def penstock_cancel_run(target: Target, run: RunRef) -> bool:
    """Noted durably, and the engine woken to act on it."""
    from penstock_local import queue, wake
    from penstock_local.layout import Layout

    layout = Layout.of(target)
    if not layout.has_queue():
        return False
    with queue.deciding(layout) as database:
        taken = queue.ask_cancel(database, run.id)
    if taken:
        wake.wake(layout)
    return taken


@_hook
def penstock_sync_endpoint(target: Target, endpoint: EndpointState) -> bool:
    """A document per endpoint under the root, for people and tools that look there."""
    from penstock_local import store
    from penstock_local.layout import Layout

    store.write_endpoint(Layout.of(target), endpoint)
    return True


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
