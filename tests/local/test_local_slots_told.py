"""A run that waits for slots says so, and says it the same way for as long as it does."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time

import pytest

from penstock.spec import Resources, Retry, Step
from penstock_local import hooks, shortage

ONE, ALL = "its target's only slot", "slots: all 2 of its target are taken"


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(shortage, "_SOON", 0.0)


def holding(place, tmp_path, number, cpu=1):
    """A step that holds its slots until its file is there, and has them by now."""
    ends = f"touch {tmp_path}/{number}.began; until test -e {tmp_path}/{number}; do sleep 0.02; done"
    run = place.submit({"hold": Step(command=["sh", "-c", ends], resources=Resources(cpu=cpu))})
    place.until((tmp_path / f"{number}.began").exists, "the step does not start")
    return run


@pytest.mark.parametrize(("slots", "told"), [(1, ONE), (2, ALL)])
def test_what_waits_for_slots_says_so_until_it_has_them(places, tmp_path, at_once, slots, told):
    place = places(slots=slots)
    holders = [holding(place, tmp_path, number) for number in range(slots)]
    waits = place.submit({"one": "true", "two": Step(command="sleep 0.5", after=("one",))})
    assert place.get(waits).waits_for == told
    assert [place.get(holder).waits_for for holder in holders] == [None] * slots
    reports = hooks.penstock_list_runs(place.target, [waits, *holders])
    assert [reports[run.id].waits_for for run in (waits, *holders)] == [told, *[None] * slots]
    (tmp_path / "0").touch()
    place.until(lambda: place.states(waits)["two"] == "running", "it does not begin")
    assert place.get(waits).waits_for is None
    assert place.wait(waits).waits_for is None
    for number in range(slots):
        (tmp_path / f"{number}").touch()


def test_it_waits_between_its_steps_as_well_and_what_is_canceled_waits_for_nothing(places, tmp_path, at_once):
    place = places(slots=1)
    first = f"until test -e {tmp_path}/0; do sleep 0.02; done"
    other = place.submit({"one": Step(command=["sh", "-c", first]), "two": Step(command="true", after=("one",))})
    waits = place.submit({"one": "true"})
    place.until(lambda: place.get(waits).waits_for == ONE, "it does not say so")
    assert place.get(other).waits_for is None
    place.cancel(waits)
    assert place.wait(waits).waits_for is None
    (tmp_path / "0").touch()
    assert place.wait(other).state == "succeeded"


def test_a_step_that_takes_more_slots_than_are_free_says_how_many(places, tmp_path, at_once):
    place = places(slots=3)
    holding(place, tmp_path, 0)
    waits = place.submit({"wide": Step(command="true", resources=Resources(cpu=3))})
    assert place.get(waits).waits_for == "slots: it takes 3 of the 3 of its target at once, and fewer are free"
    (tmp_path / "0").touch()
    assert place.wait(waits).state == "succeeded"


def test_what_waits_for_long_is_told_what_would_let_it_wait_for_ever(places, tmp_path, at_once, monkeypatch):
    monkeypatch.setattr(shortage, "_LONG", 0.0)
    place = places(slots=1)
    holding(place, tmp_path, 0)
    told = place.get(place.submit({"one": "true"})).waits_for
    assert told.startswith(f"{ONE} (for ever if a step that has some waits for this run by HTTP")
    assert "penstock run wait" in told
    (tmp_path / "0").touch()


def test_what_has_just_come_waits_for_nothing(places, tmp_path):
    place = places(slots=1)
    holding(place, tmp_path, 0)
    assert place.get(place.submit({"one": "true"})).waits_for is None
    (tmp_path / "0").touch()


def test_a_step_that_cannot_begin_yet_and_what_is_behind_a_wide_one_wait_as_well(places, tmp_path, at_once):
    place = places(slots=2)
    holding(place, tmp_path, 0)
    wide = place.submit({
        "one": Step(command="true", resources=Resources(cpu=2)), "two": Step(command="true", after=("one",))
    })  # fmt: skip
    narrow = place.submit({"one": "true"})
    assert place.get(wide).waits_for == "slots: it takes 2 of the 2 of its target at once, and fewer are free"
    assert place.get(narrow).waits_for == (
        "slots: what is before it takes 2 of the 2 of its target at once, and fewer are free"
    )
    (tmp_path / "0").touch()
    assert [place.wait(run).state for run in (wide, narrow)] == ["succeeded"] * 2


def failed_once(place, tmp_path, cpu=1):
    """A step that waits for ten minutes before it is tried again, and a holder that was let in meanwhile."""
    script = (
        f"test -e {tmp_path}/failed || {{ until test -e {tmp_path}/fail; do sleep 0.02; done; touch {tmp_path}/failed;"
        f" exit 1; }}; touch {tmp_path}/again; until test -e {tmp_path}/ends; do sleep 0.02; done"
    )
    again = Retry(attempts=2, delay=600.0)
    run = place.submit({"one": Step(command=["sh", "-c", script], resources=Resources(cpu=cpu), retry=again)})
    place.until(lambda: place.states(run) == {"one": "running"}, "it does not begin")
    (tmp_path / "fail").touch()
    place.until(lambda: b"attempt 2 of 2" in place.log(run, "one"), "the first attempt does not fail")
    holding(place, tmp_path, 0)
    return run


def write(place, statement, run):
    """Write into the queue of a run."""
    with contextlib.closing(sqlite3.connect(place.layout.queue, isolation_level=None)) as connection:
        connection.execute(statement, (run.id,))


def lapse(place, run, seconds):
    """Let time go by since the last attempt of a step, for everybody but the engine that runs."""
    write(place, "UPDATE jobs SET created = 0 WHERE id = ?", run)
    os.utime(place.layout.log_of(run.id, "one"), (time.time() - seconds,) * 2)


def test_a_step_that_is_tried_again_waits_for_its_delay_first_and_then_for_slots(places, tmp_path, monkeypatch):
    place = places(slots=1)
    run = failed_once(place, tmp_path)
    for seconds in (590.0, 600.1):  # within its delay, and within two seconds after it
        lapse(place, run, seconds)
        assert place.get(run).waits_for is None
    lapse(place, run, 610.0)
    assert place.get(run).waits_for == ONE
    lapse(place, run, 640.0)
    assert place.get(run).waits_for.startswith(f"{ONE} (for ever if")
    place.kill_engine()
    place.until(lambda: place.get(run) and place.engines(), "no engine comes")  # which finds the delay over
    (tmp_path / "0").touch()
    place.until((tmp_path / "again").exists, "it is not tried again")
    monkeypatch.setattr(shortage, "_SOON", 0.0)
    assert place.get(run).waits_for is None
    (tmp_path / "ends").touch()
    assert place.wait(run).state == "succeeded"


def test_a_step_that_is_tried_again_is_before_what_came_later_once_its_delay_is_over(places, tmp_path, at_once):
    place = places(slots=2)
    wide = failed_once(place, tmp_path, cpu=2)
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    lapse(place, wide, 610.0)
    place.kill_engine()  # the next one finds the delay over
    narrow = place.submit({"one": "true"})
    assert place.get(narrow).waits_for == (
        "slots: what is before it takes 2 of the 2 of its target at once, and fewer are free"
    )
    assert place.get(wide).waits_for == "slots: it takes 2 of the 2 of its target at once, and fewer are free"
    for name in ("0", "ends"):
        (tmp_path / name).touch()
    assert [place.wait(run).state for run in (wide, narrow)] == ["succeeded"] * 2


def test_a_step_that_was_cut_short_waits_for_slots_at_once_and_for_all_of_them_the_last_time(places, tmp_path, at_once):
    place = places(slots=2)
    for number in range(2):
        holding(place, tmp_path, number)
    run = place.submit({"one": Step(command="true", retry=Retry(attempts=2, delay=600.0))})
    write(place, "UPDATE jobs SET state = 'running', started = created WHERE id = ?", run)
    cut_short = "UPDATE steps SET state = 'running', attempt = 2, interruptions = 2"
    write(place, f"{cut_short} WHERE job = (SELECT seq FROM jobs WHERE id = ?)", run)  # as two kills would
    assert place.get(run).waits_for == ALL
    place.kill_engine()  # the next one finds it so
    place.until(lambda: place.get(run).waits_for and place.engines(), "no engine comes")
    (tmp_path / "1").touch()
    told = "slots: it takes 2 of the 2 of its target at once, and fewer are free"
    place.until(lambda: place.get(run).waits_for == told, "it does not say so")
    (tmp_path / "0").touch()
    assert place.wait(run).state == "succeeded"
