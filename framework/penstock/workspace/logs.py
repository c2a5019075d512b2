"""Reading the logs of a run's steps, once or for as long as the run goes on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeAlias

from attrs import frozen

from penstock.errors import NotFound, TargetUnsupported, did_you_mean
from penstock.records import RunRecord
from penstock.workspace.services import Services


@frozen(kw_only=True)
class LogPart:
    """A piece of one step's log, as the bytes that the step wrote."""

    step: str
    data: bytes


LogParts: TypeAlias = Iterator[LogPart]


def read_logs(services: Services, run: RunRecord, step: str | None, follow: bool) -> LogParts:
    """The logs of one step or of all in the order of the graph. Raises NotFound, TargetUnsupported at once."""
    steps = [one.name for one in run.steps]
    if step is not None and run.steps and step not in steps:
        raise NotFound(f"run {run.id} has no step `{step}` ({did_you_mean(step, steps)})", code="step_not_found")
    if not services.targets.open(run.target).has("penstock_read_logs"):
        raise TargetUnsupported(f"target `{run.target}` keeps no logs that can be read from here")
    return _parts(services, run, step, follow)


def _parts(services: Services, run: RunRecord, step: str | None, follow: bool) -> LogParts:
    offsets: dict[str, int] = {}
    complete: set[str] = set()
    while True:
        found = services.follower.one(run)
        run = found.run
        wanted = [one.name for one in run.steps if step in (None, one.name) and one.name not in complete]
        quiet = True
        for name in wanted if run.external is not None else ():
            ref, placement = services.registry.runs.ref(run.id)
            target = services.targets.open_frozen(placement)
            while True:
                chunk = target.read_logs(ref, name, offsets.get(name, 0))
                offsets[name] = chunk.next_offset
                if chunk.data:
                    quiet = False
                    yield LogPart(step=name, data=chunk.data)
                if chunk.complete:
                    complete.add(name)
                if chunk.complete or not chunk.data:
                    break
        if not follow or (run.finished and quiet):
            return
        if found.hopeless and found.trouble is not None:
            raise found.trouble
        if quiet:
            time.sleep(0.1)
