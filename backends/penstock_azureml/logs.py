"""What a step wrote: the file `user_logs/std_log.txt` that Azure keeps of its node, all attempts in sequence."""

from __future__ import annotations

from penstock.contract.run import LogChunk, RunRef
from penstock.contract.target import Target
from penstock_azureml import history, reading
from penstock_azureml.client import connect
from penstock_azureml.jobs import child_of
from penstock_azureml.names import node_name

_MOST = 1024 * 1024
"""Bytes of one piece."""


def read(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """The next piece of a step's log. Raises NotFound."""
    azure = connect(target.options)
    job, child = child_of(azure, run, node_name(step))
    if child is None:
        over = reading.state_of(job) not in ("queued", "running")
        return LogChunk(data=b"", next_offset=offset, complete=over)
    # Its state is read before its log: what had ended then writes nothing more.
    about = history.of_run(azure, str(child["runId"]), "/details", "the log cannot be found").json()
    ended = reading.step_state(about) in ("succeeded", "failed", "canceled")
    files = about.get("logFiles") or {}
    url = files.get("user_logs/std_log.txt") or next(
        (files[name] for name in sorted(files) if name.startswith("user_logs/std_log")), None
    )
    data = b""
    if url is not None:
        headers = {"Range": f"bytes={offset}-{offset + _MOST - 1}", "x-ms-version": "2021-08-06"}
        answer = azure.call("GET", url, "the log cannot be read", allow=(404, 416), headers=headers, audience=None)
        if answer.status == 206:
            data = answer.body
        elif answer.status == 200:  # all of it, from the beginning
            data = answer.body[offset : offset + _MOST]
    return LogChunk(data=data, next_offset=offset + len(data), complete=ended and len(data) < _MOST)
