"""What a step wrote, where it can be read: an emulator serves it, and Google keeps it in Cloud Logging."""

from __future__ import annotations

from penstock.contract.run import LogChunk, RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound, TargetUnsupported
from penstock_vertex.client import connect
from penstock_vertex.jobs import job_id
from penstock_vertex.names import task_name


def read(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """The next piece of a step's log, all attempts in sequence. Raises NotFound, TargetUnsupported."""
    if target.options.log_endpoint is None:
        raise TargetUnsupported(
            f"logs of target `{target.name}` are not read here yet: the console of the run shows them, and so does "
            f'Cloud Logging with `resource.type="aiplatform.googleapis.com/PipelineJob" "{job_id(run.id)}"`'
        )
    chunk = connect(target.options).log(job_id(run.id), task_name(step), offset)
    if chunk is None:
        raise NotFound(f"the run `{run.id}` has no step `{step}` on this target", code="step_not_found")
    return chunk
