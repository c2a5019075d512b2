"""One engine per root: woken at once, never two, ends itself, gives out its slots in order."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.contract.run import ENDED, Absent, RunRef
from penstock.spec import Resources, Retry, Step
from penstock_local import database, queue, wake


def engine_command(place):
    return [sys.executable, "-P", "-m", "penstock_local.engine", str(place.layout.root)]


def unfinished(place) -> int:
    with database.opened(place.layout) as connection:
        return sum(queue.counts(connection).values())


def test_runs_share_one_engine_and_it_ends_itself(places):
    place = places(idle=0.3)
    runs = [place.submit({"one": "true"}) for _ in range(3)]
    assert len(place.engines()) <= 1
    for run in runs:
        assert place.wait(run).state == "succeeded"
    place.until(lambda: not place.engines(), "the engine does not end itself")
    assert (place.layout.root / "engine.log").read_text() == ""
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"


def test_the_engine_has_nothing_of_whoever_submitted_first(place, monkeypatch):
    monkeypatch.setenv("SECRET", "x")
    place.wait(place.submit({"one": "true"}))
    with open(f"/proc/{place.engine()}/environ") as file:
        found = {entry.partition("=")[0] for entry in file.read().split("\0") if entry}
    assert found - {"PWD"} == {"PATH", "HOME", "LANG"}  # a shell may add where it is
    assert os.getsid(place.engine()) != os.getsid(0)
    files = {os.readlink(f"/proc/{place.engine()}/fd/{number}") for number in (0, 1, 2)}
    assert files == {"/dev/null", str(place.layout.log)}


@pytest.mark.thorough
def test_no_wake_up_is_lost_by_an_engine_that_ends_at_once(places):
    place = places(idle=0.0)
    publication = place.publish({"one": "true"})
    submit = f"""
import random, sys, time, uuid
from pathlib import Path
from penstock.contract.run import RunRequest
from penstock.contract.target import Publication, Target
from penstock_local import hooks
from penstock_local.options import LocalOptions
home, external = Path({str(place.target.home)!r}), {publication.external!r}
target = Target(name="here", backend="local", options=LocalOptions(idle=0.0, slots=2), home=home)
for _ in range(25):
    time.sleep(random.random() * 0.1)
    run = RunRequest(id=str(uuid.uuid4()), publication=Publication(external=external), pipeline="t")
    hooks.penstock_submit_run(target, run)
"""
    writers = [subprocess.Popen([sys.executable, "-c", submit]) for _ in range(3)]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    # Only the queue is looked at: asking for a run would start an engine.
    place.until(lambda: unfinished(place) == 0, "a run was forgotten")
    with database.opened(place.layout) as connection:
        rows = connection.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall()
        attempts = connection.execute("SELECT max(attempt) FROM steps").fetchone()[0]
    assert [tuple(row) for row in rows] == [("succeeded", 75)]
    assert attempts == 1


@pytest.mark.thorough
def test_of_engines_started_together_one_stays(place, tmp_path):
    place.layout.make()
    with contextlib.ExitStack() as racers:
        for _ in range(5):
            racers.enter_context(subprocess.Popen(engine_command(place), stderr=subprocess.DEVNULL))
        run = place.submit({"one": Step(command=["sh", "-c", f"echo x >> {tmp_path}/starts; sleep 0.2"])})
        assert place.wait(run).state == "succeeded"
        place.until(lambda: len(place.engines()) == 1, "more than one engine stays")
        assert (tmp_path / "starts").read_text() == "x\n"
        os.kill(place.engine(), signal.SIGTERM)


def test_who_finds_an_engine_on_its_way_out_waits_for_it(place):
    place.layout.make()
    lock, pipe = wake.claim(place.layout)
    assert wake.claim(place.layout) is None
    assert wake.listening(place.layout)
    os.close(pipe)
    assert not wake.listening(place.layout)
    publication = place.publish({"one": "true"})
    holder = subprocess.Popen(["sleep", "0.3"], pass_fds=[lock])
    os.close(lock)
    run = place.start(publication)
    assert holder.wait() == 0
    place.until(lambda: unfinished(place) == 0, "nobody was started")
    assert place.get(run).state == "succeeded"


def test_a_run_is_started_once_however_often_it_is_handed_over(place, tmp_path):
    publication = place.publish({"one": Step(command=["sh", "-c", f"echo x >> {tmp_path}/starts"])})
    runs = [place.start(publication, run="same") for _ in range(3)]
    place.wait(runs[0])
    runs.append(place.start(publication, run="same"))
    assert len({run.external for run in runs}) == 1
    assert place.cancel(runs[0]) is False
    place.start(publication, run="same")
    place.wait(place.submit({"one": "true"}))
    assert (tmp_path / "starts").read_text() == "x\n"


def test_a_cancelled_run_is_not_started_by_another_hand_over(places, tmp_path):
    place = places(slots=1)
    blocker = place.submit({"one": "sleep 300"})
    publication = place.publish({"one": Step(command=["sh", "-c", f"echo x >> {tmp_path}/starts"])})
    run = place.start(publication, run="same")
    assert place.cancel(run)
    assert place.cancel(run) in (True, False)
    assert place.wait(run).state == "canceled"
    place.start(publication, run="same")
    place.cancel(blocker)
    place.wait(blocker)
    assert place.get(run).state == "canceled"
    assert not (tmp_path / "starts").exists()


def busy(tmp_path, name, seconds=0.15, **more) -> Step:
    script = f'echo "+$1" >> {tmp_path}/events; sleep {seconds}; echo "-$1" >> {tmp_path}/events'
    return Step(command=["sh", "-c", script, "sh", name], **more)


def most_at_once(lines) -> int:
    now, most = 0, 0
    for line in lines:
        now += 1 if line.startswith("+") else -1
        most = max(most, now)
    return most


def test_as_many_steps_run_at_once_as_there_are_slots(places, tmp_path):
    place = places(slots=2)
    runs = [place.submit({f"s{step}": busy(tmp_path, f"{run}{step}") for step in range(3)}) for run in range(2)]
    for run in runs:
        assert place.wait(run).state == "succeeded"
    events = (tmp_path / "events").read_text().split()
    assert most_at_once(events) == 2
    # By when the engine started them: what two processes write at once comes in any order.
    first, second = ([step.started for step in place.steps(run).values()] for run in runs)
    assert max(first) <= min(second)


def test_a_step_that_needs_more_slots_waits_for_them_and_is_not_overtaken(places, tmp_path):
    place = places(slots=2)
    wide = busy(tmp_path, "wide", resources=Resources(cpu=16))
    steps = {"a": busy(tmp_path, "a"), "b": wide, "c": busy(tmp_path, "c"), "d": busy(tmp_path, "d")}
    assert place.wait(place.submit(steps)).state == "succeeded"
    events = (tmp_path / "events").read_text().split()
    at = events.index("+wide")
    assert events[: at + 2] == ["+a", "-a", "+wide", "-wide"]


def test_several_runs_go_on_at_once(places, tmp_path):
    place = places(slots=2)
    script = 'touch "$1"; while ! test -e "$2"; do sleep 0.02; done'
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    first = place.submit({"one": Step(command=["sh", "-c", script, "sh", one, two])})
    second = place.submit({"one": Step(command=["sh", "-c", script, "sh", two, one])})
    assert place.wait(first).state == place.wait(second).state == "succeeded"


def test_the_settings_of_the_run_submitted_last_count(places, tmp_path):
    narrow, wide = places("same", slots=1), places("same", slots=3)
    blocker = narrow.submit({"one": "sleep 300"})
    place = wide
    script = 'touch "$1"; while ! test -e "$2"; do sleep 0.02; done'
    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    run = place.submit(
        {
            "x": Step(command=["sh", "-c", script, "sh", one, two]),
            "y": Step(command=["sh", "-c", script, "sh", two, one]),
        }
    )
    assert place.wait(run).state == "succeeded"
    narrow.cancel(blocker)


def test_a_run_nobody_submitted_is_absent(place):
    publication = place.publish({"one": "true"})
    ghost = RunRef(id="ghost", publication=publication)
    assert place.get(ghost) == Absent()
    assert place.cancel(ghost) is False
    place.wait(place.start(publication))
    assert place.get(ghost) == Absent()
    assert place.cancel(ghost) is False


def test_what_lies_under_the_root_is_private(place):
    place.spec.joinpath("src").mkdir()
    place.spec.joinpath("src", "a.txt").write_text("x")
    run = place.submit({"one": Step(command=["true"], code="./src")})
    place.wait(run)
    root = place.layout.root
    assert root.stat().st_mode & 0o777 == 0o700
    for path in [path for path in root.rglob("*") if path.parent.parent != place.layout.archives]:
        mode = path.stat().st_mode
        assert mode & 0o077 == 0 or path.parent == place.layout.archives, path


STEP = st.tuples(
    st.sets(st.integers(0, 4), max_size=2),  # after which earlier steps
    st.sampled_from(["true", "false", "sleep 0.02"]),
    st.integers(1, 2),  # attempts
)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=st.lists(STEP, min_size=1, max_size=5), cancel=st.booleans())
def test_states_only_go_forward(place, shape, cancel):
    steps = {
        f"s{number}": Step(
            command=command, after=tuple(f"s{n}" for n in sorted(after) if n < number), retry=Retry(attempts=tries)
        )
        for number, (after, command, tries) in enumerate(shape)
    }
    run = place.submit(steps)
    order = {"queued": 0, "running": 1}
    seen: dict[str, str] = {}
    attempts: dict[str, int] = {}
    while True:
        report = place.get(run)
        for name, state in [("", report.state), *((step.name, step.state) for step in report.steps)]:
            before = seen.get(name, "queued")
            assert before == state if before in ENDED else order.get(state, 2) >= order[before], (name, before, state)
            seen[name] = state
        for step in report.steps:
            assert step.attempt >= attempts.get(step.name, 0)
            attempts[step.name] = step.attempt
        if report.state in ENDED:
            break
        if cancel:
            cancel = False
            place.cancel(run)
        time.sleep(0.002)
    assert all(step.state in ENDED for step in report.steps)
    assert report.ended is not None
    if report.state == "succeeded":
        assert {step.state for step in report.steps} == {"succeeded"}
    elif report.state == "failed":
        failed = {step.name for step in report.steps if step.state == "failed"}
        assert report.error.step in failed
        for step in report.steps:
            blocked = any(seen[need] in ("failed", "skipped") for need in steps[step.name].after)
            assert (step.state == "skipped") == blocked
    with contextlib.suppress(FileNotFoundError):
        assert place.layout.log.read_text() == ""
