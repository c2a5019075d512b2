"""Law 11: logs are the bytes that the steps wrote, all of them and once, on every target; their times go forward."""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from penstock.contract.hooks import hookimpl
from penstock.contract.run import Absent, LogChunk, RunRef, RunReport
from penstock.spec import Defaults, Parameter, Pipeline, Retry, Step
from penstock.testing.checking import check
from penstock.testing.checks.portability import came_to
from penstock.testing.harness import Harness
from penstock.testing.helpers.attempts import Attempts
from penstock.testing.laws import LawBroken, require, same
from penstock.testing.probes.expected import expected
from penstock.testing.probes.pipelines import probe
from penstock.testing.strategies.text import characters
from penstock.workspace import Workspace

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_PAUSE = 0.005
"""Seconds between two looks at a log that grows."""


@check(11, needs=("penstock_read_logs",))
def logs_are_the_same(harness: Harness) -> str | None:
    """Is a step's log what it wrote, to the last byte, from any offset on, and complete just at its end?"""
    python, heard = harness.subject.python, _Refs()
    with harness.workspace(plugins=[("refs", heard)]) as ws:
        attempted = Attempts(harness, ws)

        def body(text: str, lines: int, offsets: Sequence[int]) -> None:
            step = Step(command=probe(python, "lines", str(lines), "say", "${{ parameters.text }}"))
            silent = Step(command=probe(python), after=("loud",))
            pipeline = Pipeline(
                name="logs",
                parameters={"text": Parameter("string")},
                defaults=Defaults(code="./src"),
                steps={"loud": step, "silent": silent},
            )
            published = attempted.publish(pipeline)
            if published is None:
                return
            run = harness.wait(ws, attempted.submit(published, {"text": text}), 11)
            wanted = expected(pipeline, {"text": text})
            came_to(11, run, wanted, "that says something")
            whole = wanted.steps["loud"].log or b""
            _log(harness, heard.refs[run.id], "loud", whole, offsets)
            _log(harness, heard.refs[run.id], "silent", b"", ())
            _told(ws, run.id, {"loud": whole, "silent": b""})

        body("the end, without the end of a line", 150_000, (0, 1, 4097, 1_048_575, 1_048_576, 1_048_577))
        body("é日本\n\U0001f600", 3, (1, 22, 23, 25))
        offsets = st.lists(st.integers(0, 30_000), max_size=3)
        harness.forall(body, examples=3, text=st.text(characters), lines=st.integers(0, 3000), offsets=offsets)
        return attempted.done()


@check(11, needs=("penstock_read_logs",))
def logs_can_be_followed(harness: Harness) -> str | None:
    """Does following a run give every byte of every step, once and in order, whenever one looks, and then end?"""
    python, heard = harness.subject.python, _Refs()
    steps = {
        "first": Step(command=probe(python, "say", "a", "sleep", "0.05", "lines", "20", "sleep", "0.05", "say", "z")),
        "failing": Step(command=probe(python, "lines", "5", "say", "no", "exit", "3"), after=("first",)),
        "never": Step(command=probe(python, "say", "never"), after=("failing",)),
        "warning": Step(command=probe(python, "warn", "careful\n", "sleep", "0.05", "warn", "very")),
    }
    pipeline = Pipeline(name="followed", defaults=Defaults(code="./src"), steps=steps)
    wanted = {name: step.log or b"" for name, step in expected(pipeline).steps.items()}
    with harness.workspace(plugins=[("refs", heard)]) as ws:
        attempted = Attempts(harness, ws)
        for target in (harness.subject.target, harness.subject.other):
            published = attempted.publish(pipeline, target)
            if published is None:
                continue
            run = attempted.submit(published, {})
            ws.runs.get(run)
            if target == harness.subject.target:
                for name, whole in wanted.items():
                    _shown(name, _followed(harness, heard.refs[run], name), whole)
            came_to(11, harness.wait(ws, run, 11), expected(pipeline), f"on target `{target}`")
            _told(ws, run, wanted)
            _told(ws, attempted.submit(published, {}), wanted, follow=True)
        return attempted.done()


@check(11, needs=("penstock_read_logs",))
def every_attempt_is_told(harness: Harness) -> str | None:
    """Does the log of a step that is tried again hold what each attempt wrote, to either stream, once?"""
    attempts, words = 3, ("say", "spoken\n", "warn", "warned\n", "exit", "3")
    step = Step(command=probe(harness.subject.python, *words), retry=Retry(attempts=attempts))
    with harness.workspace() as ws:
        attempted = Attempts(harness, ws)
        for target in (harness.subject.target, harness.subject.other):
            pipeline = Pipeline(name="attempts", defaults=Defaults(code="./src"), steps={"again": step})
            published = attempted.publish(pipeline, target)
            if published is None:
                continue
            run = harness.wait(ws, attempted.submit(published, {}), 11)
            came_to(11, run, expected(pipeline), f"on target `{target}`")
            whole = b"".join(part.data for part in ws.runs.logs(run.id))
            # What a target says between attempts is its own.
            for line in (b"spoken\n", b"warned\n"):
                found = whole.count(line)
                same(11, found, attempts, f"how often the log has what each attempt writes ({line!r}) on `{target}`")
        return attempted.done()


def in_order(step: str, start: int, chunk: LogChunk, latest: datetime) -> datetime:
    """Hold the times that a target keeps, if it does, to the piece of the log that they belong to; the last of them."""
    for mark in chunk.times or ():
        inside = start < mark.offset <= chunk.next_offset
        require(11, inside, f"a time of the log of step `{step}` is for {mark.offset}, not after {start}")
        start = mark.offset
        if mark.time is not None:
            require(11, mark.time.tzinfo is not None, f"a time of the log of step `{step}` is of no zone: {mark.time}")
            require(
                11, mark.time >= latest, f"the times of the log of step `{step}` go back: {mark.time} after {latest}"
            )
            latest = mark.time
    return latest


class _Refs:
    """A plugin that hears by what names the target is asked for runs."""

    def __init__(self) -> None:
        self.refs: dict[str, RunRef] = {}

    @hookimpl(wrapper=True)
    def penstock_get_run(self, run: RunRef) -> Generator[None, RunReport | Absent, RunReport | Absent]:
        """Note the name, change nothing."""
        self.refs[run.id] = run
        return (yield)


def _followed(harness: Harness, ref: RunRef, step: str) -> bytes:
    """A step's log as somebody reads it who starts while the run goes on."""
    read, latest, deadline = b"", _BEGINNING, time.monotonic() + harness.profile.patience
    identity = None
    while True:
        chunk: LogChunk = harness.hooks.read_logs(ref, step, len(read))
        same(11, chunk.next_offset, len(read) + len(chunk.data), "where to read on")
        if read:
            same(11, chunk.identity, identity, f"which log it is that step `{step}` goes on with")
        identity = chunk.identity
        latest = in_order(step, len(read), chunk, latest)
        read += chunk.data
        if chunk.complete:
            return read
        if time.monotonic() > deadline:
            raise LawBroken(11, f"the log of step `{step}` is never said to be complete")
        if not chunk.data:
            time.sleep(_PAUSE)


def _log(harness: Harness, ref: RunRef, step: str, whole: bytes, offsets: Sequence[int]) -> None:
    """Hold the log of a step that has ended to its bytes, read on from the start and from each offset."""
    _shown(step, _followed(harness, ref, step), whole)
    for offset in (*(offset for offset in offsets if offset < len(whole)), max(0, len(whole) - 1), len(whole)):
        chunk = harness.hooks.read_logs(ref, step, offset)
        size = len(chunk.data)
        same(11, chunk.next_offset, offset + size, f"where to read on after {size} bytes from offset {offset}")
        require(
            11, chunk.data == whole[offset : offset + size], f"the log from offset {offset} on is not what was written"
        )
        in_order(step, offset, chunk, _BEGINNING)
        require(11, size or offset == len(whole), f"nothing is read at offset {offset} of {len(whole)}")
        what = f"whether the log is complete at {chunk.next_offset} of {len(whole)} bytes"
        same(11, chunk.complete, chunk.next_offset == len(whole), what)


def _told(ws: Workspace, run: str, wanted: Mapping[str, bytes], *, follow: bool = False) -> None:
    """Hold what the workspace shows of a run's logs to what the steps wrote, all at once and step by step."""
    found = dict.fromkeys(wanted, b"")
    for part in ws.runs.logs(run, follow=follow):
        found[part.step] += part.data
    for name, whole in wanted.items():
        _shown(name, found[name], whole)
        _shown(name, b"".join(part.data for part in ws.runs.logs(run, step=name)), whole)


def _shown(step: str, found: bytes, whole: bytes) -> None:
    if found == whole:
        return
    at = next((n for n, (one, other) in enumerate(zip(found, whole, strict=False)) if one != other), None)
    at = min(len(found), len(whole)) if at is None else at
    near = f"at byte {at} is {found[at : at + 40]!r}, expected {whole[at : at + 40]!r}"
    raise LawBroken(11, f"the log of step `{step}` has {len(found)} bytes, the step wrote {len(whole)}; {near}")


CHECKS = (logs_are_the_same, logs_can_be_followed, every_attempt_is_told)
