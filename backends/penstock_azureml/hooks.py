"""The hooks of the Azure ML backend: each in a few lines, its work done in the file it names.

Nothing of Microsoft's is imported before a hook needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penstock.contract.hooks import hookimpl
from penstock_azureml.options import AzuremlOptions

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
    from penstock.contract.target import (
        Compiled,
        EndpointState,
        Health,
        Location,
        NativeTrigger,
        Problem,
        Publication,
        Target,
    )
    from penstock.snapshot import Snapshot
    from penstock.spec import Pipeline

F = TypeVar("F", bound=Any)


def _hook(function: F) -> F:
    return cast(F, hookimpl(function))


@_hook
def penstock_target_options() -> type[Any]:
    """See `options`."""
    return AzuremlOptions


@_hook
def penstock_validate_pipeline(target: Target, pipeline: Pipeline) -> Sequence[Problem]:
    """What Azure ML cannot do, and what it does differently."""
    from penstock_azureml.validate import problems

    return list(problems(target.options, pipeline))


@_hook
def penstock_compile_pipeline(target: Target, snapshot: Snapshot) -> Compiled:
    """Components, and the code and environments that they need."""
    from penstock.contract.target import Compiled
    from penstock_azureml.compile import MEDIA_TYPE, compile_pipeline

    return Compiled(media_type=MEDIA_TYPE, data=compile_pipeline(target.options, snapshot))


@_hook
def penstock_publish_pipeline(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """What is compiled, into the workspace."""
    from penstock_azureml.publishing import publish

    return publish(target, snapshot, compiled)


@_hook
def penstock_resolve_location(target: Target, location: Location) -> str | Problem:
    """A URI that Azure ML reads."""
    from penstock_azureml.locations import resolve_location

    return resolve_location(location)


@_hook
def penstock_submit_run(target: Target, run: RunRequest) -> Submission:
    """A pipeline job, whose name is the run's id."""
    from penstock_azureml.jobs import submit

    return submit(target, run)


@_hook
def penstock_get_run(target: Target, run: RunRef) -> RunReport | Absent:
    """What Azure says of the job and its nodes."""
    from penstock_azureml.jobs import look

    return look(target, run)


@_hook
def penstock_get_outputs(target: Target, run: RunRef) -> RunOutputs:
    """The pipeline's outputs, from what its nodes made."""
    from penstock_azureml.jobs import outputs

    return outputs(target, run)


@_hook
def penstock_fetch_artifact(target: Target, run: RunRef, name: str, destination: Destination) -> bool:
    """Blobs of a datastore."""
    from penstock_azureml.downloads import fetch

    fetch(target, run, name, destination)
    return True


@_hook
def penstock_read_logs(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """What Azure keeps of a step's output."""
    from penstock_azureml.logs import read

    return read(target, run, step, offset)


@_hook
def penstock_cancel_run(target: Target, run: RunRef) -> bool:
    """Ask the job to end."""
    from penstock_azureml.jobs import cancel

    return cancel(target, run.id)


@_hook
def penstock_sync_endpoint(target: Target, endpoint: EndpointState) -> NativeTrigger | bool:
    """A batch endpoint, with a deployment for each open version."""
    from penstock_azureml.endpoints import sync

    return sync(target, endpoint)


@_hook
def penstock_retire_pipeline(target: Target, publication: Publication) -> bool:
    """Its component, archived."""
    from penstock_azureml.components import retire

    return retire(target, publication)


@_hook
def penstock_check_target(target: Target) -> Health:
    """Credentials, workspace, compute, datastore, permissions."""
    from penstock_azureml.checking import check

    return check(target)
