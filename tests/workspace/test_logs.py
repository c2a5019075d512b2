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


GO_ON = 'until [ -e "$0.2" ]; do sleep 0.02; done'
LOG = f"echo a line; {WAIT}; log=$(readlink /proc/$$/fd/1)"
REPLACED = {
    "while it runs": f'{LOG}; rm "$log"; seq 999 > "$log"; {GO_ON}',
    "by one beside it": f'{LOG}; seq 999 > "$0.n"; mv "$0.n" "$log"; {GO_ON}',
}


@pytest.mark.parametrize("timestamps", [False, True])
@pytest.mark.parametrize("how", REPLACED)
def test_who_follows_a_log_that_is_replaced_by_a_longer_one_goes_on_at_its_beginning(
    workspace, tmp_path, how, timestamps
):
    run = submit(workspace, tmp_path, {"one": REPLACED[how]})
    parts = workspace.runs.logs(run.id, follow=True, timestamps=timestamps)
    told = []
    parts.on_shorter = told.append
    assert next(parts).data.endswith(b"a line\n")
    (tmp_path / "go").touch()
    rest = next(parts).data
    (tmp_path / "go.2").touch()
    rest += b"".join(part.data for part in parts)
    lines = [line[25 * timestamps :] for line in rest.splitlines()]
    assert lines[-999:] == [b"%d" % number for number in range(1, 1000)]
    assert all(b"is not there any more" in line for line in lines[:-999])  # what is told where a look comes between
    assert told


def test_who_looks_at_no_moment_without_a_log_sees_that_of_the_next_attempt_whole(workspace, tmp_path):
    """The number of a file that was removed is mostly that of the next one."""
    spec = {"apiVersion": "penstock/v1", "kind": "Pipeline", "name": "again"}
    script = f'if [ -e "$0.2" ]; then seq 999; else touch "$0.2"; echo a line; {WAIT}; '
    script += 'rm "$(readlink /proc/$$/fd/1)"; exit 3; fi'
    step = {"command": ["sh", "-c", script, f"{tmp_path / 'go'}"], "retry": {"attempts": 2}}
    (tmp_path / "again.yaml").write_text(json.dumps({**spec, "steps": {"one": step}}))
    run = workspace.submit(tmp_path / "again.yaml")
    parts = workspace.runs.logs(run.id, follow=True)
    told = []
    parts.on_shorter = told.append
    assert next(parts).data == b"a line\n"
    (tmp_path / "go").touch()
    assert run.wait().state == "succeeded"
    whole = b"".join(part.data for part in workspace.runs.logs(run.id))
    assert whole.startswith(b"--- the log `") and whole.endswith(b"\n998\n999\n")
    assert b"".join(part.data for part in parts) == whole
    assert told == ["one"]


LONG = b"x" * 4097


def scripted(*answers: tuple[bytes, str | None]):
    """A log that is another one at each look: all that it holds by then, and which one it is."""
    looks = iter(answers)

    def chunk(step, offset):
        if step == "two":
            return LogChunk(data=b"", next_offset=offset, complete=True)
        data, identity = next(looks, answers[-1])
        end = max(offset, len(data)) if len(data) >= offset else len(data)
        return LogChunk(data=data[offset:], next_offset=end, complete=False, identity=identity)

    return chunk


@pytest.mark.parametrize(
    ("answers", "shown", "times"),
    [
        ([(b"a", "1"), (b"ab", "1"), (b"abc", "1")], b"abc", 0),
        ([(b"a", "1"), (b"xyz", "2")], b"axyz", 1),
        ([(b"ab", "1"), *[(b"xy", "2")] * 3, (b"ijk", "3")], b"abxyijk", 2),
        ([(b"a", None), (b"ab", None), (b"abc", None)], b"abc", 0),
        ([(b"a", None), (b"ab", "1"), (b"abc", None), (b"abcd", "1")], b"abcd", 0),
        ([(b"a", "1"), (b"ab", None), (b"xyz", "2")], b"abxyz", 1),
        ([(b"", "1"), (b"ab", "2"), (b"abc", "2")], b"abc", 0),
        ([(b"a line", "1"), (b"gone", "0"), (b"gone", "0"), (b"gone+", "2")], b"a linegone+", 1),
        ([(b"a line", "1"), (b"gone", "0"), (b"gone", "0"), (b"gone.", "0"), (b"other", "2")], b"a linegone.other", 2),
        ([(LONG, "1"), (LONG, "1"), (LONG + b"a", "2"), (LONG + b"a", "2")], LONG + LONG + b"a", 1),
        ([(LONG[1:], "1"), (LONG[1:], "1"), (LONG + b"a", "2"), (LONG + b"ab", "2")], LONG + b"ab", 0),
    ],
)  # fmt: skip
def test_a_log_is_another_where_two_identities_say_so(workspace, running, answers, shown, times):
    parts = reading(workspace, running, scripted(*answers), follow=True)
    told = []
    parts.on_shorter = told.append
    found = [part for part in (parts.look() for _ in range(12)) if part is not None]
    assert (b"".join(part.data for part in found), told) == (shown, ["one"] * times)


def test_identities_that_are_others_at_each_look_are_none(workspace, running):
    """As on file systems that give a file another number at each look."""
    parts = reading(workspace, running, scripted(*((LONG, str(look)) for look in range(100))), follow=True)
    told = []
    parts.on_shorter = told.append
    found = [part for part in (parts.look() for _ in range(90)) if part is not None]
    assert len(found) == 1 + len(told) == 9


def test_who_does_not_follow_is_told_too_and_sees_nothing_of_the_other_log(workspace, running):
    parts = reading(workspace, running, scripted((b"a", "1"), (b"xyz", "2")))
    parts._end = lambda step, low: (3, False)
    told = []
    parts.on_shorter = told.append
    assert (b"".join(part.data for part in parts), told) == (b"a", ["one"])
