"""Trouble stays where it belongs: crashes of the engine, damaged records, missing folders, targets under one root."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path

import pytest

from penstock.contract.run import RunRef
from penstock.errors import TargetRefused, TargetUnavailable
from penstock.spec import Retry, Step
from penstock_local import hooks, processes, wake
from penstock_local.layout import Layout

DAY = 86400.0


def test_durations_may_be_longer_than_the_timers_of_the_system(places):
    place = places(idle=1000 * DAY)
    long = Step(command="sleep 0.1", timeout=1000 * DAY)
    later = Step(command="false", retry=Retry(attempts=2, delay=1000 * DAY))
    first, second = place.submit({"one": long}), place.submit({"one": later})
    assert place.wait(first).state == "succeeded"
    place.until(lambda: b"attempt 2 of 2" in place.log(second, "one"), "the first attempt does not fail")
    assert place.cancel(second)
    assert place.wait(second).state == "canceled"
    engine = place.engine()
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert place.engine() == engine
    assert place.layout.log.read_text() == ""


CRASH = """
import sys
from penstock_local import engine, schedule
whole = schedule.Schedule.over
def broken(self, step):
    if step.name == "poison":
        raise RuntimeError("first line\\nsecond line")
    whole(self, step)
schedule.Schedule.over = broken
sys.exit(engine.main(sys.argv[1:]))
"""


@pytest.mark.thorough
def test_a_crash_is_one_line_and_takes_no_step_along(places, tmp_path, monkeypatch):
    place = places(idle=0.0)
    monkeypatch.setattr(wake, "wake", lambda layout: None)
    note = f"echo $$ >> {tmp_path}/long; until test -e {tmp_path}/go; do sleep 0.02; done"
    poison = f"until test -s {tmp_path}/long; do sleep 0.01; done; echo x >> {tmp_path}/poison"
    run = place.submit({"long": Step(command=["sh", "-c", note]), "poison": Step(command=["sh", "-c", poison])})
    command = [sys.executable, "-c", CRASH, str(place.layout.root)]
    for _ in range(2):
        log = tmp_path / "log"
        with log.open("w") as errors:  # not a pipe: its keeper stays
            assert subprocess.run(command, stderr=errors, check=False).returncode == 1
        assert log.read_text().count("\n") == 1
        assert log.read_text().endswith("gives up for now: RuntimeError: first line\n")
        (pid,) = (tmp_path / "long").read_text().split()
        assert place.alive(int(pid))
    (tmp_path / "go").touch()
    assert subprocess.run([sys.executable, "-m", "penstock_local.engine", command[-1]], check=False).returncode == 0
    report = place.get(run)
    assert (report.state, [step.attempt for step in report.steps]) == ("succeeded", [1, 1])
    assert (tmp_path / "poison").read_text() == "x\n"
    assert len((tmp_path / "long").read_text().split()) == 1


@pytest.mark.thorough
def test_a_step_whose_end_crashes_every_engine_is_given_up(places, monkeypatch):
    place = places(idle=0.0)
    monkeypatch.setattr(wake, "wake", lambda layout: None)
    run = place.submit({"poison": "true"})
    command = [sys.executable, "-c", CRASH, str(place.layout.root)]
    codes = [subprocess.run(command, capture_output=True, check=False).returncode for _ in range(4)]
    assert codes == [1, 1, 1, 0]
    report = place.get(run)
    assert (report.state, report.error.code, report.steps[0].attempt) == ("failed", "step_interrupted", 1)
    assert report.error.message == "step `poison`: ended, and 3 engines died before they had noted what it came to"


@pytest.mark.thorough
def test_a_step_that_kills_what_runs_it_takes_nobody_along(place, tmp_path):
    quiet = 'touch "$1"; sleep 1'
    kill = f"until test -e {tmp_path}/up1 -a -e {tmp_path}/up2; do sleep 0.01; done; {place.KILL_BOTH}; sleep 300"
    first = place.submit({"one": Step(command=["sh", "-c", quiet, "sh", f"{tmp_path}/up1"])})
    culprit = place.submit({"one": Step(command=["sh", "-c", kill])})
    last = place.submit({"one": Step(command=["sh", "-c", quiet, "sh", f"{tmp_path}/up2"])})
    for run in (first, last):
        report = place.wait(run)
        assert (report.state, report.steps[0].attempt) == ("succeeded", 3)
    report = place.wait(culprit)
    assert (report.state, report.error.code, report.steps[0].attempt) == ("failed", "step_interrupted", 3)


def test_what_dropped_its_environment_is_known_by_the_log_it_writes_to(place, tmp_path):
    pids = tmp_path / "pids"
    script = f"sleep 300 >/dev/null 2>&1 & echo $! >> {pids}; echo $$ >> {pids}; exec sleep 300"
    run = place.submit({"one": Step(command=["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script])})

    def noted() -> list[int]:
        return [int(pid) for pid in pids.read_text().split()] if pids.exists() else []

    place.until(lambda: len(noted()) == 2, "the step does not start")
    left = noted()
    log = place.layout.log_of(run.id, "one")
    with subprocess.Popen(["tail", "-f", log], cwd=f"/proc/{left[1]}/cwd", stdout=subprocess.DEVNULL) as reader:
        try:
            place.kill_both()
            assert all(map(place.alive, left))
            place.until(lambda: place.get(run) and len(noted()) == 4, "the step is not started again")
            assert not any(map(place.alive, left))
            assert reader.poll() is None
            place.cancel(run)
            assert place.wait(run).state == "canceled"
            place.until(lambda: not any(map(place.alive, noted())), "something is left")
        finally:
            reader.kill()
            for pid in filter(place.alive, noted()):
                os.kill(pid, signal.SIGKILL)


def test_outputs_behind_a_link_in_place_of_their_folder_are_refused(place):
    swap = 'd=$(dirname "$1"); rmdir "$d"; ln -s /etc "$d"'
    step = Step(command=["sh", "-c", swap, "sh", "${{ outputs.passwd }}"], outputs={"passwd": "file"})
    report = place.wait(place.submit({"one": step}))
    assert (report.state, report.error.code) == ("failed", "output_invalid")
    assert report.error.message == "step `one`: the folder of its outputs was replaced; write into the folder itself"


def test_a_root_behind_a_link_delivers_outputs(places, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    place = places(root=tmp_path / "link" / "root")
    step = Step(command=["sh", "-c", 'echo x > "$1"', "sh", "${{ outputs.x }}"], outputs={"x": "file"})
    run = place.submit({"one": step})
    assert place.wait(run).state == "succeeded"
    assert Path(place.steps(run)["one"].outputs["x"]).read_text() == "x\n"


def waiting_run(place, monkeypatch, publication) -> RunRef:
    """A run in the queue that no engine has seen."""
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        return place.start(publication)


def damaged(plan: bytes, change) -> bytes:
    document = json.loads(plan)
    change(document)
    return json.dumps(document).encode()


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "damage",
    [
        lambda plan: b"{}",
        lambda plan: b"[]",
        lambda plan: b"\xff",
        lambda plan: plan[:-20],
        lambda plan: b"[" * 100_000,
        lambda plan: damaged(plan, lambda document: document["steps"][0].pop("command")),
        lambda plan: damaged(plan, lambda document: document["steps"].reverse()),
        lambda plan: damaged(plan, lambda document: document["steps"].append(document["steps"][0])),
        lambda plan: damaged(plan, lambda document: document["steps"][0].update(slots="2")),
        lambda plan: damaged(plan, lambda document: document["archives"].update(x=1)),
        lambda plan: damaged(plan, lambda document: document["outputs"].update(x=1)),
    ],
)
def test_a_damaged_publication_fails_its_run_only(place, monkeypatch, damage):
    publication = place.publish({"one": "true", "two": Step(command="true", after=("one",))})
    path = place.layout.publication(publication.external)
    whole = path.read_bytes()
    bad = waiting_run(place, monkeypatch, publication)
    path.write_bytes(damage(whole))
    assert place.wait(place.submit({"one": "echo"})).state == "succeeded"
    report = place.wait(bad)
    assert (report.state, report.error.code) == ("failed", "publication_damaged")
    assert str(path) in report.error.message
    assert place.states(bad) == {"one": "skipped", "two": "skipped"}
    with pytest.raises(TargetRefused, match=r"is damaged.*publish it again"):
        place.start(publication)
    place.publish({"one": "true", "two": Step(command="true", after=("one",))})
    assert path.read_bytes() == whole
    assert place.layout.log.read_text() == ""


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "request_text",
    ["{}", "[]", "x", "[" * 100_000, '{"parameters": 1}', '{"parameters": {"texts": {}}, "environment": []}', None],
    ids=lambda text: str(text)[:30],
)
def test_a_damaged_request_fails_its_run_only(place, monkeypatch, request_text):
    bad = waiting_run(place, monkeypatch, place.publish({"one": "true"}))
    database = sqlite3.connect(place.layout.queue)
    if request_text is None:
        kept = json.loads(database.execute("SELECT request FROM jobs").fetchone()[0])
        kept["environment"] = ["A"]
        request_text = json.dumps(kept)
    database.execute("UPDATE jobs SET request = ?", (request_text,))
    database.commit()
    database.close()
    assert place.wait(place.submit({"one": "echo"})).state == "succeeded"
    report = place.wait(bad)
    assert (report.state, report.error.code) == ("failed", "run_damaged")
    assert "trigger it again" in report.error.message
    assert place.layout.log.read_text() == ""


def test_what_a_run_left_behind_is_ended_though_its_publication_is_damaged(place, tmp_path):
    publication = place.publish({"one": Step(command=["sh", "-c", f"echo $$ > {tmp_path}/pid; exec sleep 300"])})
    run = place.start(publication)
    place.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the step does not start")
    place.kill_engine()
    place.layout.publication(publication.external).write_bytes(b"{}")
    assert place.wait(run).error.code == "publication_damaged"
    assert not place.alive(int((tmp_path / "pid").read_text()))


def test_a_logs_folder_that_was_cleared_away_is_made_again(place):
    run = str(uuid.uuid4())
    logs = place.layout.run(run) / "logs"
    steps = {"one": Step(command=["rm", "-r", str(logs)]), "two": Step(command="echo x", after=("one",))}
    publication = place.publish(steps)
    found = place.start(publication, run=run)
    assert place.wait(found).state == "succeeded"
    assert place.log(found, "two") == b"x\n"


def test_a_log_that_cannot_be_written_is_not_taken_for_a_missing_program(place):
    run = str(uuid.uuid4())
    logs = place.layout.run(run) / "logs"
    # Where the log is made while this goes on, its folder would be made again.
    wait = f"while ! test -e {logs}/two.log; do sleep 0.01; done"
    replace = Step(command=["sh", "-c", f"{wait}; rm -r {logs}; touch {logs}"])
    publication = place.publish({"one": replace, "two": Step(command="echo x", after=("one",))})
    report = place.wait(place.start(publication, run=run))
    assert report.error.code == "step_not_started"
    assert report.error.message == f"step `two`: could not start `echo`: Not a directory: `{logs}/two.log`"


class Shared:
    """Two targets under one root, and a publication with an archive that either may make."""

    def __init__(self, places, tmp_path):
        self.root = tmp_path / "shared"
        self.one, self.two = places("one", root=self.root), places("two", root=self.root)
        for place in (self.one, self.two):
            (place.spec / "src").mkdir()
            (place.spec / "src" / "a.txt").write_text("x")

    def publish(self, place):
        return place.publish({"show": Step(command="cat a.txt", code="./src")})

    def retire(self, place, publication):
        assert hooks.penstock_retire_pipeline(place.target, publication)

    def is_there(self, publication) -> bool:
        there = self.one.layout.publication(publication.external).exists()
        assert bool(list(self.one.layout.archives.iterdir())) == there
        return there


@pytest.fixture
def shared(places, tmp_path):
    return Shared(places, tmp_path)


def test_a_publication_stays_as_long_as_one_target_needs_it(shared):
    publication = shared.publish(shared.one)
    assert shared.publish(shared.two) == shared.publish(shared.one) == publication
    for _ in range(2):
        shared.retire(shared.one, publication)
        assert shared.is_there(publication)
    run = shared.two.start(publication)
    assert shared.two.wait(run).state == "succeeded"
    assert shared.two.log(run, "show") == b"x"
    shared.publish(shared.one)
    shared.retire(shared.two, publication)
    assert shared.is_there(publication)
    for _ in range(2):
        shared.retire(shared.one, publication)
        assert not shared.is_there(publication)
    assert list(shared.one.layout.owners.iterdir()) == []


def test_targets_of_one_workspace_are_told_apart_by_their_names(shared):
    import attrs

    publication = shared.publish(shared.one)
    shared.two.target = attrs.evolve(shared.one.target, name="there")
    shared.publish(shared.two)
    shared.retire(shared.one, publication)
    assert shared.is_there(publication)
    shared.retire(shared.two, publication)
    assert not shared.is_there(publication)


def test_a_publication_from_before_owners_were_noted(shared):
    publication = shared.publish(shared.one)
    shutil.rmtree(shared.one.layout.owners)
    shared.publish(shared.two)
    shared.retire(shared.two, publication)
    assert shared.is_there(publication)
    shutil.rmtree(shared.one.layout.owners)
    shared.retire(shared.one, publication)
    assert not shared.is_there(publication)


def test_targets_that_publish_and_retire_at_the_same_time_do_not_harm_each_other(shared):
    missing = []

    def work(place):
        for _ in range(25):
            publication = shared.publish(place)
            archives = list(place.layout.archives.glob("*.tar"))
            if not place.layout.publication(publication.external).exists() or not archives:
                missing.append(place.target.home)
            shared.retire(place, publication)

    workers = [threading.Thread(target=work, args=(place,)) for place in (shared.one, shared.two)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert missing == []
    assert list(shared.one.layout.publications.iterdir()) == []
    assert list(shared.one.layout.archives.iterdir()) == []


def test_a_root_that_cannot_be_looked_into_is_not_an_empty_one(tmp_path):
    layout = Layout(tmp_path / "root")
    assert not layout.has_queue()
    layout.root.write_text("a file in its place")
    with pytest.raises(TargetUnavailable, match=r"Not a directory; move away what lies in its place"):
        layout.has_queue()


@pytest.mark.thorough
def test_a_tree_without_tokens_is_ended_whole_however_fast_its_root_dies(place):
    """The root is known, its descendants only by descent: none may be looked for after its parent has gone."""
    script = "for i in 1 2 3 4 5 6; do sh -c 'sleep 300 & sleep 300 & wait' & done; echo up; wait"
    for _ in range(10):
        root = subprocess.Popen(["env", "-i", "PATH=/usr/bin:/bin", "sh", "-c", script], stdout=subprocess.PIPE)
        assert root.stdout is not None and root.stdout.readline() == b"up\n"
        below = _below(root.pid)
        for handle in processes.signal_tokens(set(), signal.SIGKILL, also=[(root.pid, os.getpid())]):
            os.close(handle)
        root.wait(timeout=10)
        root.stdout.close()
        deadline = time.monotonic() + 10
        while any(map(place.alive, below)) and time.monotonic() < deadline:
            time.sleep(0.01)
        left = [pid for pid in below if place.alive(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert left == []


def _below(pid: int) -> list[int]:
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*found, *(lower for child in found for lower in _below(child))]
