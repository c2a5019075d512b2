"""Steps that are prepared while those before them run: nothing of that is to be seen, whatever happens meanwhile."""

import json
import os
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from penstock.contract.run import BoundParameters
from penstock.spec import Step
from penstock_local import hooks, preparation, steps
from penstock_local.jobs import Job
from penstock_local.logs import Opened
from penstock_local.preparation import Preparation
from penstock_local.steps import Prepared

FIRST = 'while ! test -e "$0"; do sleep 0.01; done'
SECOND = 'ls -A "$TMPDIR"; ls -A "$(dirname "$0")"; stat -c %a "$TMPDIR"; echo 1 > "$0"'
CLEAN = b"700\n"


@pytest.fixture
def running(place, tmp_path):
    """A run whose first step goes on until a file is there, and the places that were made for the second."""
    first = Step(command=["sh", "-c", FIRST, f"{tmp_path}/go"])
    second = Step(command=["sh", "-c", SECOND, "${{ outputs.n }}"], outputs={"n": "integer"}, after=("first",))
    return place.submit({"first": first, "second": second}, run="run")


def made(place) -> dict[str, Path]:
    run = place.layout.run("run")
    return {
        "temporary": place.layout.temporaries / "1.1.1",
        "outputs": run / "outputs/second.1",
        "log": run / "logs/second.log",
    }


def prepared(place) -> None:
    place.until(lambda: all(path.exists() for path in made(place).values()), "the second step is not prepared")


def test_what_was_made_for_a_step_that_will_not_be_goes(place, running):
    prepared(place)
    assert place.states(running) == {"first": "running", "second": "queued"}
    assert place.log(running, "second") == b""
    assert place.cancel(running)
    place.wait(running)
    place.until(lambda: not any(path.exists() for path in made(place).values()), "something stays")


def _plant(folder: Path) -> None:
    (folder / "n").write_text("2")


def _link(folder: Path, elsewhere: Path) -> None:
    folder.rmdir()
    folder.symlink_to(elsewhere)


@pytest.mark.sampled(6)
@pytest.mark.parametrize("what", ["temporary", "outputs"])
@pytest.mark.parametrize("how", ["filled", "opened", "gone", "link"])
@pytest.mark.parametrize("killed", [False, True], ids=["", "killed"])
def test_a_step_finds_its_folders_empty_whatever_was_done_to_them(place, running, tmp_path, what, how, killed):
    prepared(place)
    place_of_it = made(place)[what]
    {
        "filled": partial(_plant, place_of_it),
        "opened": partial(place_of_it.chmod, 0o777),
        "gone": place_of_it.rmdir,
        "link": partial(_link, place_of_it, tmp_path),
    }[how]()
    if killed:
        place.kill_engine()
    (tmp_path / "go").touch()
    assert place.wait(running).state == "succeeded"
    assert place.log(running, "second") == CLEAN
    assert place.steps(running)["second"].attempt == 1
    assert not (tmp_path / "n").exists()


@pytest.mark.parametrize("how", ["removed", "moved", "replaced"])
def test_a_log_is_where_it_is_looked_for_whatever_became_of_the_one_that_was_made(place, running, tmp_path, how):
    prepared(place)
    log = made(place)["log"]
    if how == "removed":
        log.unlink()
    elif how == "moved":
        log.parent.rename(log.parent.with_name("else"))
    else:
        shutil.rmtree(log.parent)
        log.parent.mkdir()
        log.touch()
    (tmp_path / "go").touch()
    assert place.wait(running).state == "succeeded"
    assert log.read_bytes() == CLEAN


def test_a_log_that_was_replaced_by_a_link_to_it_is_made_again(place, running, tmp_path):
    prepared(place)
    log = made(place)["log"]
    log.rename(log.with_name("x"))
    log.symlink_to("x")
    (tmp_path / "go").touch()
    assert place.wait(running).state == "succeeded"
    assert place.log(running, "second") == CLEAN


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_log_that_cannot_be_opened_ahead_leaves_nothing(place):
    place.layout.make()
    log = place.layout.log_of("run", "one")
    place.layout.runs.rmdir()
    place.layout.runs.symlink_to("/")
    with pytest.raises(OSError, match="link"):
        Opened(log)


def test_few_of_many_steps_are_prepared_before_their_turn(place, tmp_path):
    first = Step(command=["sh", "-c", FIRST, f"{tmp_path}/go"])
    others = {f"s{number}": Step(command="true", after=("first",)) for number in range(40)}
    run = place.submit({"first": first, **others})
    place.until(lambda: place.states(run)["first"] == "running", "the step does not start")
    place.until(lambda: len(_folders(place)) > 1, "nothing is prepared")
    assert len(_folders(place)) <= 1 + preparation.MOST_AHEAD
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    place.until(lambda: not _folders(place), "a folder stays")


def _folders(place) -> list[str]:
    return [name for name in os.listdir(place.layout.temporaries) if name != ".where"]


def test_a_step_that_needs_what_is_not_there_yet_is_prepared_in_its_turn(place, tmp_path):
    first = Step(command=["sh", "-c", f'{FIRST}; echo 5 > "$1"', f"{tmp_path}/go", "${{ outputs.n }}"])
    first = Step(command=first.command, outputs={"n": "integer"})
    second = Step(command=["echo", "${{ inputs.n }}"], inputs={"n": "${{ steps.first.outputs.n }}"})
    run = place.submit({"first": first, "second": second}, run="run")
    place.until(lambda: place.states(run)["first"] == "running", "the step does not start")
    assert not made(place)["temporary"].exists()
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "second") == b"5\n"


@pytest.fixture
def prepares(place):
    """Prepares, and says what became of it; and some steps, of which none waits for another."""
    place.layout.make()
    ready = []
    made = Preparation(place.layout, ring=lambda: None, ready=lambda step, result: ready.append(result))
    names = {f"s{number}": "true" for number in range(preparation.MOST_AHEAD + 2)}
    taken = place.snapshot(place.pipeline(names))
    plan = json.loads(hooks.penstock_compile_pipeline(place.target, taken).data)
    return made, ready, list(Job.of(1, "run", plan, BoundParameters(), {}).steps.values())


def test_what_could_not_be_prepared_or_is_old_keeps_no_other_from_it(prepares, monkeypatch):
    made, _, (first, second, *others) = prepares
    real = steps.prepare
    monkeypatch.setattr(steps, "prepare", None)
    first.missing = 1
    made.look_ahead(first)
    assert not made.can_look_ahead(first)
    first.missing = 0
    assert made.can_look_ahead(first)  # what it waited for is there
    monkeypatch.setattr(steps, "prepare", real)
    for step in (first, *others[:-1]):
        assert made.can_look_ahead(step)
        made.look_ahead(step)
    assert not made.can_look_ahead(second)
    monkeypatch.setattr(preparation, "GOOD", 0.0)
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    made.look_ahead(others[-1])
    assert made.can_look_ahead(second) and not made.can_look_ahead(first)
    made.close()


@pytest.mark.parametrize("python", ["/usr/bin/python3", "/nowhere/python"])
def test_an_interpreter_that_is_gone_since_is_told_as_ever(prepares, monkeypatch, python):
    made, ready, (step, *_) = prepares
    step.plan = {**step.plan, "command": ["python", "-V"]}
    made.look_ahead(step)
    step.job.python = python
    made.start(step)
    assert isinstance(ready[0], OSError) == (python == "/nowhere/python")
    made.close()


@pytest.mark.parametrize("moved", [False, True])
def test_of_a_root_that_has_moved_nothing_is_removed_in_its_old_place(place, prepares, moved):
    made, _, (step, *_) = prepares
    made.look_ahead(step)
    assert _folders(place) == ["1.0.1"]
    made.close(moved=moved)
    assert _folders(place) == (["1.0.1"] if moved else [])


def test_in_a_folder_whose_group_is_inherited_steps_are_prepared_once(place, prepares, monkeypatch):
    place.layout.temporaries.mkdir(mode=0o700)
    place.layout.temporaries.chmod(0o2700)
    made, ready, (step, *_) = prepares
    made.look_ahead(step)
    monkeypatch.setattr(steps, "prepare", None)
    made.start(step)
    assert isinstance(ready[0], Prepared)
    made.close()


@pytest.mark.parametrize("good", [60.0, 0.0])
def test_what_was_prepared_long_ago_is_prepared_again(place, prepares, monkeypatch, good):
    prepares, ready, (step, *_) = prepares
    asked, real = [], steps.prepare
    monkeypatch.setattr(steps, "prepare", lambda *arguments: asked.append(1) or real(*arguments))
    monkeypatch.setattr(preparation, "GOOD", good)
    step.token = "token"
    prepares.look_ahead(step)
    prepares.start(step)
    assert len(asked) == (1 if good else 2)
    assert [one.token for one in ready] == ["token"]
    prepares.clean(step, keep_work=False)
    prepares.close()
    assert _folders(place) == []


def test_a_step_finds_the_very_interpreter_also_when_the_one_before_it_has_removed_the_way_to_it(places, tmp_path):
    python = tmp_path / "python3.99"
    python.write_text('#!/bin/sh\necho "the very one"\n')
    python.chmod(0o755)
    place = places(python=python)
    first = Step(command=["sh", "-c", f'{FIRST}; rm -r "$1"', f"{tmp_path}/go", f"{place.layout.interpreters}"])
    run = place.submit({"first": first, "second": Step(command=["python", "-V"], after=("first",))}, run="run")
    place.until(made(place)["log"].exists, "the second step is not prepared")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert place.log(run, "second") == b"the very one\n"


def test_a_step_whose_runs_have_become_a_link_does_not_begin(place, tmp_path):
    swap = 'cd "$1" && mv runs elsewhere && ln -s elsewhere runs'
    first = Step(command=["sh", "-c", f"{FIRST}; {swap}", f"{tmp_path}/go", f"{place.layout.root}"])
    run = place.submit({"first": first, "second": Step(command="true", after=("first",))}, run="run")
    place.until(made(place)["log"].exists, "the second step is not prepared")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "failed"
    assert "link" in place.steps(run)["second"].error.message
