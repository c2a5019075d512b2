"""One kill of engine or keeper: no finished step runs again, and what runs goes on under the next, the same process."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from penstock.spec import Retry, Step
from penstock_local import journal
from penstock_local.own_keeper import OwnKeeper

WAIT = 'echo $$ >> "$1"; until test -e "$2"; do sleep 0.02; done; '
"""Notes that it began, and goes on once a file is there."""


class Waiting:
    """A step that notes each of its starts and waits until it may go on."""

    def __init__(self, place, then="true", **more):
        self.place = place
        self.began, self.go = place.folder / "began", place.folder / "go"
        command = ["sh", "-c", WAIT + then, "sh", str(self.began), str(self.go)]
        outputs = more.get("outputs", {})
        self.step = Step(command=[*command, *(f"${{{{ outputs.{name} }}}}" for name in outputs)], **more)

    def pids(self) -> list[int]:
        return [int(pid) for pid in self.began.read_text().split()] if self.began.exists() else []

    def started(self) -> int:
        self.place.until(lambda: len(self.pids()) == 1, "the step does not start")
        return self.pids()[0]


def only_one(place, run, waiting) -> None:
    report = place.wait(run)
    assert (report.state, {step.attempt for step in report.steps}) == ("succeeded", {1})
    assert len(waiting.pids()) == 1


def parent(pid: int) -> int:
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rpartition(")")[2].split()[1])


def is_noted(place) -> bool:
    """Whether an end is on record; to ask for the run would start the next engine."""
    traces = [trace for path in place.layout.keepers.iterdir() for trace in journal.read(path).traces.values()]
    return any(trace.code is not None for trace in traces)


def test_a_running_step_goes_on_under_the_next_engine(place):
    waiting = Waiting(place, 'echo 7 > "$3"', outputs={"x": "integer"})
    run = place.submit({"one": waiting.step, "two": Step(command="true", after=("one",))})
    pid = waiting.started()
    place.kill_engine()
    assert parent(pid) in place.keepers()
    assert place.get(run).state == "running"
    engine = place.engine()
    place.until(lambda: place.states(run) == {"one": "running", "two": "queued"}, "it does not count as running")
    waiting.go.touch()
    only_one(place, run, waiting)
    assert place.steps(run)["one"].outputs["x"] == "7"
    assert place.engine() == engine


def test_a_step_that_ended_while_no_engine_ran_has_succeeded(place):
    waiting = Waiting(place, 'mkdir "$3"; echo 7 > "$3/model"', outputs={"x": "directory"})
    run = place.submit({"one": waiting.step, "two": Step(command="true", after=("one",))})
    waiting.started()
    place.kill_engine()
    waiting.go.touch()
    place.until(lambda: is_noted(place), "its end is not noted")
    place.until(lambda: not place.keepers(), "the keeper stays though nothing is left to keep")
    only_one(place, run, waiting)
    with open(f"{place.steps(run)['one'].outputs['x']}/model") as file:
        assert file.read() == "7\n"
    place.until(lambda: len(list(place.layout.keepers.iterdir())) == 1, "the journal of a keeper that has gone stays")


def test_what_went_wrong_while_no_engine_ran_is_told_and_tried_again(place):
    waiting = Waiting(place, 'test -e "$2.2" || { touch "$2.2"; exit 3; }', retry=Retry(attempts=2))
    run = place.submit({"one": waiting.step})
    waiting.started()
    place.kill_engine()
    waiting.go.touch()
    place.until(lambda: is_noted(place), "its end is not noted")
    report = place.wait(run)
    assert (report.state, report.steps[0].attempt, len(waiting.pids())) == ("succeeded", 2, 2)
    assert b"--- attempt 2 of 2 after: exited with code 3 ---" in place.log(run, "one")


def test_what_a_step_left_behind_ends_with_it_though_its_engine_is_gone(place, tmp_path):
    daemon = (
        f"setsid -f sh -c 'echo $$ > {tmp_path}/daemon; exec sleep 300'; until test -s {tmp_path}/daemon; do :; done"
    )
    waiting = Waiting(place, daemon)
    run = place.submit({"one": waiting.step})
    waiting.started()
    place.kill_engine()
    place.get(run)
    waiting.go.touch()
    only_one(place, run, waiting)
    assert not place.alive(int((tmp_path / "daemon").read_text()))


def test_a_running_step_outlives_its_keeper(place):
    """It is the engine's own child then, and what comes next has another keeper."""
    waiting = Waiting(place, 'echo 7 > "$3"', outputs={"x": "integer"})
    run = place.submit({"one": waiting.step, "two": Step(command="true", after=("one",))})
    pid = waiting.started()
    engine = place.engine()
    place.kill(parent(pid))
    place.until(lambda: parent(pid) == engine, "it has no parent of ours")
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert len(place.keepers()) == 1
    waiting.go.touch()
    only_one(place, run, waiting)
    assert (place.steps(run)["one"].outputs["x"], place.engine()) == ("7", engine)


@pytest.mark.thorough
def test_engine_after_engine_may_be_killed(place):
    waiting = Waiting(place)
    run = place.submit({"one": waiting.step})
    waiting.started()
    for _ in range(3):
        place.kill_engine()
        place.get(run)
    waiting.go.touch()
    only_one(place, run, waiting)


@pytest.mark.parametrize("who", ["engine", "keeper"])
def test_a_step_that_was_taken_over_is_canceled(places, who, tmp_path):
    place = places(grace=10.0)
    waiting = Waiting(place)
    script = f"trap 'echo x > {tmp_path}/heard; exit' TERM; {WAIT}"
    waiting.step = Step(command=["sh", "-c", script, *waiting.step.command[3:]])
    run = place.submit({"one": waiting.step})
    pid = waiting.started()
    place.kill(place.engine() if who == "engine" else parent(pid))
    place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert (tmp_path / "heard").exists() and not place.alive(pid)


@pytest.mark.parametrize("who", ["engine", "keeper"])
def test_the_time_of_a_step_that_was_taken_over_goes_on(places, who):
    place = places(grace=10.0)
    waiting = Waiting(place, timeout=1.5)
    run = place.submit({"one": waiting.step})
    pid = waiting.started()
    place.kill(place.engine() if who == "engine" else parent(pid))
    report = place.wait(run)
    assert (report.state, report.error.message) == ("failed", "step `one`: took longer than 1.5 s")
    assert not place.alive(pid)


def test_a_step_that_was_taken_over_holds_its_slot(places):
    place = places(slots=1)
    waiting = Waiting(place)
    run = place.submit({"one": waiting.step})
    other = place.submit({"one": "true"})
    waiting.started()
    place.kill_engine()
    place.until(lambda: place.get(run) and place.engines(), "no engine comes")
    assert place.get(other).state == "queued"
    waiting.go.touch()
    only_one(place, run, waiting)
    assert place.wait(other).state == "succeeded"


def test_what_is_lost_with_engine_and_keeper_runs_again_and_counts(place):
    waiting = Waiting(place)
    run = place.submit({"one": waiting.step})
    pid = waiting.started()
    place.kill_both()
    place.until(lambda: place.get(run) and len(waiting.pids()) == 2, "it is not started again")
    assert not place.alive(pid)
    waiting.go.touch()
    assert place.wait(run).steps[0].attempt == 2
    assert b"--- begun again after: what ran it was killed ---\n" in place.log(run, "one")


def test_a_step_that_could_not_be_started_says_so_at_once(place):
    report = place.wait(place.submit({"one": Step(command=["./absent"])}))
    assert report.error.code == "step_not_started"
    assert "`./absent`, or the interpreter it names, was not found in its working folder" in report.error.message


@pytest.mark.thorough
def test_a_keeper_gives_way_to_another_before_its_journal_is_full(places, monkeypatch):
    place = places(idle=0.0)
    run = place.submit({"first": "true"})
    place.wait(run)
    place.until(lambda: not place.engines(), "the engine does not end itself")
    assert not any(place.layout.keepers.iterdir())
    code = "import sys; from penstock_local import engine, journal; journal.STARTS = 2; engine.main(sys.argv[1:])"
    monkeypatch.setattr("penstock_local.wake.wake", lambda layout: None)
    steps = {f"s{number}": Step(command=["sh", "-c", f"echo $PPID >> {place.folder}/keepers"]) for number in range(5)}
    run = place.submit(steps)
    assert subprocess.run([sys.executable, "-c", code, str(place.layout.root)], check=False).returncode == 0
    assert place.get(run).state == "succeeded"
    lines = (place.folder / "keepers").read_text().split()
    assert (len(lines), len(set(lines))) == (5, 3)
    assert not any(place.layout.keepers.iterdir())
    assert not place.keepers()


def test_an_interrupted_terminal_does_not_reach_the_keeper(place):
    waiting = Waiting(place)
    run = place.submit({"one": waiting.step})
    pid = waiting.started()
    keeper = parent(pid)
    assert os.getpgid(keeper) == keeper != os.getpgid(place.engine())
    assert os.getsid(keeper) == os.getsid(place.engine())
    os.kill(place.engine(), signal.SIGINT)
    place.until(lambda: not place.alive(pid) and not place.alive(keeper), "something is left after an orderly end")
    place.until(lambda: not any(place.layout.keepers.iterdir()), "a journal is left")
    place.until(lambda: place.get(run) and len(waiting.pids()) == 2, "the step is not started again")
    waiting.go.touch()
    assert place.wait(run).state == "succeeded"


def test_a_full_disk_takes_no_end_away_that_an_engine_notes(small_disk):
    disk = small_disk(size="2m")
    path = disk.folder / "journal"
    file = journal.create(path)
    os.pwrite(file, journal.record(journal.STARTED, "0", 1, 0.5), 0)
    disk.fill()
    for number in range(journal.STARTS):
        journal.append(path, journal.ended(str(number), number))
    found = journal.read(path).traces
    assert {token: trace.code for token, trace in found.items()} == {str(n): n for n in range(journal.STARTS)}
    assert found["0"].pid == 1
    disk.clear()
    journal.append(path, journal.tried("0"))  # one more than there is room for
    assert journal.read(path).traces["0"].tries == 1
    os.close(file)


def test_the_journal_of_a_kill_while_nothing_ran_goes_with_the_next_engine(place):
    place.wait(place.submit({"one": "true"}))
    place.kill_both()
    (left,) = place.layout.keepers.iterdir()
    place.wait(place.submit({"one": "true"}))
    assert not left.exists()
    place.until(lambda: len(list(place.layout.keepers.iterdir())) == 1, "another journal is left")


def test_a_keeper_that_cannot_be_started_leaves_no_journal(place, monkeypatch):
    """While there are no processes to be had it is tried for as long as that takes."""
    place.layout.make()
    place.layout.keepers.mkdir(exist_ok=True)

    def fail(*words, **more):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr("penstock_local.own_keeper.subprocess.Popen", fail)
    with pytest.raises(BlockingIOError):
        OwnKeeper.start(place.layout.root, place.layout.keepers / "one")
    assert not any(place.layout.keepers.iterdir())
