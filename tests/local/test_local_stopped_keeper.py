"""A keeper that a signal holds up holds up nothing for long: steps start, are canceled and end, and no step is lost."""

import os
import signal

import pytest

from penstock.contract.run import ENDED
from penstock.spec import Step
from penstock_local import hooks


def held(tmp_path, **more) -> Step:
    """A step that notes each start and each TERM, and ends when it may."""
    trap = f"trap 'echo t >> {tmp_path}/notes; exit' TERM"
    wait = f"echo b >> {tmp_path}/notes; while ! test -e {tmp_path}/go; do sleep 0.02; done"
    return Step(command=["sh", "-c", f"{trap}; {wait}"], **more)


def notes(tmp_path) -> str:
    path = tmp_path / "notes"
    return path.read_text().replace("\n", "") if path.exists() else ""


def stop_keeper(place) -> int:
    (keeper,) = place.keepers()
    os.kill(keeper, signal.SIGSTOP)
    return keeper


def submitted(place, tmp_path, **more):
    run = place.submit({"one": held(tmp_path, **more)})
    place.until(lambda: notes(tmp_path) == "b", "the step does not start")
    return run


def test_a_step_ends_and_another_starts(place, tmp_path):
    run = submitted(place, tmp_path)
    engine = place.engine()
    stop_keeper(place)
    other = place.submit({"one": "true"})
    assert place.wait(other).state == "succeeded"
    (tmp_path / "go").touch()
    report = place.wait(run)
    assert (report.state, report.steps[0].attempt, notes(tmp_path)) == ("succeeded", 1, "b")
    assert place.engine() == engine


def test_target_check_says_so(place, tmp_path):
    submitted(place, tmp_path)
    (keeper,) = place.keepers()

    def said() -> bool:
        os.kill(keeper, signal.SIGSTOP)
        health = hooks.penstock_check_target(place.target)
        return not health.ok and f"process {keeper}, which keeps steps, is held up by a signal" in health.lines[-1]

    place.until(said, "it does not say so")


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_a_step_that_is_to_end_hears_of_it_once(places, tmp_path, how):
    place = places(grace=30.0)
    more = {"timeout": 2.0} if how == "timeout" else {}
    run = submitted(place, tmp_path, **more)
    stop_keeper(place)
    if how == "cancel":
        place.cancel(run)
    place.until(lambda: notes(tmp_path) == "bt", "the step does not hear of it")
    place.wait(run)
    assert place.get(run).state == ("canceled" if how == "cancel" else "failed")
    assert notes(tmp_path) == "bt"


def test_one_that_is_stopped_again_and_again_is_ended_and_its_steps_are_kept(place, tmp_path):
    run = submitted(place, tmp_path)
    engine, keeper = place.engine(), stop_keeper(place)

    def ended() -> bool:
        if place.alive(keeper):
            os.kill(keeper, signal.SIGSTOP)
        return not place.alive(keeper)

    place.until(ended, "it is not ended")
    (tmp_path / "go").touch()
    report = place.wait(run)
    assert (report.state, report.steps[0].attempt, notes(tmp_path)) == ("succeeded", 1, "b")
    assert place.engine() == engine


@pytest.mark.parametrize("first", ["engine", "keeper"])
def test_one_of_an_engine_that_was_killed_goes_on(place, tmp_path, first):
    run = submitted(place, tmp_path)
    keeper = place.keepers()[0]
    if first == "engine":
        place.kill_engine()
        place.until(lambda: place.get(run).state == "running" and len(place.keepers()) == 2, "no engine comes")
        os.kill(keeper, signal.SIGSTOP)
    else:
        stop_keeper(place)
        place.kill_engine()
    (tmp_path / "go").touch()
    place.until(lambda: place.get(run).state in ENDED, "the run does not end")
    assert (place.get(run).state, place.get(run).steps[0].attempt, notes(tmp_path)) == ("succeeded", 1, "b")
