"""Logs of steps that write while they are read: each in one stretch, to an end, and from a new beginning."""

from __future__ import annotations

import io
import itertools
import json
import sys
import time
from datetime import UTC, datetime

import pytest

from penstock.cli.logs import show_as_json
from penstock.cli.output import Output
from penstock.contract.run import LogChunk, LogTime
from penstock.errors import TargetUnavailable
from penstock.workspace import LogParts, Workspace

WAIT = 'until [ -e "$0" ]; do sleep 0.02; done'
WRITTEN = {"one": WAIT, "two": "true"}
CUT = {"one": f"echo a long line; {WAIT}; echo x > /dev/stderr; echo y"}

NOW = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        yield opened


def submit(workspace, folder, scripts: dict[str, str]):
    """A run of these scripts, which get the path of a file that lets them go on."""
    steps = {name: {"command": ["sh", "-c", script, "${{ parameters.go }}"]} for name, script in scripts.items()}
    spec = {"apiVersion": "penstock/v1", "kind": "Pipeline", "name": "written"}
    spec |= {"parameters": {"go": {"type": "string"}}, "steps": steps}
    (folder / "written.yaml").write_text(json.dumps(spec))
    return workspace.submit(folder / "written.yaml", parameters={"go": f"{folder / 'go'}"})


@pytest.fixture
def running(workspace, tmp_path):
    """A run whose first step waits."""
    run = submit(workspace, tmp_path, WRITTEN)
    while len(run.refresh().record.steps) < 2:
        time.sleep(0.02)
    yield run
    (tmp_path / "go").touch()
    run.wait()


def reading(workspace, run, chunk, **more) -> LogParts:
    """Its logs, of which a target answers so."""
    parts = LogParts(workspace.services, run.record, None, **{"follow": False, **more})
    parts._chunk = chunk
    return parts


def endless(grown: int):
    """A step that has written so much more each time that somebody looks, and one that has ended."""
    size = itertools.count(100, grown)

    def chunk(step, offset):
        end = next(size) if step == "one" else 4
        data = b"x" * max(0, min(50, end - offset))
        return LogChunk(data=data, next_offset=offset + len(data), complete=step == "two" and offset + len(data) == 4)

    return chunk


@pytest.mark.sampled(1)
@pytest.mark.parametrize("grown", [1, 50, 1000])
def test_a_step_that_writes_faster_than_it_is_read_has_an_end_for_who_does_not_follow(workspace, running, grown):
    parts = itertools.islice(reading(workspace, running, endless(grown)), 100_000)
    found = dict.fromkeys(("one", "two"), 0)
    for part in parts:
        found[part.step] += len(part.data)
    assert found["two"] == 4
    assert 100 <= found["one"] < 100_000


@pytest.mark.parametrize("grown", [1, 50, 1000])
def test_such_a_step_has_a_length(workspace, running, grown):
    parts = LogParts(workspace.services, running.record, "one", follow=False)
    chunk, asked = endless(grown), itertools.count()

    def counted(step, offset):
        assert next(asked) < 1000
        return chunk(step, offset)

    parts._chunk = counted
    length, is_all = parts.length()
    assert length >= 100
    assert not is_all


def test_such_a_step_does_not_hide_the_others_from_who_follows(workspace, running):
    parts = reading(workspace, running, endless(1000), follow=True)
    assert "two" in [part.step for part in itertools.islice(parts, 100)]


def test_a_target_that_cannot_say_the_end_yet_is_asked_again(workspace, running):
    asked = itertools.count()

    def chunk(step, offset):
        if next(asked) % 2:
            raise TargetUnavailable("it reads on", retry_after=1)
        data = b"x" * max(0, min(50, 120 - offset))
        return LogChunk(data=data, next_offset=offset + len(data), complete=False)

    parts = LogParts(workspace.services, running.record, "one", follow=False)
    parts._chunk = chunk
    assert b"".join(part.data for part in parts) == b"x" * 120


def test_a_step_whose_times_come_late_comes_in_one_stretch(workspace, running):
    looks = {"one": itertools.count(), "two": itertools.count()}

    def chunk(step, offset):
        is_known = next(looks[step]) > 3
        data = f"{step}, its log\n".encode()
        known = len(data) if is_known else 3
        times = [LogTime(known, NOW)] if known > offset else []
        return LogChunk(data=data[offset:], next_offset=len(data), complete=False, times=times)

    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
    kept, sys.stdout = sys.stdout, stream
    try:
        show_as_json(Output(json=True), "id", ["one", "two"], reading(workspace, running, chunk, timestamps=True))
        stream.flush()
    finally:
        sys.stdout = kept
    steps = dict(json.loads(raw.getvalue(), object_pairs_hook=list))["steps"]
    assert steps == [(name, f"2026-11-20T00:00:00.000Z {name}, its log\n") for name in ("one", "two")]


@pytest.mark.parametrize("timestamps", [False, True])
def test_who_follows_a_log_that_is_cut_goes_on_at_its_beginning(workspace, tmp_path, timestamps):
    run = submit(workspace, tmp_path, CUT)
    parts = workspace.runs.logs(run.id, follow=True, timestamps=timestamps)
    told = []
    parts.on_shorter = told.append
    assert next(parts).data.endswith(b"a long line\n")
    (tmp_path / "go").touch()
    rest = b"".join(part.data for part in parts)
    assert [line[25 * timestamps :] for line in rest.splitlines()] == [b"x", b"y"]
    assert told == ["one"]


REMOVED = {"one": f'echo a line; {WAIT}; rm "$(readlink /proc/$$/fd/1)"; until [ -e "$0.2" ]; do sleep 0.02; done'}


def test_who_follows_a_log_that_is_removed_is_told_what_became_of_it(workspace, tmp_path):
    run = submit(workspace, tmp_path, REMOVED)
    parts = workspace.runs.logs(run.id, follow=True)
    told = []
    parts.on_shorter = told.append
    assert next(parts).data == b"a line\n"
    (tmp_path / "go").touch()
    no_more = next(parts).data
    assert no_more.startswith(b"--- the log `") and no_more.endswith(b"` is not there any more: it was removed ---\n")
    (tmp_path / "go.2").touch()
    assert list(parts) == []
    assert told == ["one"]
    assert run.wait().state == "succeeded"
    assert b"".join(part.data for part in workspace.runs.logs(run.id)) == no_more
