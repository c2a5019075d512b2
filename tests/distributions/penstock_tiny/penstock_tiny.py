"""A backend that does no work: every run it is handed has succeeded, and a file remembers that it was handed."""

from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

from penstock.hookspecs import hookimpl
from penstock.runs import Absent, RunOutputs, RunRef, RunReport, RunRequest, StepReport, Submission
from penstock.snapshot import Snapshot
from penstock.spec import Pipeline
from penstock.target import Compiled, Problem, Publication, Target


@frozen(kw_only=True)
class TinyOptions:
    """What a tiny target can be told: `folder` is where it remembers its runs."""

    folder: Path = field(default=Path("tiny"), metadata={"identity": True})


@hookimpl
def penstock_target_options() -> type[TinyOptions]:
    return TinyOptions


@hookimpl
def penstock_validate_pipeline(target: Target, pipeline: Pipeline) -> Sequence[Problem]:
    return []


@hookimpl
def penstock_compile_pipeline(target: Target, snapshot: Snapshot) -> Compiled:
    return Compiled(media_type="text/plain", data="\n".join(snapshot.pipeline.steps).encode())


@hookimpl
def penstock_publish_pipeline(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    return Publication(external=f"tiny-{snapshot.digest}", details={"steps": compiled.data.decode()})


@hookimpl
def penstock_submit_run(target: Target, run: RunRequest) -> Submission:
    target.options.folder.mkdir(parents=True, exist_ok=True)
    (target.options.folder / run.id).write_text(run.publication.details.get("steps", ""))
    return Submission(external=f"tiny-{run.id}")


@hookimpl
def penstock_get_run(target: Target, run: RunRef) -> RunReport | Absent:
    remembered: Path = target.options.folder / run.id
    if not remembered.exists():
        return Absent()
    names = remembered.read_text().split()
    steps = tuple(StepReport(name=name, state="succeeded", attempt=1, exit_code=0) for name in names)
    return RunReport(state="succeeded", steps=steps)


@hookimpl
def penstock_get_outputs(target: Target, run: RunRef) -> RunOutputs:
    return RunOutputs()
