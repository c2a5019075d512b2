"""What a step wrote: kept by its launcher beside the run's other files, one file for each attempt.

On Vertex a file in a bucket is there once it is closed, so there a log comes when the attempt has ended.
"""

from __future__ import annotations

from penstock.contract.run import ENDED, LogChunk, RunRef
from penstock.contract.target import Target
from penstock.errors import NotFound
from penstock_vertex import reading
from penstock_vertex.client import connect
from penstock_vertex.jobs import job_id
from penstock_vertex.names import task_name

_CHUNK = 1024 * 1024


def read(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """The next piece of a step's log, all attempts in sequence. Raises NotFound."""
    vertex = connect(target.options)
    job = vertex.find_job(job_id(run.id))
    if job is None:
        raise NotFound(f"this target does not know the run `{run.id}`", code="run_not_found")
    # What ended by now has written everything.
    states = {one.name: one.state for one in reading.run_report(job, {}, {}).steps}
    if step not in states:
        raise NotFound(f"the run `{run.id}` has no step `{step}` on this target", code="step_not_found")
    begin, left, data = 0, _CHUNK, b""
    for path, size in vertex.files(f"runs/{job_id(run.id)}/{task_name(step)}.log."):
        skipped = max(0, offset + len(data) - begin)
        if skipped < size and left:
            data += vertex.get(path, skipped, min(size, skipped + left)) or b""
            left = _CHUNK - len(data)
        begin += size
    end = offset + len(data)
    return LogChunk(data=data, next_offset=end, complete=states[step] in ENDED and end >= begin)
