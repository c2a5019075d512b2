"""A backend in this process, whose distance, moods and memory a test decides."""

import time

from attrs import field, frozen

from penstock import hookimpl
from penstock.contract.run import Absent, LogChunk, RunOutputs, RunReport, Submission
from penstock.contract.target import Compiled, Publication
from penstock.errors import TargetUnavailable

calls = []
away = set()
broken = set()
seconds = {}
jobs = {}
reports = {}
outputs = {}
retired = []
published = []
synced = []


@frozen(kw_only=True)
class Options:
    place: str = field(default="here", metadata={"identity": True})
    python: str = field(default="python", metadata={"frozen": True})
    color: str = "blue"


def reach(target, what):
    calls.append((target.name, what))
    time.sleep(seconds.get(target.name, 0.0))
    if target.name in away:
        raise TargetUnavailable(f"{target.name} does not answer", retry_after=RETRY)
    if target.name in broken:
        raise ValueError("out of its mind")


RETRY = 1.0


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
    published.append((target.name, snapshot.digest))
    return Publication(external=snapshot.digest[-12:])


@hookimpl
def penstock_submit_run(target, run):
    reach(target, "submit")
    jobs.setdefault(run.id, []).append((run.attempt, target.options.python, target.options.color))
    return Submission(external=f"job-{run.id[:6]}", details={"console": f"https://far/{run.id[:6]}"})


def report(run):
    known = reports.get(run.id, reports.get("*"))
    return known if known is not None else RunReport(state="running") if run.id in jobs else Absent()


@hookimpl
def penstock_get_run(target, run):
    reach(target, "get")
    return report(run)


@hookimpl
def penstock_list_runs(target, runs):
    reach(target, "list")
    return {run.id: report(run) for run in runs}


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
    synced.append((target.name, endpoint.revision))
    return True


@hookimpl
def penstock_retire_pipeline(target, publication):
    reach(target, "retire")
    retired.append((target.name, publication.external))
    return True
