"""So little memory that nothing can begin with it is refused, and where it is not, it is that step's failure alone."""

import signal
import subprocess
import sys

import pytest

from penstock.spec import Defaults, Resources, Step
from penstock_local import hooks, keepers, memory, wake

limited = pytest.mark.skipif(not memory.can_limit(), reason="needs control groups that this user may make")


@pytest.mark.parametrize(
    ("asked", "said", "hint"),
    [
        (512, "512 bytes of memory is too little", "512Mi"),
        ("64Ki", "64Ki of memory is too little", "64Mi"),
        (999_999, "999999 bytes of memory is too little", "512Mi"),
    ],
)
def test_what_nothing_can_begin_with_is_refused(place, asked, said, hint):
    step = Step(command="true", resources=Resources(memory=asked))
    for pipeline in (
        place.pipeline({"one": step}),
        place.pipeline({"one": "true"}, defaults=Defaults(resources=step.resources)),
    ):
        (problem,) = hooks.penstock_validate_pipeline(place.target, pipeline)
        assert (problem.severity, problem.code, problem.path[-1]) == ("error", "memory_too_small", "memory")
        assert said in problem.message
        assert problem.hint == f"did you mean `{hint}`?"


def test_the_least_is_enough_for_a_shell(place):
    run = place.submit({"one": Step(command=["sh", "-c", "echo hi"], resources=Resources(memory=memory.LEAST))})
    assert place.wait(run).state == "succeeded"


@pytest.mark.sampled(1)
@limited
@pytest.mark.parametrize("asked", [512, 4096, 1 << 16, 1 << 17])
def test_a_limit_too_small_for_anything_is_the_steps_own_failure(place, asked):
    """As in a publication of an earlier penstock."""
    small = Step(command=["sh", "-c", "echo hi"], resources=Resources(memory=asked))
    place.wait(place.submit({"one": "true"}))
    before = place.keepers()
    run, other = place.submit({"one": small}), place.submit({"one": "true"})
    report = place.wait(run)
    assert (report.state, report.error.code) == ("failed", "step_out_of_memory")
    assert report.steps[0].exit_code == 128 + signal.SIGKILL
    assert place.wait(other).state == "succeeded"
    assert place.keepers() == before
    assert memory.Memory(place.layout.root).settle("") is False


KILLS_KEEPER = """
import os, signal, sys, time
from penstock_local import engine, journal, own_keeper
whole = own_keeper.OwnKeeper._send
def killing(self, words, file=None):
    if words[0] == "spawn" and any(b"poison" in word for word in words[3]):
        while not (found := journal.read(self.journal)).keeper or any(
            token != words[1] and (token not in found.traces or found.traces[token].starting) for token in self.open
        ):  # it went about all others
            time.sleep(0.002)
        os.kill(self.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
    whole(self, words, file)
own_keeper.OwnKeeper._send = killing
sys.exit(engine.main(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_a_keeper_that_dies_of_each_start_of_a_step_is_that_steps_failure(places, monkeypatch):
    place = places(idle=0.0)
    monkeypatch.setattr(wake, "wake", lambda layout: None)
    steps = {"poison": Step(command=["true", "poison"]), "good": "true"}
    run = place.submit(steps)
    command = [sys.executable, "-c", KILLS_KEEPER, str(place.layout.root)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 0
    report = place.get(run)
    assert (report.state, report.error.code) == ("failed", "step_not_started")
    assert report.error.message == (
        f"step `poison`: could not start `true`: what starts steps died {keepers.TRIES} times before it had started "
        "this one"
    )
    assert place.states(run) == {"poison": "failed", "good": "succeeded"}
    assert not any(place.layout.keepers.iterdir())
