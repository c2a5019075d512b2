"""A backend to read before you write your own: it runs pipelines in a folder, with no server and no daemon.

Here are the hooks, each in a few lines; `runs` moves a run on, `runner` is the program around one step. It is a lazy
backend: a run moves on when somebody looks at it, by as many steps as are ready, and these go on by themselves.
"""

import contextlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import field, frozen

from penstock.contract.hooks import hookimpl
from penstock.contract.run import ENDED, Absent, LogChunk, RunOutputs, RunRef, RunReport, RunRequest, Submission
from penstock.contract.target import Compiled, Location, Problem, Publication, Target
from penstock.errors import NotFound, TargetRefused, TargetUnavailable
from penstock.snapshot import Snapshot
from penstock.spec import Defaults, Pipeline, Step, graph
from penstock_tiny import runs


@frozen(kw_only=True)
class TinyOptions:
    """What a tiny target can be told: `folder` is where everything of it lies."""

    folder: Path = field(default=Path("tiny"), metadata={"identity": True})


@contextlib.contextmanager
def _folder(target: Target) -> Iterator[Path]:
    """The target's folder; trouble with the disk is told as what it is, a target that is away."""
    try:
        yield target.options.folder
    except OSError as error:
        why = f"cannot use `{error.filename or target.options.folder}`: {error.strerror or error}"
        raise TargetUnavailable(why, retry_after=5.0) from None


@hookimpl
def penstock_target_options() -> type[TinyOptions]:
    """Penstock makes an instance of it from what `penstock.yaml` says."""
    return TinyOptions


@hookimpl
def penstock_validate_pipeline(target: Target, pipeline: Pipeline) -> Sequence[Problem]:
    """Refuse here, at publish, whatever a run would otherwise stumble over."""
    found: list[tuple[tuple[str, ...], str]] = []
    for name, parameter in pipeline.parameters.items():
        if parameter.is_artifact and "://" in str(parameter.default):
            found.append((("parameters", name, "default"), "URIs"))
    places: list[tuple[tuple[str, ...], Defaults | Step]] = [(("defaults",), pipeline.defaults)]
    places += [(("steps", name), step) for name, step in pipeline.steps.items()]
    for path, said in places:
        again = said.retry is not None and said.retry.attempts > 1
        asked = {"image": said.image, "resources": said.resources, "timeout": said.timeout, "retry": again}
        found += [((*path, key), f"`{key}`") for key, value in asked.items() if value]
    return [
        Problem(severity="error", code="tiny_cannot", message=f"this target knows nothing of {what}", path=path)
        for path, what in found
    ]


@hookimpl
def penstock_compile_pipeline(target: Target, snapshot: Snapshot) -> Compiled:
    """The pipeline as a plan: all that `runs` needs to know. Sorted, so that it is the same bytes every time."""
    pipeline, needs = snapshot.pipeline, graph.dependencies(snapshot.pipeline)
    plan = {
        "digest": snapshot.digest,
        "steps": [_plan(name, pipeline.effective(name), needs[name]) for name in graph.order(pipeline)],
        "outputs": dict(pipeline.outputs),
        "archives": {a.path: {"kind": a.kind, "digest": a.digest, "size": a.size} for a in snapshot.archives.values()},
    }
    return Compiled(media_type="application/json", data=json.dumps(plan, sort_keys=True).encode())


def _plan(name: str, step: Step, needs: Iterable[str]) -> dict[str, Any]:
    return {
        "name": name,
        "needs": sorted(needs),
        "command": step.command,
        "code": step.code,
        "inputs": dict(step.inputs),
        "env": dict(step.env),
        "outputs": {key: output.type for key, output in step.outputs.items()},
    }


@hookimpl
def penstock_publish_pipeline(target: Target, snapshot: Snapshot, compiled: Compiled) -> Publication:
    """Keep plan and archives, each under the name of its content: a repeat finds what is there."""
    external = f"tiny-{snapshot.digest.rpartition(':')[2]}"
    with _folder(target) as folder:
        for archive in snapshot.archives.values():
            kept = runs.archive_of(folder, archive.digest)
            if not kept.exists():
                runs.write(kept, archive.location.read_bytes())
        runs.write(runs.plan_of(folder, external), compiled.data)
    return Publication(external=external)


@hookimpl
def penstock_resolve_location(target: Target, location: Location) -> str | Problem:
    """Only what the caller has on this machine; `base` is None for callers who are somewhere else."""
    path = os.path.join(location.base.absolute(), location.text) if location.base else ""
    there = os.path.isdir if location.type == "directory" else os.path.isfile
    if path and there(path):
        return path
    message = f"`{location.text}` is no {location.type} on this machine that you may name"
    return Problem(severity="error", code="location_refused", message=message, path=("parameters", location.parameter))


@hookimpl
def penstock_submit_run(target: Target, run: RunRequest) -> Submission:
    """Make the run unless it is there, and start what is ready."""
    with _folder(target) as folder:
        if not runs.plan_of(folder, run.publication.external).exists():
            raise TargetRefused(f"there is no `{run.publication.external}` in `{folder}`; publish it again")
        runs.create(folder, run)
        runs.look(folder, run.id)
    return Submission(external=run.id)


@hookimpl
def penstock_get_run(target: Target, run: RunRef) -> RunReport | Absent:
    """Move the run on, and tell how it stands."""
    with _folder(target) as folder:
        state = runs.look(folder, run.id)
    return Absent() if state is None else runs.report(state)


@hookimpl
def penstock_get_outputs(target: Target, run: RunRef) -> RunOutputs:
    """What the pipeline's outputs name, as far as it was produced."""
    with _folder(target) as folder:
        return RunOutputs(outputs=_known(runs.look(folder, run.id), run)["outputs"])


@hookimpl
def penstock_read_logs(target: Target, run: RunRef, step: str, offset: int) -> LogChunk:
    """The file that the step writes to. Its state is read first: what had ended by then has written everything."""
    with _folder(target) as folder:
        state = _known(runs.look(folder, run.id), run)
        if step not in state["steps"]:
            raise NotFound(f"the run `{run.id}` has no step `{step}`", code="step_not_found")
        data, end = runs.read_log(folder, run.id, step, offset)
    reached = offset + len(data)
    return LogChunk(data=data, next_offset=reached, complete=state["steps"][step]["state"] in ENDED and reached >= end)


@hookimpl
def penstock_cancel_run(target: Target, run: RunRef) -> bool:
    """Leave word that the run is to end, and act on it."""
    with _folder(target) as folder:
        _known(runs.look(folder, run.id), run)
        return runs.cancel(folder, run.id)


def _known(state: runs.State | None, run: RunRef) -> runs.State:
    if state is None:
        raise NotFound(f"there is no run `{run.id}` here", code="run_not_found")
    return state
