"""A run that waits for slots says so, and says it the same way for as long as it does."""

from __future__ import annotations

import pytest

from penstock.spec import Resources, Step
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
