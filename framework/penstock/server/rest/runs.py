"""Runs: triggering, and `/v1/runs`: state, a long poll, logs, outputs and artifacts, cancel, rerun."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial

from attrs import evolve

from penstock.codec import fields_of
from penstock.contract.http import HttpAnswer, HttpRequest
from penstock.errors import RegistryError, UsageError
from penstock.records import RunRecord
from penstock.server.answers import answer, location, page, problem
from penstock.server.artifacts import OpenFile, OpenFolder, open_artifact
from penstock.server.bodies import Data, flag, number, one
from penstock.server.ranges import asked_range
from penstock.server.rest.calling import calls
from penstock.server.spool import fetched
from penstock.workspace import Artifact, LogPart, LogParts, Submitted
from penstock.workspace.references import Kind
from penstock.workspace.rights import SUBMIT_PUBLISHED
from penstock.workspace.runs import Runs

LONGEST_WAIT = 60
"""How long, in seconds, a long poll may take."""

_QUICK, _SLOW = 0.05, 0.5
"""Seconds between two looks of a long poll or a follower: quick at first, slower later."""


_BYTES = "application/octet-stream"
_SAFE = {"X-Content-Type-Options": "nosniff"}
"""No browser makes a page of what a step wrote."""


@calls(Runs.submit)
def submit_endpoint(request: HttpRequest, data: Data) -> HttpAnswer:
    """Trigger an endpoint, or the version that the body names: 201 with the run, 200 when its key has it already."""
    return _submitted(request, request.path["name"], data, "endpoint")


@calls(SUBMIT_PUBLISHED)
def submit_published(request: HttpRequest, data: Data) -> HttpAnswer:
    """Trigger a published pipeline by its id."""
    return _submitted(request, request.path["id"], data, "published")


def _submitted(request: HttpRequest, ref: str, data: Data, only: Kind) -> HttpAnswer:
    key = request.headers.get("idempotency-key")
    done = request.workspace.runs.submit(ref, **data, idempotency_key=key, deduplicate=True, only=only)
    return _run(request, done)


def _run(request: HttpRequest, done: Submitted) -> HttpAnswer:
    data = {**fields_of(done.run), "replayed": done.replayed, "warnings": done.warnings}
    return answer(data, 200 if done.replayed else 201, {"Location": f"{request.base_url}/v1/runs/{done.run.id}"})


@calls(Runs.list)
def list_all(request: HttpRequest, data: Data) -> HttpAnswer:
    """A page of runs, newest first, that fit the query."""
    return _page(request, "/v1/runs", one(request, "endpoint"))


@calls(Runs.list)
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


@calls(Runs.get)
async def get(request: HttpRequest, data: Data) -> HttpAnswer:
    """One run; with `?wait=SECONDS` as soon as it has ended, or as it is when the time is over."""
    wait = number(request, "wait", 0, most=LONGEST_WAIT)
    assert request.in_thread is not None
    deadline, pause = time.monotonic() + wait, _QUICK
    known: RunRecord | None = None
    while True:
        try:
            run: RunRecord = await request.in_thread(lambda: request.workspace.runs.get(request.path["id"]))
            known = run
        except RegistryError as error:  # a full disk, or one that is locked, is no end of what is waited for
            if known is None or not error.is_passing:
                raise
            run = evolve(known, stale=error.cause)
        left = deadline - time.monotonic()
        if run.finished or left <= 0 or request.is_stopping() or request.is_crowded():
            return answer(run)
        await asyncio.sleep(min(pause, left))
        pause = min(_SLOW, pause * 1.3)


@calls(Runs.cancel)
def cancel(request: HttpRequest, data: Data) -> HttpAnswer:
    """Ask a run to end."""
    return answer(request.workspace.runs.cancel(request.path["id"], **data))


@calls(Runs.rerun)
def rerun(request: HttpRequest, data: Data) -> HttpAnswer:
    """Run again what a run resolved to, with the same parameters; the body gives the sensitive ones again."""
    return _run(
        request,
        request.workspace.runs.rerun(
            request.path["id"], **data, idempotency_key=request.headers.get("idempotency-key")
        ),
    )


@calls(Runs.outputs)
def outputs(request: HttpRequest, data: Data) -> HttpAnswer:
    """The outputs of a run that has ended, and in `artifacts` where those that are content are downloaded.

    In `missing` is why others are not there any more.
    """
    run, runs = request.path["id"], request.workspace.runs
    found, missing = runs.outputs(run), runs.missing(run)
    there = [name for name in runs.artifacts(run) if name not in missing]
    urls = {name: location(request, "runs", run, "outputs", name)["Location"] for name in there}
    return answer({"id": run, "outputs": found, "artifacts": urls, "missing": missing})


@calls(Runs.artifact)
async def artifact(request: HttpRequest, data: Data) -> HttpAnswer:
    """Download an artifact output: a file as it is, a directory as a tar archive."""
    assert request.in_thread is not None
    runs, ref, name = request.workspace.runs, request.path["id"], request.path["name"]
    found: Artifact = await request.in_thread(lambda: runs.artifact(ref, name))
    if found.path is not None:
        opened: OpenFile | OpenFolder | Iterator[bytes] = await request.in_thread(lambda: open_artifact(found))
    else:
        opened = await _fetched(request, found)
    if isinstance(opened, OpenFile):
        return _ranged(request, opened.length, str(opened.length), opened.pieces, _named(found.name))
    pieces = opened.pieces() if isinstance(opened, OpenFolder) else opened
    return HttpAnswer(body=pieces, media_type="application/x-tar", headers=_named(f"{found.name}.tar"))


async def _fetched(request: HttpRequest, found: Artifact) -> OpenFile | Iterator[bytes]:
    """What lies at a far target, for as long as the caller is there to take it."""
    assert request.fetching is not None and request.is_gone is not None
    home, only_head, is_gone = request.workspace.services.home, request.method == "HEAD", False
    fetch = partial(fetched, found, home, lambda: not (is_gone or request.is_stopping()), only_head=only_head)
    fetching: asyncio.Future[OpenFile | Iterator[bytes]] = asyncio.ensure_future(request.fetching(fetch))
    while not (await asyncio.wait({fetching}, timeout=_SLOW))[0]:
        is_gone = is_gone or await request.is_gone()
    return fetching.result()


@calls(Runs.logs)
def logs(request: HttpRequest, data: Data) -> HttpAnswer:
    """What a step wrote so far, as bytes; with `?follow=true` as it comes, until the run has ended.

    With `?timestamps=true` each line begins with the time at which it was there, or `-`; then there are no ranges.
    """
    follow, timestamps = flag(request, "follow"), flag(request, "timestamps")
    ref, step = request.path["id"], request.path["step"]
    parts = request.workspace.runs.logs(ref, step=step, follow=follow, timestamps=timestamps)
    if follow:
        return HttpAnswer(body=_followed(request, parts), media_type=_BYTES, headers=_SAFE)
    wanted = None if timestamps else asked_range(request)
    if wanted is None:
        first = next(parts, None)  # so that an error still has its status
        told = {} if timestamps else {"Accept-Ranges": "bytes"}
        return HttpAnswer(body=_bytes(first, parts), media_type=_BYTES, headers={**_SAFE, **told})
    length, complete = parts.length()

    def pieces(first: int, end: int) -> Iterator[bytes]:
        parts.start_at(first)
        left = end - first
        for part in parts:
            yield part.data[:left]
            left -= len(part.data)
            if left <= 0:
                return

    return _ranged(request, length, str(length) if complete else "*", pieces, {})


def _ranged(
    request: HttpRequest,
    length: int,
    shown: str,
    pieces: Callable[[int, int], Iterator[bytes]],
    headers: Mapping[str, str],
) -> HttpAnswer:
    """The range that is asked for of what has a length, or all of it. `shown` is what is said of the length."""
    wanted = asked_range(request)
    told = {**_SAFE, **headers, "Accept-Ranges": "bytes"}
    found = (0, length) if wanted is None else wanted.within(length)
    if found is None:
        error = UsageError(f"there are {length} bytes, and none of that range", code="range_not_there")
        refused = problem(error, request.workspace.caller.request_id)
        return evolve(refused, headers={**told, "Content-Range": f"bytes */{length}"})
    first, end = found
    told["Content-Length"] = str(end - first)
    if wanted is not None:
        told["Content-Range"] = f"bytes {first}-{end - 1}/{shown}"
    return HttpAnswer(status=200 if wanted is None else 206, body=pieces(first, end), media_type=_BYTES, headers=told)


async def _followed(request: HttpRequest, parts: LogParts) -> AsyncIterator[bytes]:
    """The pieces of a log as they come. No thread waits for them; the end of the run or of the server ends it."""
    assert request.aside is not None
    pause = _QUICK
    while not request.is_stopping():
        part: LogPart | StopIteration | None = await request.aside(lambda: _look(parts))
        if isinstance(part, StopIteration):
            return
        if part is None:
            await asyncio.sleep(pause)
            pause = min(_SLOW, pause * 1.3)
        else:
            pause = _QUICK
            yield part.data


def _look(parts: LogParts) -> LogPart | StopIteration | None:
    try:
        return parts.look()
    except StopIteration as end:  # which no future carries
        return end


def _bytes(first: LogPart | None, parts: Iterator[LogPart]) -> Iterator[bytes]:
    if first is not None:
        yield first.data
        for part in parts:
            yield part.data


def _named(name: str) -> dict[str, str]:
    """What a browser saves it as; the names of outputs need no quoting."""
    return {"Content-Disposition": f'attachment; filename="{name}"'}
