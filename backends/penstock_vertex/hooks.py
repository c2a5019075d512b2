"""The hooks of the Vertex backend: each in a few lines, its work done in the file it names.

Nothing of Google's is imported before a hook needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penstock.contract.hooks import hookimpl
from penstock_vertex.options import VertexOptions

if TYPE_CHECKING:
    from penstock.contract.artifacts import Destination
    from penstock.contract.run import (
        Absent,
        LogChunk,
        RunOutputs,
        RunRef,
        RunReport,
        RunRequest,
        Submission,
    )
    from penstock.contract.target import Compiled, Health, Location, Problem, Publication, Target
    from penstock.snapshot import Snapshot
    from penstock.spec import Pipeline

F = TypeVar("F", bound=Any)


def _hook(function: F) -> F:
    return cast(F, hookimpl(function))


@_hook
def penstock_target_options() -> type[Any]:
    """See `options`."""
    return VertexOptions


@_hook
def penstock_validate_pipeline(target: Target, pipeline: Pipeline) -> Sequence[Problem]:
    """What Vertex cannot do, and what it does differently."""
    from penstock_vertex.validate import problems

    return list(problems(target.options, pipeline))


@_hook
def penstock_compile_pipeline(target: Target, snapshot: Snapshot) -> Compiled:
    """KFP IR, with the launcher in it."""
    from penstock.contract.target import Compiled
    from penstock_vertex.compile import MEDIA_TYPE, compile_pipeline

    return Compiled(media_type=MEDIA_TYPE, data=compile_pipeline(target.options, snapshot))


@_hook
def penstock_publish_pipeline(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Document and archives into the staging bucket, and into the repository if there is one."""
    from penstock_vertex.publishing import publish

    return publish(target, snapshot, compiled)


@_hook
def penstock_resolve_location(target: Target, location: Location) -> str | Problem:
    """A URI of Cloud Storage."""
    from penstock_vertex.locations import resolve_location

    return resolve_location(location)


@_hook
def penstock_submit_run(target: Target, run: RunRequest) -> Submission:
    """A pipeline job, whose id is made from the run's."""
    from penstock_vertex.jobs import submit

    return submit(target, run)


@_hook
def penstock_get_run(target: Target, run: RunRef) -> RunReport | Absent:
    """What Google says of the job."""
    from penstock_vertex.jobs import look

    return look(target, [run])[run.id]


@_hook
def penstock_get_outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs, from the details of the job."""
    from penstock_vertex.jobs import outputs

    return outputs(target, run)


@_hook
def penstock_fetch_artifact(target: Target, run: RunRef, name: str, destination: Destination) -> bool:
    """Objects of the staging bucket."""
    from penstock_vertex.downloads import fetch

    fetch(target, run, name, destination)
    return True


@_hook
def penstock_read_logs(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """What Cloud Logging has of a step's output."""
    from penstock_vertex.logs import read

    return read(target, run, step, offset)


@_hook
def penstock_cancel_run(target: Target, run: RunRef) -> bool:
    """Ask the job to end."""
    from penstock_vertex.jobs import cancel

    return cancel(target, run.id)


@_hook
def penstock_check_target(target: Target) -> Health:
    """Credentials, project, bucket, repository."""
    from penstock_vertex.checking import check

    return check(target)
