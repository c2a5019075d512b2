"""A backend for tests of the core: it starts no process, knows what each run gives at once, and offers every hook.

What a run gives is computed from its spec (`penstock.testing.probes.expected`), so its steps have to run the kit's
probe; a run takes as long as its steps would sleep. Everything is in small files, for several processes at once.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from attrs import field, frozen

from penstock.codec import canonical_json, from_canonical
from penstock.contract.hooks import hookimpl
from penstock.contract.run import Absent, Failure, LogChunk, RunOutputs, RunReport, StepReport, Submission
from penstock.contract.target import Compiled, Health, Problem, Publication
from penstock.errors import NotFound
from penstock.testing.probes.expected import expected
from penstock.testing.probes.pipelines import written


@frozen(kw_only=True)
class Options:
    """`place` keeps two targets of one home apart. What lies in its folder `opened` may be named by everybody."""

    place: str = field(default="memory", metadata={"identity": True})


@hookimpl
def penstock_target_options():
    return Options


@hookimpl
def penstock_validate_pipeline(target, pipeline):
    return []


@hookimpl
def penstock_compile_pipeline(target, snapshot):
    return Compiled(media_type="application/json", data=canonical_json(snapshot.pipeline).encode())


@hookimpl
def penstock_publish_pipeline(target, snapshot, compiled):
    external = snapshot.digest.partition(":")[2]
    _write(_file(target, "publications", external), compiled.data)
    return Publication(external=external)


@hookimpl
def penstock_resolve_location(target, location):
    try:
        path = Path(location.base or "/") / location.text
        opened = location.base is not None or path.resolve(strict=True).is_relative_to(
            (target.home / target.options.place / "opened").resolve()
        )
        if opened and path.exists():
            return str(path)
    except (OSError, ValueError, RuntimeError):
        pass
    return Problem("location_refused", f"`{location.text}` is not there, or not for you")


@hookimpl
def penstock_submit_run(target, run):
    file = _file(target, "runs", run.id)
    if not file.exists():
        pipeline = from_canonical(_file(target, "publications", run.publication.external).read_text())
        texts = run.parameters.texts
        # Nothing is kept of a sensitive value but what a step makes of it.
        hidden = {name: texts[name] for name in run.parameters.sensitive}
        record = _happens(pipeline, {**run.parameters.typed, **hidden}, texts)
        # First, and under names of the run's own: whoever is killed in between is made up for by the next hand-over.
        _leave_marks(run.id, record["steps"], texts.get("marks", ""))
        _write_once(file, json.dumps(record).encode())
    return Submission(external=run.id)


@hookimpl
def penstock_get_run(target, run):
    return _report(target, run.id)


@hookimpl
def penstock_list_runs(target, runs):
    return {run.id: _report(target, run.id) for run in runs}


@hookimpl
def penstock_get_outputs(target, run):
    return RunOutputs(outputs=_known(target, run.id)["outputs"] if _ended_well(target, run.id) else {})


@hookimpl
def penstock_read_logs(target, run, step, offset):
    found = _known(target, run.id)
    ended = _report(target, run.id).ended is not None
    log = found["steps"][step]["log"].encode() if ended and _ended_well(target, run.id) else b""
    return LogChunk(data=log[offset:], next_offset=max(offset, len(log)), complete=ended)


@hookimpl
def penstock_cancel_run(target, run):
    if _known(target, run.id)["until"] <= time.time():
        return False
    return _write_once(_file(target, "canceled", run.id), str(time.time()).encode())


@hookimpl
def penstock_keep_secrets(target):
    return True


@hookimpl
def penstock_sync_endpoint(target, endpoint):
    file = _file(target, "endpoints", endpoint.id)
    with suppress(FileNotFoundError):
        if int(file.read_text()) > endpoint.revision:
            return True
    _write(file, str(endpoint.revision).encode())
    return True


@hookimpl
def penstock_retire_pipeline(target, publication):
    _file(target, "publications", publication.external).unlink(missing_ok=True)
    return True


@hookimpl
def penstock_check_target(target):
    return Health(ok=True, lines=("in memory of files",))


def _happens(pipeline, values, texts):
    """What becomes of a run: when it ends, its steps and its outputs."""
    found = expected(pipeline, values)
    steps = {
        name: {
            "state": step.state,
            "attempt": step.executions,
            "outputs": {key: written(value) for key, value in step.outputs.items()},
            "log": (step.log or b"").decode(),
        }
        for name, step in found.steps.items()
    }
    now = time.time()
    return {
        "from": now,
        "until": now + float(texts.get("seconds", 0)) * len(steps),
        "state": found.state,
        "steps": steps,
        "outputs": {key: written(value) for key, value in found.outputs.items()},
    }


def _report(target, run):
    try:
        found = _known(target, run)
    except NotFound:
        return Absent()
    canceled = _file(target, "canceled", run)
    until, state, ends = found["until"], found["state"], "succeeded"
    if canceled.exists():
        until, state, ends = float(canceled.read_text()), "canceled", "canceled"
    elif until > time.time():
        until, state, ends = None, "running", "running"
    started, ended = _time(found["from"]), None if until is None else _time(until)
    steps = tuple(
        StepReport(
            name=name,
            state=step["state"] if ends == "succeeded" else ends,
            attempt=step["attempt"],
            started=started if step["attempt"] else None,
            ended=ended if step["attempt"] else None,
            exit_code={"succeeded": 0, "failed": 3}.get(step["state"]) if ends == "succeeded" else None,
            outputs=step["outputs"] if ends == "succeeded" else {},
        )
        for name, step in found["steps"].items()
    )
    bad = next((step.name for step in steps if step.state == "failed"), None)
    error = None if bad is None else Failure(code="step_failed", message=f"step `{bad}` exited with 3", step=bad)
    return RunReport(state=state, started=started, ended=ended, steps=steps, error=error)


def _ended_well(target, run):
    return _known(target, run)["until"] <= time.time() and not _file(target, "canceled", run).exists()


def _known(target, run):
    try:
        return json.loads(_file(target, "runs", run).read_text())
    except FileNotFoundError:
        raise NotFound(f"no run `{run}` here", code="run_not_found") from None


def _leave_marks(run, steps, folder):
    for name, step in steps.items() if folder else ():
        for attempt in range(step["attempt"]):
            (Path(folder) / f"{name}.{run}-{attempt}").touch()


def _file(target, kind, name):
    return target.home / target.options.place / kind / name


def _write(file, data):
    _draft(file, data).replace(file)


def _write_once(file, data):
    """Write a file unless it is there; answers whether it was not."""
    draft = _draft(file, data)
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _draft(file, data):
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.parent / f".{uuid.uuid4().hex}.draft"
    draft.write_bytes(data)
    return draft


def _time(seconds):
    return datetime.fromtimestamp(seconds, UTC)
