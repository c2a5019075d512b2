"""A backend in this process, whose distance, moods and memory a test decides, by target or by run.

`calls` is what reached it, by target: `submit`, `sync` and so on; `looks` what was looked at, one run by its id, many
by their number. A run that it has and that no report is made for is running.
"""

import threading

from attrs import field, frozen

from penstock import hookimpl
from penstock.contract.run import Absent, LogChunk, RunOutputs, RunReport, Submission
from penstock.contract.target import Compiled, Health, Publication
from penstock.errors import TargetRefused, TargetUnavailable

RETRY = 60.0
"""Seconds after which a target that is away may be tried again."""

calls, looks = [], []
away, broken, refusing, losing = set(), set(), set(), set()
"""Targets that do not answer, fail by themselves, take no run, and lose the next answer to a submit."""

seconds = {}
"""How long a target takes for each answer, unless it may `go_on` at once."""

go_on = threading.Event()
jobs = {}
"""By run, what came with each submit: the attempt, and two options."""

reports, outputs = {}, {}
"""By run, or `*` for every run."""

overlooked = set()
"""Runs that are left out where many are asked about."""

endpoints = {}
retired = []


@frozen(kw_only=True)
class Options:
    """One option says which place it is, one is frozen by a publication, one is neither."""

    place: str = field(default="here", metadata={"identity": True})
    machine: str = field(default="small", metadata={"frozen": True})
    slots: int = 1


def reach(target, what):
    calls.append((target.name, what))
    if target.name in seconds:
        go_on.wait(seconds[target.name])
    if target.name in away:
        raise TargetUnavailable(f"{target.name} does not answer", retry_after=RETRY)
    if target.name in broken:
        raise ValueError("out of its mind\nsecond line")


@hookimpl
def penstock_target_options():
    return Options


@hookimpl
def penstock_validate_pipeline(target, pipeline):
    return []


@hookimpl
def penstock_compile_pipeline(target, snapshot):
    return Compiled(media_type="text/plain", data=snapshot.digest.encode())


@hookimpl
def penstock_publish_pipeline(target, snapshot, compiled):
    reach(target, "publish")
    return Publication(external=f"{target.name}-{snapshot.digest[-12:]}")


@hookimpl
def penstock_submit_run(target, run):
    reach(target, "submit")
    if target.name in refusing:
        raise TargetRefused(f"the quota of {target.name} is used up")
    jobs.setdefault(run.id, []).append((run.attempt, target.options.machine, target.options.slots))
    if target.name in losing:
        losing.discard(target.name)
        raise TargetUnavailable("the answer was lost", retry_after=RETRY)
    return Submission(external=f"job-{run.id[:6]}", details={"console": f"https://far/{run.id[:6]}"})


def report(run):
    if run.id not in jobs:
        return Absent()
    return reports.get(run.id, reports.get("*", RunReport(state="running")))


@hookimpl
def penstock_get_run(target, run):
    reach(target, "get")
    looks.append(run.id)
    return report(run)


@hookimpl
def penstock_list_runs(target, runs):
    reach(target, "list")
    looks.append(len(runs))
    return {run.id: report(run) for run in runs if run.id not in overlooked}


@hookimpl
def penstock_get_outputs(target, run):
    reach(target, "outputs")
    return RunOutputs(outputs=outputs.get(run.id, outputs.get("*", {})))


@hookimpl
def penstock_read_logs(target, run, step, offset):
    reach(target, "logs")
    return LogChunk(data=b"line"[offset:], next_offset=4, complete=False)


@hookimpl
def penstock_cancel_run(target, run):
    reach(target, "cancel")
    reports[run.id] = RunReport(state="canceled")
    return True


@hookimpl
def penstock_sync_endpoint(target, endpoint):
    reach(target, "sync")
    endpoints[endpoint.name] = (endpoint.default, endpoint.enabled, len(endpoint.versions))
    return True


@hookimpl
def penstock_retire_pipeline(target, publication):
    reach(target, "retire")
    retired.append((target.name, publication.external))
    return True


@hookimpl
def penstock_check_target(target):
    reach(target, "check")
    return Health(ok=True, lines=("well",))
