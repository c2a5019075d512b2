"""Runs: triggering, and `/v1/runs`: state, a long poll, logs, outputs, cancel, rerun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from penstock.codec import to_data
from penstock.contract.http import HttpAnswer, HttpRequest
from penstock.records import RunRecord
from penstock.server.answers import answer, location, page
from penstock.server.bodies import Data, number, one
from penstock.workspace import LogPart, Submitted

LONGEST_WAIT = 60
"""How long, in seconds, a long poll may take."""

_QUICK, _SLOW = 0.05, 0.5
"""Seconds between two looks of a long poll: quick at first, slower later."""


def submit_endpoint(request: HttpRequest, data: Data) -> HttpAnswer:
    """Trigger an endpoint, or the version that the body names: 201 with the run, 200 when its key has it already."""
    return _submitted(request, request.path["name"], data)


def submit_published(request: HttpRequest, data: Data) -> HttpAnswer:
    """Trigger a published pipeline by its id."""
    return _submitted(request, request.path["id"], data)


def _submitted(request: HttpRequest, ref: str, data: Data) -> HttpAnswer:
    key = request.headers.get("idempotency-key")
    done = request.workspace.runs.submit(ref, **data, idempotency_key=key)
    return _run(request, done)


def _run(request: HttpRequest, done: Submitted) -> HttpAnswer:
    data = {**to_data(done.run), "replayed": done.replayed, "warnings": list(done.warnings)}
    return answer(data, 200 if done.replayed else 201, location(request, "runs", done.run.id))


def list_all(request: HttpRequest, data: Data) -> HttpAnswer:
    """A page of runs, newest first, that fit the query."""
    return _page(request, "/v1/runs", one(request, "endpoint"))


def list_of_endpoint(request: HttpRequest, data: Data) -> HttpAnswer:
    """A page of the runs that came through an endpoint, newest first."""
    name = request.path["name"]
    return _page(request, f"/v1/endpoints/{name}/runs", name)


def _page(request: HttpRequest, path: str, endpoint: str | None) -> HttpAnswer:
    found = request.workspace.runs.list(
        endpoint=endpoint,
        experiment=one(request, "experiment"),
        state=one(request, "state"),  # type: ignore[arg-type]  # the verb checks it
        pipeline=one(request, "pipeline"),
        limit=number(request, "limit", 50, least=1),
        before=one(request, "before"),
    )
    return page(request, path, found)


async def get(request: HttpRequest, data: Data) -> HttpAnswer:
    """One run; with `?wait=SECONDS` as soon as it has ended, or as it is when the time is over."""
    wait = number(request, "wait", 0, most=LONGEST_WAIT)
    assert request.in_thread is not None
    deadline, pause = time.monotonic() + wait, _QUICK
    while True:
        run: RunRecord = await request.in_thread(lambda: request.workspace.runs.get(request.path["id"]))
        left = deadline - time.monotonic()
        if run.finished or left <= 0 or request.is_stopping():
            return answer(run)
        await asyncio.sleep(min(pause, left))
        pause = min(_SLOW, pause * 1.3)


def cancel(request: HttpRequest, data: Data) -> HttpAnswer:
    """Ask a run to end."""
    return answer(request.workspace.runs.cancel(request.path["id"], **data))


def rerun(request: HttpRequest, data: Data) -> HttpAnswer:
    """Run again what a run resolved to, with the same parameters."""
    key = request.headers.get("idempotency-key")
    return _run(request, request.workspace.runs.rerun(request.path["id"], idempotency_key=key))


def outputs(request: HttpRequest, data: Data) -> HttpAnswer:
    """The outputs of a run that has ended."""
    return answer({"id": request.path["id"], "outputs": request.workspace.runs.outputs(request.path["id"])})


def logs(request: HttpRequest, data: Data) -> HttpAnswer:
    """What a step wrote so far, as bytes."""
    parts = request.workspace.runs.logs(request.path["id"], step=request.path["step"])
    first = next(parts, None)  # so that an error still has its status
    return HttpAnswer(body=_bytes(first, parts), media_type="application/octet-stream")


def _bytes(first: LogPart | None, parts: Iterator[LogPart]) -> Iterator[bytes]:
    if first is not None:
        yield first.data
        for part in parts:
            yield part.data
