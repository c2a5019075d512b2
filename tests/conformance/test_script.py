"""A failing history as a program: it is as short as can be, runs by itself, and ends with the law that broke."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attrs import evolve

from penstock.dispatch import Dispatcher
from penstock.registry import default_version
from penstock.testing.bench import Bench
from penstock.testing.checks.histories import CHECKS
from penstock.testing.examination import ask
from penstock.testing.histories.play import replay, shortest
from penstock.testing.histories.script import script_of
from penstock.testing.laws import LawBroken
from penstock.testing.profiles import DEFAULT
from penstock.testing.subject import Subject

FAULT = "planted.histories:rollback_takes_every_move_back"
NEEDED = [
    ("publish", {"variant": "a", "endpoint": "one"}),
    ("publish", {"variant": "b", "endpoint": "one", "default": True}),
    ("publish", {"variant": "c", "endpoint": "one", "default": True}),
    ("rollback", {"endpoint": "one"}),
]
LONG = [
    NEEDED[0],
    ("moment", {"moment": "m1"}),
    ("submit", {"run": "r1", "ref": "one"}),
    ("publish", {"variant": "b", "name": "tool"}),
    ("publish", {"variant": "b", "endpoint": "one", "default": True, "expect": "0", "by": "bob"}),
    ("disable", {"ref": "one", "reason": "no longer trusted"}),
    NEEDED[2],
    ("wait", {"run": "r1"}),
    ("endpoint_at", {"endpoint": "one", "moment": "m1"}),
    NEEDED[3],
    ("endpoints", {"all": True}),
]


def subject_in(folder: Path, *prepare: str) -> Subject:
    """A subject on a target of this machine."""
    return Subject.of_options(folder, {"backend": "local", "idle": "1s"}, python=sys.executable, prepare=prepare)


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder as somebody would who was given it."""
    (folder / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "TMPDIR": str(folder)}
    return subprocess.run(
        [sys.executable, "script.py"], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def folder(tmp_path, engines_end):
    yield tmp_path
    engines_end(tmp_path)


@pytest.fixture
def bench(folder, monkeypatch):
    """A bench with the fault planted in this process, for as long as the test."""
    monkeypatch.setattr(default_version, "rollback", default_version.rollback)
    module, _, name = FAULT.partition(":")
    getattr(importlib.import_module(module), name)()
    return Bench(subject_in(folder / "kit"), DEFAULT, 1)


def test_a_failing_history_is_made_as_short_as_it_can_be(bench):
    found = replay(bench, LONG)
    assert found is not None
    broken, history, pause = shortest(bench, LONG, found[0])
    assert broken.law == 3
    assert history == NEEDED
    assert pause == 0


def test_what_depends_on_the_pace_is_sought_with_a_pause(folder, monkeypatch):
    # A run that has ended when it is looked at for the first time has no outputs.
    refresh = Dispatcher.refresh

    def refresh_forgetfully(self, run_id, **more):
        before, after = self._registry.get_run(run_id), refresh(self, run_id, **more)
        return evolve(after, outputs={}) if (before.state, after.state) == ("queued", "succeeded") else after

    monkeypatch.setattr(Dispatcher, "refresh", refresh_forgetfully)
    calls = [NEEDED[0], ("moment", {"moment": "m1"}), ("submit", {"run": "r1", "ref": "one"}), ("get", {"run": "r1"})]
    bench = Bench(subject_in(folder / "kit"), DEFAULT, 1)
    assert replay(bench, calls) is None
    found = replay(bench, calls, pause=0.3)
    assert found is not None
    broken, history, pause = shortest(bench, calls, found[0])
    assert (broken.law, pause) == (found[0].law, 0.3)
    assert history == [call for call in calls if call[0] != "moment"]
    assert "    pause=0.3,\n" in script_of(bench.subject, history, broken, pause)


def test_the_program_of_a_history_breaks_the_same_law(folder):
    broken = LawBroken(3, 'a message with "quotes"')
    done = run(script_of(subject_in(folder / "kit", FAULT), NEEDED, broken), folder)
    assert done.returncode == 1, done.stderr
    assert done.stderr.splitlines()[-1].startswith("penstock.testing.laws.LawBroken: law 3 (Pointed): rollback(")


def test_the_program_of_a_history_that_breaks_nothing_ends_well(folder):
    script = script_of(
        subject_in(folder / "kit"), [*NEEDED, ("submit", {"run": "r1", "ref": "one"})], LawBroken(3, "-")
    )
    done = run(script, folder)
    said = "every call was answered as it should be: what broke depends on the pace of the target\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, said, "")


def test_a_failure_of_the_check_carries_the_program(bench, folder):
    outcome = ask(bench, CHECKS[0])
    assert (outcome.result, outcome.law) == ("fail", 3)
    script = outcome.details[0].partition("\n\n")[2]
    calls = [line for line in script.splitlines() if line.startswith("    play(")]
    assert len(calls) <= 6, script
    done = run(script.replace("prepare=()", f"prepare={(FAULT,)!r}"), folder)
    assert done.returncode == 1
    assert "law 3" in done.stderr.splitlines()[-1]
