"""What a step wrote: the file `user_logs/std_log.txt` that Azure keeps of its node, all attempts in sequence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from penstock.contract.run import ENDED, LogChunk, RunRef
from penstock.contract.target import Target
from penstock_azureml import history, reading
from penstock_azureml.client import connect
from penstock_azureml.jobs import child_of
from penstock_azureml.names import node_name

_MOST = 1024 * 1024
"""Bytes of one piece."""
_PATIENCE = timedelta(minutes=1)
"""How long after a step's end its log may come; a container that never began has none."""


def read(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """The next piece of a step's log. Raises NotFound."""
    azure = connect(target.options)
    job, child = child_of(azure, run, node_name(step))
    now = datetime.now(UTC)
    if child is None:  # where all steps ran, run history may just not have it yet
        state = reading.state_of(job)
        over = state in ("failed", "canceled") or (state == "succeeded" and not reading.lately(job, now, _PATIENCE))
        return LogChunk(data=b"", next_offset=offset, complete=over)
    # Its state is read before its log: what had ended then writes nothing more.
    about = history.of_run(azure, str(child["runId"]), "/details", "the log cannot be found").json()
    ended = reading.step_state(about) in ENDED
    told = about.get("logFiles")
    files = told if isinstance(told, dict) else {}
    url = files.get("user_logs/std_log.txt") or next(
        (files[name] for name in sorted(files) if name.startswith("user_logs/std_log")), None
    )
    data, there = b"", False
    if url is not None:
        # A range of any blob; the version is that of the account's SAS, where storage would take the oldest else.
        headers = {"Range": f"bytes={offset}-{offset + _MOST - 1}", "x-ms-version": "2021-08-06"}
        answer = azure.call("GET", url, "the log cannot be read", allow=(404, 416), headers=headers, audience=None)
        there = answer.status != 404
        if answer.status == 206:
            data = answer.body[:_MOST]
        elif answer.status == 200:  # all of it, from the beginning
            data = answer.body[offset : offset + _MOST]
    over = ended and (there or not reading.lately(about, now, _PATIENCE))
    return LogChunk(data=data, next_offset=offset + len(data), complete=over and len(data) < _MOST)
