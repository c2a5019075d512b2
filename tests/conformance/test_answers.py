"""Troubled answers: each kind of trouble does what it says, once, and to the call that it names."""

from __future__ import annotations

import pytest
import scripted
from attrs import evolve

from penstock.contract.run import Absent, RunRef, RunReport
from penstock.contract.target import Publication
from penstock.errors import TargetUnavailable
from penstock.targets.facade import OpenTarget
from penstock.targets.manager import BACKEND_HOOKS
from penstock.testing.checks.answers import DELETE, HISTORIES
from penstock.testing.faults.answers import Answers, Trouble
from penstock.testing.faults.reaching import REACHING
from penstock.testing.faults.scenes import Scene
from penstock.testing.faults.troubles import plays
from penstock.testing.harness import Harness
from penstock.testing.laws import LawBroken
from penstock.testing.probes.pipelines import variant
from penstock.testing.processes.subprocesses import in_subprocess
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def harness(tmp_path_factory, engines_end):
    folder = tmp_path_factory.mktemp("answers")
    yield Harness(Subject.of_options(folder, {"backend": "local", "idle": "1s"}), DEFAULT, seed=1)
    engines_end(folder)


@pytest.fixture
def troubled(harness):
    """A submit with one trouble in it: the plugin, the run after its end, and the scene."""

    def play(hook, fault, number=0, meanwhile=lambda: None):
        scene = Scene.on(harness)
        answers = Answers(scene.subject.config, Trouble(hook=hook, number=number, fault=fault), meanwhile)
        with scene.open(("answers", answers)) as workspace:
            published = workspace.publish(variant("python", "a"), folder=scene.specs)
            run = workspace.runs.submit(published.id, parameters=scene.parameters()).run
            scene.until_reported(run, "succeeded")
            return answers, workspace.runs.get(run.id), scene

    return play


@pytest.mark.parametrize("fault", ["lost before", "lost after"])
def test_a_lost_answer_is_asked_for_again(troubled, fault):
    answers, run, scene = troubled("penstock_submit_run", fault)
    assert (answers.met, answers.calls["penstock_submit_run"]) == (True, 2)
    assert run.state == "succeeded"
    scene.executed({"tell": 1})


def test_a_publish_that_is_lost_is_told_to_the_caller(harness):
    scene = Scene.on(harness)
    trouble = Trouble(hook="penstock_publish_pipeline", number=0, fault="lost after")
    answers = Answers(scene.subject.config, trouble)
    with scene.open(("answers", answers)) as workspace:
        with pytest.raises(TargetUnavailable, match="the answer is lost"):
            workspace.publish(variant("python", "a"), folder=scene.specs)
        assert workspace.publish(variant("python", "a"), folder=scene.specs).label == "1"


def test_a_late_answer_lets_others_go_first(troubled):
    seen = []
    answers, run, _ = troubled("penstock_submit_run", "late", meanwhile=lambda: seen.append("others"))
    assert (answers.met, seen, run.state) == (True, ["others"], "succeeded")


def test_an_answer_that_comes_twice_is_the_same(troubled):
    answers, run, scene = troubled("penstock_submit_run", "twice")
    assert (answers.met, answers.differing, run.state) == (True, "", "succeeded")
    scene.executed({"tell": 1})


def test_it_is_noted_when_a_target_answers_a_repeat_differently(harness, monkeypatch):
    answers = Answers(harness.subject.config, Trouble(hook="penstock_publish_pipeline", number=0, fault="twice"))
    names = iter(["first", "second"])
    monkeypatch.setattr(answers, "repeat", lambda target, hook, *asked: Publication(external=next(names)))
    call = answers._answer("penstock_publish_pipeline", harness.hooks.target, None, None)
    next(call)
    with pytest.raises(StopIteration) as answer:
        call.send(Publication(external=next(names)))
    assert answer.value.value.external == "second"
    assert "'first'" in answers.differing and "'second'" in answers.differing


def test_old_news_is_what_was_said_before(harness):
    answers = Answers(harness.subject.config, Trouble(hook="penstock_get_run", number=1, fault="stale"))
    told = [RunReport(state="running"), RunReport(state="succeeded"), RunReport(state="succeeded")]
    heard = []
    for report in told:
        call = answers._answer("penstock_get_run", harness.hooks.target, RunRef(id="a run", publication=None))
        next(call)
        with pytest.raises(StopIteration) as answer:
            call.send(report)
        heard.append(answer.value.value.state)
    assert heard == ["running", "running", "succeeded"]


def test_a_run_that_is_lost_stays_lost(troubled):
    answers, run, scene = troubled("penstock_get_run", "absent")
    assert answers.met
    assert (run.state, run.error.code) == ("failed", "run_lost")
    assert not isinstance(scene.reported(run), Absent)


def test_the_answers_of_every_hook_that_reaches_the_target_are_troubled():
    assert {hook for history in HISTORIES for hook in history.hooks} == set(REACHING) - {"penstock_sync_endpoint"}
    assert {name for name in vars(Answers) if name.startswith("penstock_")} == set(REACHING)
    assert all(callable(getattr(OpenTarget, method)) for method in REACHING.values())


def test_hooks_that_do_not_reach_the_target_are_known_by_name():
    told_once = {"penstock_target_options", "penstock_validate_pipeline", "penstock_compile_pipeline"}
    told_once |= {"penstock_keep_secrets"}
    assert set(BACKEND_HOOKS) - set(REACHING) == told_once | {
        "penstock_resolve_location",
        "penstock_check_target",
        "penstock_check_publication",  # only looks
        "penstock_clear_run",  # takes away what is over
        "penstock_fetch_artifact",  # changes nothing there, and puts its answer into what it is given
        "penstock_locate_artifact",  # no network
        "penstock_list_runs",  # asks many runs what `penstock_get_run` asks one
    }


@pytest.mark.parametrize(("breaking", "reason"), [
    ("uncounted", "no answer was there to be troubled: `penstock_read_logs`"),
    ("untroubled", "4 of 4 answers could not be troubled: answer 1 of `penstock_read_logs` lost before, "),
])  # fmt: skip
def test_a_history_that_is_not_troubled_is_not_passed(breaking, reason, tmp_path, engines_end):
    result, said = in_subprocess(scripted.asked, tmp_path, "troubled_logs_are_whole", breaking)
    engines_end(tmp_path)
    assert (result, said[: len(reason)]) == ("skip", reason)


def test_a_machine_that_is_slow_to_retire_leaves_no_answer_untroubled(tmp_path, engines_end):
    found = in_subprocess(scripted.asked, tmp_path, "troubled_deletes_take_nothing_else", "hurried")
    engines_end(tmp_path)
    assert found == ("pass", "")


def test_what_is_found_wrong_while_an_answer_is_late_is_wrong(harness):
    def wrong(recording):
        raise LawBroken(12, "found meanwhile")

    trouble = Trouble(hook="penstock_retire_pipeline", number=0, fault="late")
    with pytest.raises(LawBroken, match=f"{trouble}: found meanwhile"):
        plays(evolve(DELETE, meanwhile=wrong), Scene.on(harness), trouble, 1.0)
