"""When lines of a log came: marks beside it, made while a step writes into it by itself, few and never in its way."""

from __future__ import annotations

import contextlib
import itertools
import operator
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.spec import Retry, Step
from penstock_local import hooks, times, watching
from penstock_local.clock import Clock
from penstock_local.layout import Layout
from penstock_local.times import INTERVAL, Marks, file_of
from penstock_local.watching import Watching

BEGINNING = datetime(2026, 11, 20, tzinfo=UTC)


def now() -> datetime:
    """The time as marks have it, in whole milliseconds."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def marks_of(place, run, step):
    """All marks of a log."""
    return hooks.penstock_read_logs(place.target, run, step, 0).times


def marks_in(log):
    return times.read(log, 0, 1 << 40)


def time_of(marks, offset: int):
    """The time of the byte at an offset."""
    return next(mark.time for mark in marks if mark.offset > offset)


def waiting_for(go) -> str:
    return f"until [ -e {go} ]; do sleep 0.02; done"


@pytest.fixture
def log(tmp_path):
    """Where a log may lie whose folder is there."""
    path = Layout(tmp_path / "root").log_of("run", "one")
    path.parent.mkdir(parents=True)
    return path


# Steps


def test_the_line_that_stands_for_a_log_which_is_gone_has_no_time_of_that_log(place, tmp_path):
    """Who shows what has a time already would show a part of it, and find the log another one there."""
    log = place.layout.log_of("run", "one")
    go = f"until [ -e {tmp_path}/$n ]; do sleep 0.02; done"
    run = place.submit({"one": ["sh", "-c", f"echo one; n=first; {go}; rm {log}; n=second; {go}; echo two"]}, run="run")
    place.until(lambda: marks_of(place, run, "one"), "the first line gets no time")
    (tmp_path / "first").touch()
    place.until(lambda: place.log(run, "one").startswith(b"--- "), "it is not told")
    for state in ("running", "succeeded"):
        chunk = hooks.penstock_read_logs(place.target, run, "one", 0)
        assert [(mark.offset, mark.time) for mark in chunk.times] == [(len(chunk.data), None)]
        assert hooks.penstock_read_logs(place.target, run, "one", len(chunk.data)).times == []
        assert hooks.penstock_get_run(place.target, run).state == state
        assert file_of(log).exists()
        (tmp_path / "second").touch()
        place.wait(run)


def test_each_line_has_the_time_at_which_it_was_there(place, tmp_path):
    before = now()
    run = place.submit({"one": ["sh", "-c", f"echo one; {waiting_for(tmp_path / 'go')}; echo two"]})
    place.until(lambda: marks_of(place, run, "one"), "the first line gets no time")
    between = now()
    (tmp_path / "go").touch()
    place.wait(run)
    chunk = hooks.penstock_read_logs(place.target, run, "one", 0)
    assert (chunk.data, chunk.times[-1].offset) == (b"one\ntwo\n", 8)
    assert before <= time_of(chunk.times, 0) <= between <= time_of(chunk.times, 4) <= now()
    rest = hooks.penstock_read_logs(place.target, run, "one", 4)
    assert [mark.time for mark in rest.times] == [mark.time for mark in chunk.times if mark.offset > 4]
    assert hooks.penstock_clear_run(place.target, run) > 0
    assert not file_of(place.layout.log_of(run.id, "one")).exists()


def test_a_silent_step_makes_no_file(place):
    run = place.submit({"one": "true"})
    place.wait(run)
    assert [path.suffix for path in place.layout.log_of(run.id, "one").parent.iterdir()] == [".log"]


def test_a_step_that_never_stops_writing_has_few_marks_and_all_its_bytes_have_a_time(place, tmp_path):
    script = f"while [ ! -e {tmp_path}/go ]; do echo x; done"
    run = place.submit({"one": ["sh", "-c", script], "two": ["sh", "-c", script]})
    place.until(
        lambda: all(len(marks_of(place, run, step) or ()) > 8 for step in ("one", "two")), "there are few marks"
    )
    (tmp_path / "go").touch()
    place.wait(run)
    for step in ("one", "two"):
        marks = marks_in(place.layout.log_of(run.id, step))
        assert marks[-1].offset == place.layout.log_of(run.id, step).stat().st_size
        apart = [after.time - mark.time for mark, after in itertools.pairwise(marks)]
        # The last is made at the end, whenever that is; times are rounded.
        assert all(gap >= timedelta(seconds=INTERVAL - 0.002) for gap in apart[:-1])


def test_attempts_go_on_in_one_log_and_their_line_has_a_time(place):
    run = place.submit({"one": Step(command=["sh", "-c", "echo no; exit 3"], retry=Retry(attempts=3))})
    place.wait(run)
    chunk = hooks.penstock_read_logs(place.target, run, "one", 0)
    assert chunk.data.count(b"no\n") == 3
    assert chunk.times[-1].offset == len(chunk.data)
    found = [mark.time for mark in chunk.times]
    assert None not in found
    assert found == sorted(found)


@pytest.mark.parametrize("who", ["engine", "keeper"])
def test_what_comes_after_a_kill_has_times_and_what_nobody_saw_has_none(place, tmp_path, who):
    script = f"echo one; {waiting_for(tmp_path / 'a')}; echo two; touch {tmp_path}/b; "
    script += f"{waiting_for(tmp_path / 'c')}; echo three"
    run = place.submit({"one": ["sh", "-c", script]})
    place.until(lambda: marks_of(place, run, "one"), "the first line gets no time")
    if who == "engine":
        place.kill_engine()
    else:
        place.kill(*place.keepers())
    (tmp_path / "a").touch()
    place.until((tmp_path / "b").exists, "the step does not go on")
    place.get(run)  # which starts the next engine
    place.until(lambda: is_watching(place.engine()), "nobody watches the step")
    (tmp_path / "c").touch()
    place.wait(run)
    marks = marks_of(place, run, "one")
    assert time_of(marks, 0)
    assert (time_of(marks, 4) is None) == (who == "engine")
    assert time_of(marks, 8)


def is_watching(pid: int) -> bool:
    """Whether a process watches any file."""
    found = []
    for info in Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(OSError):
            found.append(info.read_text())
    return any("inotify wd:" in text for text in found)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", ["mkfifo {}", "ln -s {}.victim {}", "mkdir {}"])
def test_marks_that_a_step_has_swapped_lead_nowhere_and_hold_nobody_up(place, how):
    path = file_of(place.layout.log_of("run", "one"))
    script = f"{how.format(path, path)}; echo one; exit 3"
    victim = path.with_name(f"{path.name}.victim")
    run = place.submit({"one": ["sh", "-c", script], "two": ["sh", "-c", "echo well"]}, run="run")
    place.wait(run)
    assert place.log(run, "one") == b"one\n"
    assert not victim.exists()
    assert time_of(marks_of(place, run, "two"), 0)
    if "mkdir" not in how:
        assert time_of(marks_of(place, run, "one"), 0)


def test_who_has_marked_a_log_rests_whatever_is_written_meanwhile(place, log):
    clock = Clock()
    watched = Watching(clock)
    other = log.with_name("two.log")
    with log.open("wb", buffering=0) as one, other.open("wb", buffering=0) as two:
        for path, file in ((log, one), (other, two)):
            watched.begin(path.name, path, file.fileno())
        place.until(lambda: clock.run(operator.call) or is_watching(os.getpid()), "nobody watches")
        one.write(b"x")
        assert watched.poll.poll(20)
        watched.look()
        for file in (one, two) * 100:
            file.write(b"x")
            assert watched.poll.poll(0) == []
        place.until(
            lambda: clock.run(operator.call) or file_of(other).exists(), "what was written meanwhile is not marked"
        )
        assert [marks_in(path)[-1].offset for path in (log, other)] == [101, 100]
        place.until(lambda: clock.run(operator.call) or clock.next() is None, "there is no end of it")
        two.write(b"x")
        assert watched.poll.poll(20)
        for path in (log, other):
            watched.end(path.name)
    assert marks_in(other)[-1].offset == 101


def test_without_inotify_there_are_no_times_and_nothing_else_is_amiss(monkeypatch, log):
    monkeypatch.setattr(watching.ctypes, "CDLL", lambda name: SimpleNamespace())
    watched = Watching(Clock())
    with log.open("wb") as file:
        watched.begin("token", log, file.fileno())
        file.write(b"x")
        file.flush()
        assert watched.poll.poll(0) == []
        watched.end("token")
    assert times.read(log, 0, 1) is None


# Marks


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9))), st.integers(0, 300), st.integers(0, 300))
def test_the_marks_of_a_piece_are_those_of_the_log(tmp_path_factory, grown, start, length):
    log = Layout(tmp_path_factory.mktemp("times")).log_of("run", "one")
    log.parent.mkdir(parents=True)
    marks, size, moment, known = Marks(log, 0), 0, 1.0, {}
    for more, later in grown:
        known |= dict.fromkeys(range(size, size + more), moment + later)
        size, moment = size + more, moment + later
        marks.add(size, moment)
    marks.close()
    found = times.read(log, start, start + length)
    assert (found is None) == (not grown and length > 0)
    offsets = [mark.offset for mark in found or ()]
    assert offsets == sorted(set(offsets))
    assert all(start < offset <= start + length for offset in offsets)
    for at in range(start, min(start + length, size)):
        assert time_of(found, at).timestamp() == known[at]


@given(st.integers(0, 1 << 30))
def test_however_long_it_goes_on_there_are_so_many_marks_and_none_is_later_by_much(tmp_path_factory, seed):
    log = Layout(tmp_path_factory.mktemp("times")).log_of("run", "one")
    log.parent.mkdir(parents=True)
    rand, most = random.Random(seed), times.MOST
    times.MOST = 64
    try:
        marks, moment, due, true = Marks(log, 0), 1000.0, 0.0, []
        for size in range(1, 1000):
            moment += rand.choice([0.01, 0.05, 0.05, 0.1, 3.0])
            if moment >= due or size == 999:
                true += [moment] * (size - len(true))
                marks.add(size, moment)
                due = moment + marks.interval
        marks.close()
        found = marks_in(log)
    finally:
        times.MOST = most
    assert len(found) <= 64
    assert found[-1].offset == 999
    for at, moment in enumerate(true):  # marks are thinned again and again, each time twice as far apart
        assert -0.001 <= time_of(found, at).timestamp() - moment <= 2 * marks.interval
    assert [path.name for path in log.parent.iterdir()] == ["one.at"]


@given(st.binary(max_size=300), st.integers(0, 40), st.integers(0, 40))
def test_whatever_a_step_writes_there_is_read_as_marks_in_order(tmp_path_factory, data, start, length):
    log = Layout(tmp_path_factory.mktemp("times")).log_of("run", "one")
    log.parent.mkdir(parents=True)
    file_of(log).write_bytes(data)
    found = times.read(log, start, start + length)
    offsets = [start, *(mark.offset for mark in found), start + length]
    assert offsets == sorted(offsets)
    known = [mark.time for mark in found if mark.time]
    assert known == sorted(known)
    marks = Marks(log, 5)
    marks.add(7, 1.0)
    marks.close()
    assert time_of(times.read(log, 6, 7), 6) is not None


def test_marks_that_cannot_be_thinned_are_given_up(log, monkeypatch):
    monkeypatch.setattr(times, "MOST", 8)
    # As no engine writes them: none is known, or each is a century after the one before.
    file_of(log).write_bytes(b"".join(times._RECORD.pack(at, at % 2 * at << 42) for at in range(1, 8)))
    marks = Marks(log, 7)
    marks.add(8, 1.0)
    marks.add(9, 1.0)
    marks.close()
    assert len(marks_in(log)) <= 8
    assert marks_in(log)[-1].offset == 9


def test_a_log_that_was_cut_begins_anew(log):
    marks = Marks(log, 0)
    marks.add(100, 1.0)
    marks.add(3, 2.0)
    marks.close()
    assert [(mark.offset, mark.time.timestamp()) for mark in marks_in(log)] == [(3, 2.0)]


def test_a_clock_that_was_put_back_stands_still(log):
    for size, moment in ((1, 50.0), (2, 20.0), (3, 60.0)):
        marks = Marks(log, size - 1)
        marks.add(size, moment)
        marks.close()
    assert [mark.time.timestamp() for mark in marks_in(log)] == [50.0, 50.0, 60.0]


def test_what_was_written_while_no_mark_could_be_has_no_time(log):
    marks = Marks(log, 0)
    log.parent.rename(log.parent.with_name("away"))
    with pytest.raises(OSError, match="No such file"):
        marks.add(5, 1.0)
    log.parent.with_name("away").rename(log.parent)
    marks.add(9, 2.0)
    marks.close()
    assert [mark.offset for mark in marks_in(log)] == [5, 9]
    assert [mark.time is None for mark in marks_in(log)] == [True, False]
