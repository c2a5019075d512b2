"""Lines with their times: bytes stay what they were, a time is that of the first byte, and nothing waits for ever."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.contract.run import LogChunk, LogTime
from penstock.workspace import Workspace, timestamps
from penstock.workspace.timestamps import Late, Timestamps

BEGINNING = datetime(2026, 11, 20, 14, 29, 7, 123000, UTC)
STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z |- {24}"
UNKNOWN = b"-".ljust(25)

SPEC = """\
apiVersion: penstock/v1
kind: Pipeline
name: written
parameters: {go: {type: string}, more: {type: string, default: ""}}
steps:
  one: {command: [sh, -c, 'echo one; until [ -e "$0" ]; do printf "$1"; sleep 0.02; done; echo two', "${{ parameters.go }}", "${{ parameters.more }}"]}
"""  # noqa: E501  # a command is one line


def moment(at: int) -> datetime:
    """The time of the byte at an offset."""
    return BEGINNING + timedelta(milliseconds=at)


def stamp(at: int) -> bytes:
    """How it is written."""
    return b"-".ljust(25) if at % 3 == 2 else f"2026-11-20T14:29:{7 + (123 + at) / 1000:06.3f}Z ".encode()


def chunk(data: bytes, offset: int = 0, *, known: int | None = None, complete: bool = False) -> LogChunk:
    """A piece of a log of which so many bytes have a time, each one of its own; every third is unknown."""
    known = len(data) if known is None else known
    times = [LogTime(at + 1, None if at % 3 == 2 else moment(at)) for at in range(offset, offset + known)]
    return LogChunk(data=data, next_offset=offset + len(data), complete=complete, times=times)


def stamped(data: bytes) -> bytes:
    """What is to come of a log."""
    lines = re.finditer(rb"[^\r\n]*(?:\r\n|\r|\n|$)", data)
    return b"".join((stamp(one.start()) if one[0] not in (b"\r", b"") else b"") + one[0] for one in lines)


@given(st.lists(st.text("xé\r\n", max_size=6).map(str.encode), max_size=20), st.integers(1, 9))
def test_every_line_begins_with_the_time_of_its_first_byte_however_it_comes(pieces, size):
    kept, timestamps._PIECE = timestamps._PIECE, size
    try:
        made, shown, offset = Timestamps(), b"", 0
        for piece in pieces:
            shown += b"".join(made.add("one", offset, chunk(piece, offset)))
            offset += len(piece)
    finally:
        timestamps._PIECE = kept
    # That an empty line has begun is known once its LF has come, and its CR may be gone by then.
    shown = re.sub(rb"\r(" + STAMP + rb")\n", rb"\1\r\n", shown)
    assert shown == stamped(b"".join(pieces))


def test_a_time_is_utc_whatever_zone_a_backend_has_it_in():
    there = BEGINNING.astimezone(datetime.strptime("+0530", "%z").tzinfo)
    piece = LogChunk(data=b"a\nb\n", next_offset=4, complete=True, times=[LogTime(2, there)])
    assert b"".join(Timestamps().add("one", 0, piece)) == b"2026-11-20T14:29:07.123Z a\n" + UNKNOWN + b"b\n"


def test_a_mebibyte_of_empty_lines_comes_in_pieces():
    assert max(map(len, Timestamps().add("one", 0, chunk(b"\n" * 2**20, known=0)))) < 2**20


def test_what_has_no_time_yet_waits_for_a_while_and_what_has_one_does_not(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timestamps.time, "monotonic", lambda: now[0])
    late = Late(follow=True)
    assert late.shown("one", 0, chunk(b"abcdef", known=2)).data == b"ab"
    assert (late.shown("one", 2, chunk(b"cdef", 2, known=0)).next_offset, list(late.steps)) == (2, ["one"])
    now[0] = timestamps.A_WHILE / 2
    assert late.shown("one", 2, chunk(b"cdef", 2, known=0)).data == b""
    now[0] = timestamps.A_WHILE
    assert late.shown("one", 2, chunk(b"cdef", 2, known=0)).data == b"cdef"
    assert late.shown("one", 6, chunk(b"gh", 6, known=0)).data == b"gh", "who has waited in vain waits no more"
    assert late.shown("one", 8, chunk(b"ijk", 8, known=1)).data == b"i"
    assert late.shown("one", 9, chunk(b"jk", 9, known=0)).data == b"", "until there are times again"
    assert late.shown("one", 9, chunk(b"jk", 9, known=0, complete=True)).data == b"jk"
    assert not late.steps
    assert late.shown("one", 11, LogChunk(data=b"l", next_offset=12, complete=False)).data == b"l"


def test_steps_of_a_run_that_is_not_followed_wait_in_vain_once(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(timestamps.time, "monotonic", lambda: now[0])
    late = Late(follow=False)
    assert late.shown("one", 0, chunk(b"abcde", known=2)).data == b"ab"
    assert late.shown("one", 2, chunk(b"cde", 2, known=0)).data == b""
    assert list(late.steps) == ["one"]
    now[0] = timestamps.A_WHILE
    assert late.shown("one", 2, chunk(b"cde", 2, known=0)).data == b"cde"
    assert late.shown("two", 0, chunk(b"fgh", known=1)).data == b"f"
    assert late.shown("two", 1, chunk(b"gh", 1, known=0)).data == b"gh"
    assert not late.steps


def test_who_begins_again_is_told_of_a_line_without_an_end():
    made = Timestamps()
    assert not made.begin_again("one")
    list(made.add("one", 0, chunk(b"a\nb")))
    assert made.begin_again("one")
    assert b"".join(made.add("one", 0, chunk(b"c\n"))) == stamp(0) + b"c\n"
    assert not made.begin_again("one")


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "written.yaml").write_text(SPEC)
    with Workspace.open(tmp_path, env={}, actor="ada") as opened:
        yield opened


def submitted(workspace, tmp_path, more=""):
    return workspace.submit(tmp_path / "written.yaml", parameters={"go": f"{tmp_path / 'go'}", "more": more})


def lines(run, **more) -> list[bytes]:
    return b"".join(data for _, data in run.logs(timestamps=True, **more)).splitlines()


def test_who_follows_gets_each_line_with_its_time(workspace, tmp_path):
    begun, run = datetime.now(UTC), submitted(workspace, tmp_path)
    pieces = run.logs(follow=True, timestamps=True)
    step, first = next(pieces)
    between = datetime.now(UTC)
    (tmp_path / "go").touch()
    rest = b"".join(data for _, data in pieces)
    ended = datetime.now(UTC)
    assert (step, first[25:], rest[25:]) == ("one", b"one\n", b"two\n")
    times = [datetime.fromisoformat(line[:24].decode()) for line in (first, rest)]
    millisecond = timedelta(milliseconds=1)
    assert begun - millisecond <= times[0] <= between <= times[1] + millisecond <= ended + millisecond
    assert lines(run) == [first[:-1], rest[:-1]], "and the same again whoever reads it"
    assert b"".join(data for _, data in run.logs()) == b"one\ntwo\n"


def test_a_log_that_grows_all_the_time_has_an_end_for_who_does_not_follow(workspace, tmp_path):
    run = submitted(workspace, tmp_path, more="more\\n")
    found = []
    while len(found) < 20:
        found = lines(run)
    assert {line[25:] for line in found} == {b"one", b"more"}
    assert not [line for line in found if line.startswith(b"-")]
    (tmp_path / "go").touch()
    run.wait()


def test_a_log_without_times_is_shown_whole_and_told_once(workspace, tmp_path):
    (tmp_path / "go").touch()
    run = submitted(workspace, tmp_path).wait()
    (log,) = (tmp_path / ".penstock").glob("local/local/runs/*/logs/one.log")
    (log.parent / "one.at").unlink()
    log.write_bytes(b"x\n" * 2**21)
    told = []
    parts = workspace.runs.logs(run.id, timestamps=True)
    parts.on_untimed = lambda: told.append("none")
    assert b"".join(part.data for part in parts) == (UNKNOWN + b"x\n") * 2**21
    assert told == ["none"]


def test_a_log_whose_end_has_no_times_is_shown_whole(workspace, tmp_path):
    (tmp_path / "go").touch()
    run = submitted(workspace, tmp_path).wait()
    (log,) = (tmp_path / ".penstock").glob("local/local/runs/*/logs/one.log")
    with log.open("ab") as file:
        file.write(b"x\n" * 2**21)
    found = lines(run)
    assert [line[25:] for line in found[:3]] == [b"one", b"two", b"x"]
    assert set(found[2:]) == {UNKNOWN + b"x"}
    assert len(found) == 2**21 + 2
    assert not [line for line in found[:2] if line.startswith(b"-")]
