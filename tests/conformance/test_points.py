"""Kill points: every durable step is one, and a process dies right before the one that it is told."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import pytest

from penstock.testing.faults.points import Point, kill_at_each, points_of
from penstock.testing.harness import Harness
from penstock.testing.laws import LawBroken
from penstock.testing.processes.killing import kill_naming, naming
from penstock.testing.processes.subprocesses import in_subprocess
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject


@pytest.fixture
def new_folder(tmp_path):
    return lambda: Path(tempfile.mkdtemp(dir=tmp_path))


@pytest.fixture(scope="module")
def harness(tmp_path_factory, engines_end):
    folder = tmp_path_factory.mktemp("points")
    yield Harness(Subject.of_options(folder, {"backend": "local", "idle": "1s"}), DEFAULT, seed=1)
    engines_end(folder)


@pytest.mark.thorough
def test_every_kind_of_durable_step_is_a_point_and_nothing_else_is(new_folder):
    import scripted

    assert [str(point) for point in points_of(scripted.steps, new_folder())] == scripted.NAMES


def test_a_process_dies_right_before_each_step(new_folder):
    import scripted

    points = points_of(scripted.steps, new_folder())
    died = kill_at_each(points, scripted.steps, scripted.exactly_the_steps_before, new_folder)
    assert died == points


def test_what_is_judged_names_the_point(new_folder):
    import scripted

    points = [Point(name) for name in scripted.NAMES if "number" not in name]
    with pytest.raises(LawBroken, match=r"killed before `open .\*.\*`: something is there") as broken:
        kill_at_each(points[2:], scripted.steps, scripted.nothing_at_all, new_folder)
    assert broken.value.law == 1


def test_a_point_that_is_not_reached_is_not_one_where_it_died(new_folder):
    import scripted

    far = Point("rename report-*.txt", 1)
    assert str(far) == "rename report-*.txt, number 2"
    assert kill_at_each([far], scripted.steps, scripted.all_of_it, new_folder) == []


def test_the_probe_is_whole_at_every_moment_while_others_examine_the_same(harness):
    import scripted

    points = points_of(scripted.examines_too, harness.subject)
    assert points
    killed = kill_at_each(
        points, scripted.examines_too, scripted.the_probe_is_whole, lambda: harness.subject, at_once=1
    )
    assert killed == points


@pytest.mark.thorough
@pytest.mark.parametrize(("breaking", "reason"), [
    ("deaf", "the moment before the call of the hook was not seen"),
    ("alive", r"(\d+) of \1 points were not reached: `call of penstock_cancel_run`, "),
])  # fmt: skip
def test_a_history_that_is_not_interrupted_is_not_passed(breaking, reason, new_folder, engines_end):
    import scripted

    folder = new_folder()
    result, said = in_subprocess(scripted.asked, folder, "a_killed_cancel_is_made_up_for", breaking)
    engines_end(folder)
    assert result == "skip"
    assert re.match(reason, said)


def test_processes_are_found_by_a_folder_that_they_name_and_killed(new_folder):
    import subprocess
    import sys

    folder, other = new_folder(), new_folder()
    sleeping = [sys.executable, "-S", "-c", "import time; print(flush=True); time.sleep(600)"]
    named = {
        "argument": subprocess.Popen([*sleeping, str(folder / "x")], stdout=subprocess.PIPE),
        "environment": subprocess.Popen(sleeping, env={"HERE": str(folder)}, stdout=subprocess.PIPE),
        "directory": subprocess.Popen(sleeping, cwd=folder, stdout=subprocess.PIPE),
    }
    stranger = subprocess.Popen(sleeping, cwd=other, stdout=subprocess.PIPE)
    try:
        for process in (*named.values(), stranger):
            process.stdout.readline()
        assert sorted(naming(folder)) == sorted(process.pid for process in named.values())
        assert kill_naming(folder, spare={named["directory"].pid}.__contains__) == 2
        assert naming(folder) == [named["directory"].pid]
        assert kill_naming(folder) == 1
        assert (naming(folder), naming(other)) == ([], [stranger.pid])
    finally:
        for process in (*named.values(), stranger):
            process.kill()
            process.communicate()
