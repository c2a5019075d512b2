"""Runs at the hooks of a target, with no core between: what a backend itself says, look by look."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from penstock import snapshot
from penstock.contract.run import ENDED, Absent, BoundParameters, RunRef, RunReport, RunRequest
from penstock.contract.target import Publication
from penstock.errors import PenstockError
from penstock.snapshot import Snapshot
from penstock.spec import Pipeline, Value
from penstock.testing.harness import Harness
from penstock.testing.laws import LawBroken, Untested
from penstock.testing.probes.pipelines import written

_PAUSE = 0.005
"""Seconds between looks."""


@frozen(kw_only=True)
class Put:
    """A snapshot on a target, and what the target calls it."""

    snapshot: Snapshot
    publication: Publication


def taken(harness: Harness, pipeline: Pipeline, folder: Path | None = None) -> Snapshot:
    """The snapshot of a pipeline of the kit's, its archives in the subject's own store."""
    store = harness.subject.config.home / "archives"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    return snapshot.take(pipeline, folder or harness.spec_folder, store)


def put(harness: Harness, pipeline: Pipeline) -> Put:
    """Publish a pipeline of the kit's by the target's hooks. Raises Untested when the target refuses it."""
    hooks = harness.hooks
    errors = [problem for problem in hooks.validate(pipeline) if problem.severity == "error"]
    if errors:
        raise Untested(f"the target does not take the pipeline `{pipeline.name}`: {errors[0].message}")
    made = taken(harness, pipeline)
    return Put(snapshot=made, publication=hooks.publish(made, hooks.compile(made)))


def request(made: Put, **values: Value) -> RunRequest:
    """A new run of what was put: every parameter as text, those that are not given by their defaults."""
    declared = made.snapshot.pipeline.parameters
    chosen = {name: values.get(name, parameter.default) for name, parameter in declared.items()}
    texts = {name: written(value) for name, value in chosen.items() if value is not None}
    return RunRequest(
        id=str(uuid.uuid4()),
        publication=made.publication,
        pipeline=made.snapshot.pipeline.name,
        experiment="conformance",
        parameters=BoundParameters(typed=chosen, texts=texts),
    )


def start(harness: Harness, made: Put, **values: Value) -> RunRef:
    """Submit a new run of what was put."""
    return handed_over(harness, request(made, **values))


def handed_over(harness: Harness, run: RunRequest) -> RunRef:
    """Submit a run, which may be there already."""
    receipt = harness.hooks.submit(run)
    return RunRef(id=run.id, publication=run.publication, external=receipt.external)


def look(harness: Harness, run: RunRef, law: int = 9) -> RunReport:
    """The run as the target sees it now. One that it does not know breaks the law."""
    report: RunReport | Absent = harness.hooks.get_run(run)
    if isinstance(report, Absent):
        raise LawBroken(law, f"the target does not know run {run.id}, which it took")
    return report


def until(
    harness: Harness, run: RunRef, enough: Callable[[RunReport], bool], *, law: int = 9, what: str = "end"
) -> list[RunReport]:
    """Every look at a run up to the first that is `enough`. One that never is breaks the law: `what` does not come."""
    deadline = time.monotonic() + harness.profile.patience
    looks = [look(harness, run, law)]
    while not enough(looks[-1]):
        if time.monotonic() > deadline:
            raise LawBroken(law, f"run {run.id} is `{looks[-1].state}` and its {what} does not come")
        time.sleep(_PAUSE)
        looks.append(look(harness, run, law))
    return looks


def is_over(report: RunReport) -> bool:
    """Whether the run has ended."""
    return report.state in ENDED


@contextmanager
def slow_run(harness: Harness, made: Put, **values: Value) -> Iterator[RunRef]:
    """A run that is ended when the check is done with it, however it is done. What went wrong before stays that."""
    run = start(harness, made, **values)
    try:
        yield run
    except BaseException:
        if harness.has("penstock_cancel_run"):
            with contextlib.suppress(PenstockError):
                harness.hooks.cancel(run)
        raise
    if harness.has("penstock_cancel_run") and not is_over(look(harness, run)):
        harness.hooks.cancel(run)
        until(harness, run, is_over)
