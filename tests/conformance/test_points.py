"""Kill points: every durable step is one, and a process dies right before the one that it is told."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from penstock.testing.bench import Bench
from penstock.testing.checks import interruptions
from penstock.testing.faults.points import Point, kill_at_each, points_of
from penstock.testing.laws import LawBroken
from penstock.testing.processes.apart import apart
from penstock.testing.processes.killing import kill_naming, naming
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject


@pytest.fixture
def new_folder(tmp_path):
    return lambda: Path(tempfile.mkdtemp(dir=tmp_path))


@pytest.fixture(scope="module")
def bench(tmp_path_factory, engines_end):
    folder = tmp_path_factory.mktemp("points")
    yield Bench(Subject.of_options(folder, {"backend": "local", "idle": "1s"}), DEFAULT, seed=1)
    engines_end(folder)


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


@pytest.mark.parametrize(("breaking", "reason"), [
    ("deaf", "the moment before `call of penstock_get_run` was not seen"),
    ("alive", "5 of 5 points were not reached: `call of penstock_get_run`, "),
])  # fmt: skip
def test_a_history_that_is_not_interrupted_is_not_passed(breaking, reason, new_folder, engines_end):
    import scripted

    folder = new_folder()
    result, said = apart(scripted.asked, folder, "a_killed_look_changes_nothing", breaking)
    engines_end(folder)
    assert (result, said[: len(reason)]) == ("skip", reason)


def _names(history, scene):
    return [str(point) for point in points_of(history.calls, scene)]


def test_a_submit_is_killed_after_acceptance_after_the_answer_and_before_our_write(bench):
    names = _names(interruptions.SUBMIT, interruptions.SUBMIT.scene(bench))
    accepted = next(number for number, name in enumerate(names) if ": insert runs" in name)
    called, answered = names.index("call of penstock_submit_run"), names.index("answer of penstock_submit_run")
    assert names[accepted + 1].startswith("commit") and "update handovers" in names[accepted + 1]
    assert accepted + 1 < called < answered
    assert names[answered + 1 :] == ["commit in r-*.db: update runs, delete handovers"]
    assert any(name.startswith("process") for name in names[called:answered])


def test_a_look_is_killed_between_the_answer_and_what_we_write_of_it(bench):
    names = _names(interruptions.REFRESH, interruptions.REFRESH.scene(bench))
    assert [name for name in names if name.startswith("answer")] == [
        "answer of penstock_get_run",
        "answer of penstock_get_outputs",
    ]
    assert names[-1].startswith("commit in r-*.db: update runs")


def test_a_publish_is_killed_between_making_the_registry_and_telling_the_target(bench):
    names = _names(interruptions.PUBLISH, interruptions.PUBLISH.scene(bench))
    published, told = names.index("answer of penstock_publish_pipeline"), names.index("call of penstock_sync_endpoint")
    assert names.index("link r-*.db") < published < told
    assert "insert published" in names[published + 1]


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
