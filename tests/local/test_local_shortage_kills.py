"""A kill in the middle of a shortage: the engine keeps what its keeper had, and no finished step runs again."""

import os
import resource
from pathlib import Path

import pytest

from penstock.contract.run import ENDED
from penstock.errors import TargetUnavailable
from penstock.spec import Step
from penstock_local import hooks


class Held:
    """A step that notes its start and its end in a file elsewhere, and ends when it may."""

    def __init__(self, tmp_path, name: str = "held") -> None:
        self.notes, self.go = tmp_path / f"{name}.notes", tmp_path / "go"
        wait = f"while ! test -e {self.go}; do sleep 0.02; done"
        self.step = Step(command=["sh", "-c", f"echo b >> {self.notes}; {wait}; echo e >> {self.notes}"])

    def noted(self) -> str:
        return self.notes.read_text().replace("\n", "") if self.notes.exists() else ""


def few_files(engine: int, number: int | None = None) -> tuple[int, int]:
    """Let an engine open no file more than it has, or fewer."""
    used = {int(name) for name in os.listdir(f"/proc/{engine}/fd")}
    few = min(set(range(len(used) + 1)) - used) if number is None else number
    usual = resource.prlimit(engine, resource.RLIMIT_NOFILE)
    resource.prlimit(engine, resource.RLIMIT_NOFILE, (few, usual[1]))
    return usual


def children(engine: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{engine}/task/{engine}/children").read_text().split()]


def state(place, run) -> str:
    try:
        return place.get(run).state
    except TargetUnavailable as error:
        assert error.code == "engine_paused"
        return "paused"


def started(place, *steps: Held):
    runs = [place.submit({"one": held.step}) for held in steps]
    place.until(lambda: all(held.noted() == "b" for held in steps), "the steps do not start")
    return runs


def all_succeed(place, runs) -> None:
    place.until(lambda: all(state(place, run) in ENDED for run in runs), "the runs do not end")
    assert {(place.get(run).state, place.get(run).steps[0].attempt) for run in runs} == {("succeeded", 1)}
    place.until(lambda: hooks.penstock_check_target(place.target).ok, "it is not said that all is well again")


@pytest.mark.parametrize("who", ["keeper", "engine"])
def test_a_kill_on_a_full_disk_repeats_nothing(places, small_disk, tmp_path, who):
    disk = small_disk()
    place = places(root=disk.folder / "root", grace=0.2)
    helds = [Held(tmp_path, name) for name in ("a", "b")]
    runs = started(place, *helds)
    disk.fill()
    engine = place.engine()
    place.kill(*(place.keepers() if who == "keeper" else [engine]))
    state(place, runs[0])
    helds[0].go.touch()
    place.until(lambda: all(held.noted() == "be" for held in helds), "a step does not go on")
    if who == "keeper":
        assert place.engine() == engine
    disk.clear()
    all_succeed(place, [*runs, place.submit({"one": "true"})])
    assert {held.noted() for held in helds} == {"be"}


@pytest.mark.thorough
def test_an_end_that_the_engine_hears_of_on_a_full_disk_outlives_the_engine(places, small_disk, tmp_path):
    disk = small_disk()
    place = places(root=disk.folder / "root", grace=0.2)
    helds = [Held(tmp_path, name) for name in ("a", "b")]
    runs = started(place, *helds)
    place.kill(*place.keepers())
    disk.fill()
    helds[0].go.touch()
    place.until(lambda: all(held.noted() == "be" for held in helds), "a step does not go on")
    place.until(lambda: state(place, runs[0]) == "paused", "it does not say that it waits")
    engine = place.engine()
    place.until(lambda: not children(engine), "the ends are not taken note of")
    place.kill_engine()
    disk.clear()
    all_succeed(place, runs)
    assert {held.noted() for held in helds} == {"be"}


@pytest.mark.parametrize("number", [None, 3])
def test_a_kill_of_the_keeper_without_open_files_repeats_nothing(place, tmp_path, number):
    helds = [Held(tmp_path, name) for name in ("a", "b")]
    runs = started(place, *helds)
    engine = place.engine()
    usual = few_files(engine, number)
    place.kill(*place.keepers())
    helds[0].go.touch()
    place.until(lambda: all(held.noted() == "be" for held in helds), "a step does not go on")
    place.until(lambda: state(place, runs[0]) == "paused", "it does not say that it waits")
    assert place.engine() == engine
    resource.prlimit(engine, resource.RLIMIT_NOFILE, usual)
    all_succeed(place, [*runs, place.submit({"one": "true"})])
    assert {held.noted() for held in helds} == {"be"}
    assert place.engine() == engine


@pytest.mark.parametrize("number", [None, 3])
def test_steps_that_end_without_open_files_end_well_and_what_waits_goes_on(places, tmp_path, number):
    place = places(slots=2)
    helds = [Held(tmp_path, name) for name in ("a", "b")]
    runs = started(place, *helds)
    runs.append(place.submit({"one": "true"}))
    engine = place.engine()
    usual = few_files(engine, number)
    helds[0].go.touch()
    place.until(lambda: state(place, runs[2]) == "paused", "it does not say that it waits")
    resource.prlimit(engine, resource.RLIMIT_NOFILE, usual)
    all_succeed(place, runs)
    assert place.engine() == engine


def test_a_cancel_without_open_files_is_heard_when_there_are_some(places, tmp_path):
    place = places(grace=0.2)
    held = Held(tmp_path)
    (run,) = started(place, held)
    engine = place.engine()
    usual = few_files(engine, 3)
    place.cancel(run)
    place.until(lambda: state(place, run) == "paused", "it does not say that it waits")
    resource.prlimit(engine, resource.RLIMIT_NOFILE, usual)
    place.until(lambda: state(place, run) in ENDED, "the run does not end")
    assert place.get(run).state == "canceled"
    assert place.engine() == engine


def test_a_limit_on_the_size_of_files_fails_nothing(place, tmp_path):
    held = Held(tmp_path)
    runs = started(place, held)
    (keeper,) = place.keepers()
    usual = resource.prlimit(keeper, resource.RLIMIT_FSIZE)
    resource.prlimit(keeper, resource.RLIMIT_FSIZE, (1, usual[1]))
    runs.append(place.submit({"one": "true"}))
    place.until(lambda: state(place, runs[1]) == "paused", "it does not say that it waits")
    with pytest.raises(TargetUnavailable, match="File too large"):
        place.get(runs[1])
    resource.prlimit(keeper, resource.RLIMIT_FSIZE, usual)
    held.go.touch()
    all_succeed(place, runs)
