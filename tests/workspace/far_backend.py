"""A far place: its jobs live in this module; `MOODS` says how each of its targets behaves.

`CALLS` is what it was asked and `WHERE` on which targets. A slow target answers once it may `GO_ON`.
"""

from __future__ import annotations

import threading

from attrs import field, frozen

import penstock
from penstock.contract.run import Absent, Failure, RunOutputs, RunReport, StepReport, Submission
from penstock.contract.target import Compiled, Publication
from penstock.errors import TargetRefused, TargetUnavailable

JOBS: dict[str, str] = {}
CALLS: list[str] = []
ENDPOINTS: dict[str, tuple] = {}
RETIRED: list[str] = []
OPTIONS: dict[str, tuple] = {}
OVERLOOKED: set[str] = set()
MOODS: dict[str, str] = {}
WHERE: list[str] = []
GO_ON = threading.Event()


@frozen
class FarOptions:
    """One option says which place it is, one is frozen by a publication, one is neither."""

    project: str = field(default="none", metadata={"identity": True})
    machine: str = field(default="small", metadata={"frozen": True})
    slots: int = 1


def _meet(target, call: str) -> str:
    """Note a call, and behave as the target's mood is."""
    CALLS.append(call)
    WHERE.append(target.name)
    mood = MOODS.get(target.name, "well")
    if mood == "away":
        raise TargetUnavailable("the far place is away", retry_after=0.05)
    if mood == "slow":
        GO_ON.wait(60)
    if mood == "bug":
        raise RuntimeError("internal trouble\nsecond line")
    return mood


@penstock.hookimpl
def penstock_target_options():
    return FarOptions


@penstock.hookimpl
def penstock_validate_pipeline(pipeline):
    return []


@penstock.hookimpl
def penstock_compile_pipeline(snapshot):
    return Compiled(media_type="application/json", data=snapshot.canonical.encode())


@penstock.hookimpl
def penstock_publish_pipeline(target, snapshot):
    _meet(target, "publish")
    return Publication(external="far-" + snapshot.digest[-12:])


@penstock.hookimpl
def penstock_submit_run(target, run):
    mood = _meet(target, f"submit {run.id} {run.attempt}")
    if mood == "no":
        raise TargetRefused("quota of acme is used up")
    JOBS.setdefault(run.id, "running")
    OPTIONS[run.id] = (target.options.machine, target.options.slots)
    if mood == "lost":
        MOODS[target.name] = "well"
        raise TargetUnavailable("the answer was lost", retry_after=0.01)
    return Submission(external="job-" + run.id, details={"console": "https://far/" + run.id})


def _report(target, run):
    state = JOBS.get(run.id)
    if state is None:
        return Absent()
    steps = (StepReport(name="write", state=state),)
    if MOODS.get(target.name) == "odd":
        steps = (
            StepReport(name="write", state=state, outputs={"text": "far", "more": "1", "count": "x"}),
            StepReport(name="stranger", state=state),
        )
    failure = Failure(code="step_failed", message="exit 1") if state == "failed" else None
    return RunReport(state=state, steps=steps, error=failure)


@penstock.hookimpl
def penstock_get_run(target, run):
    _meet(target, f"get {run.id}")
    return _report(target, run)


@penstock.hookimpl
def penstock_list_runs(target, runs):
    _meet(target, f"list {len(runs)}")
    return {run.id: _report(target, run) for run in runs if run.id not in OVERLOOKED}


@penstock.hookimpl
def penstock_get_outputs(target, run):
    odd = {"none": "1", "count": "x"} if MOODS.get(target.name) == "odd" else {}
    return RunOutputs(outputs={"text": "far", **odd})


@penstock.hookimpl
def penstock_cancel_run(target, run):
    _meet(target, f"cancel {run.id}")
    JOBS[run.id] = "canceled"
    return True


@penstock.hookimpl
def penstock_sync_endpoint(target, endpoint):
    _meet(target, f"sync {endpoint.name}")
    ENDPOINTS[endpoint.name] = (endpoint.default, endpoint.enabled, len(endpoint.versions))
    return True


@penstock.hookimpl
def penstock_retire_pipeline(target, publication):
    _meet(target, f"retire {publication.external}")
    RETIRED.append(publication.external)
    return True
