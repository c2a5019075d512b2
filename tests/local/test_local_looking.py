"""Looking at runs: one at a time or many at once, what the times say, and that a look writes nothing."""

import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from penstock.contract.run import Absent, RunRef
from penstock.contract.target import Publication
from penstock.spec import Retry, Step
from penstock_local import database, hooks, queue, request, wake

NOWHERE = Publication(external="none")


def ref(run) -> RunRef:
    return RunRef(id=run, publication=NOWHERE)


def fill_queue(place, count):
    """Runs that ended, as an engine would have noted them, of two steps each."""
    place.layout.make()
    with database.deciding(place.layout) as connection:
        for number in range(count):
            queue.add_job(
                connection, f"run-{number}", "x", request.to_text(request.Request().parameters, ()), ["a", "b"]
            )
            seq = number + 1
            writes = [queue.job_started(seq, 1.0)]
            for position in (0, 1):
                writes.append(queue.step_started(seq, position, 1, "token", 1.0 + position))
                writes.append(queue.step_ended(seq, position, "succeeded", 2.0 + position, 0, None, {"x": str(number)}))
            writes.append(queue.job_ended(seq, "succeeded", 3.0, None, {"x": str(number)}))
            for statement, values in writes:
                connection.execute(statement, values)


def test_many_runs_are_told_as_each_would_be(place, tmp_path):
    assert hooks.penstock_list_runs(place.target, [ref("ghost")]) == {"ghost": Absent()}
    step = Step(command=["sh", "-c", f"touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.01; done"])
    runs = [
        place.submit({"one": "true", "two": Step(command="true", after=("one",))}),
        place.submit({"one": "false", "two": Step(command="true", after=("one",))}),
    ]
    for run in runs:
        place.wait(run)
    runs.append(place.submit({"one": step}))
    place.until((tmp_path / "up").exists, "the step does not start")
    asked = [*runs, ref("ghost"), ref("a'b\0"), ref("\ud800"), runs[0]]
    found = hooks.penstock_list_runs(place.target, asked)
    assert list(found) == list(dict.fromkeys(run.id for run in asked))
    for run in runs:
        assert found[run.id] == place.get(run)
    assert [found[run.id].state for run in runs] == ["succeeded", "failed", "running"]
    assert [step.name for step in found[runs[0].id].steps] == ["one", "two"]
    assert found["ghost"] == found["a'b\0"] == found["\ud800"] == Absent()
    assert hooks.penstock_list_runs(place.target, []) == {}
    place.cancel(runs[2])
    place.wait(runs[2])


def test_one_unfinished_run_among_many_gets_its_engine_back(place, monkeypatch):
    fill_queue(place, 20)
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        run = place.submit({"one": "true"})
    asked = [ref(f"run-{number}") for number in range(20)] + [run]
    place.until(lambda: hooks.penstock_list_runs(place.target, asked)[run.id].state == "succeeded", "nobody runs it")


def test_a_hundred_of_a_thousand_runs_are_one_look_into_the_queue(place, monkeypatch):
    fill_queue(place, 1000)
    statements = []
    real = sqlite3.connect

    def connect(*where, **how):
        connection = real(*where, **how)
        connection.set_trace_callback(statements.append)
        return connection

    asked = [ref(f"run-{number}") for number in range(0, 1000, 10)]
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        found = hooks.penstock_list_runs(place.target, asked)
    assert {name: report.steps[1].outputs["x"] for name, report in found.items()} == {
        f"run-{number}": str(number) for number in range(0, 1000, 10)
    }
    assert [word for word in statements if word.startswith("BEGIN")] == ["BEGIN"]
    assert len([word for word in statements if word.startswith("SELECT")]) == 2
    assert not [word for word in statements if word.startswith(("INSERT", "UPDATE", "DELETE", "REPLACE"))]


def heard(pipe) -> bytes:
    try:
        return os.read(pipe, 65536)
    except BlockingIOError:
        return b""


@pytest.mark.thorough
def test_a_look_at_a_running_run_writes_nothing_and_wakes_nobody(place):
    fill_queue(place, 1)
    publication = place.publish({"one": "true"})
    lock, pipe = wake.claim(place.layout)
    try:
        run = place.start(publication)
        assert heard(pipe)
        with database.deciding(place.layout) as connection:
            statement, values = queue.job_started(2, time.time())
            connection.execute(statement, values)
        with database.opened(place.layout) as watcher:  # whose `data_version` changes with every commit of others
            before = watcher.execute("PRAGMA data_version").fetchone()[0]
            for _ in range(20):
                assert place.get(run).state == "running"
                assert hooks.penstock_list_runs(place.target, [run, ref("run-0")])[run.id].state == "running"
            assert watcher.execute("PRAGMA data_version").fetchone()[0] == before
        assert heard(pipe) == b""
        assert "engine: running" in hooks.penstock_check_target(place.target).lines
        assert heard(pipe) == b""
        # Whoever asked for the cancel may have died before it could wake the engine.
        with database.deciding(place.layout) as connection:
            assert queue.ask_cancel(connection, run.id)
        place.get(run)
        assert heard(pipe)
    finally:
        os.close(pipe)
        os.close(lock)


def test_a_look_at_a_run_that_nobody_has_begun_wakes_the_engine(place):
    publication = place.publish({"one": "true"})
    lock, pipe = wake.claim(place.layout)
    try:
        run = place.start(publication)
        heard(pipe)
        assert place.get(run).state == "queued"
        assert heard(pipe)
    finally:
        os.close(pipe)
        os.close(lock)
    place.wait(run)


def test_times_are_those_of_what_happened(place, tmp_path):
    before = datetime.now(UTC)
    steps = {
        "bad": Step(command="false", retry=Retry(attempts=2, delay=0.2)),
        "long": "sleep 0.6",
        "after": Step(command="true", after=("bad",)),
    }
    run = place.submit(steps)
    report = place.wait(run)
    time.sleep(0.3)
    after = datetime.now(UTC)
    assert place.get(run) == report
    bad, long, skipped = (place.steps(run)[name] for name in ("bad", "long", "after"))
    assert {report.started.tzinfo, report.ended.tzinfo, bad.started.tzinfo, skipped.ended.tzinfo} == {UTC}
    assert before <= report.started == min(bad.started, long.started)
    assert bad.ended - bad.started >= timedelta(seconds=0.2)
    assert (skipped.state, skipped.started, skipped.ended) == ("skipped", None, bad.ended)
    assert long.ended - long.started >= timedelta(seconds=0.6)
    assert report.ended == max(bad.ended, long.ended) <= after - timedelta(seconds=0.3)


def test_a_run_canceled_before_it_began_has_an_end_and_no_beginning(places):
    place = places(slots=1)
    blocker = place.submit({"one": "sleep 300"})
    before = datetime.now(UTC)
    run = place.submit({"one": "true", "two": Step(command="true", after=("one",))})
    assert (place.get(run).started, place.get(run).ended) == (None, None)
    place.cancel(run)
    report = place.wait(run)
    assert (report.state, report.started) == ("canceled", None)
    assert {step.state for step in report.steps} == {"canceled"}
    for step in report.steps:
        assert step.started is None
        assert before <= step.ended <= report.ended
    place.cancel(blocker)
    place.wait(blocker)


def test_a_run_that_was_given_up_while_a_step_ran_says_that_it_failed(place, tmp_path):
    steps = {
        "done": "true",
        "one": Step(command=["sh", "-c", f"touch {tmp_path}/up; sleep 300"], after=("done",)),
        "two": Step(command="true", after=("one",)),
    }
    run = place.submit(steps)
    place.until((tmp_path / "up").exists, "the step does not start")
    engine = place.engine()
    os.kill(engine, 9)
    place.until(lambda: not place.alive(engine), "the engine does not die")
    place.layout.publication(run.publication.external).write_bytes(b"{}")
    report = place.wait(run)
    done, one, two = report.steps
    assert (done.state, one.state, two.state) == ("succeeded", "failed", "skipped")
    assert (one.error.code, one.error.step) == ("publication_damaged", "one")
    assert one.started is not None and one.started <= one.ended <= report.ended
    assert (two.started, two.ended) == (None, one.ended)


BACK = """
import sys, time
from penstock_local import engine, schedule
real, calls = time.time, iter(range(10**9))
class Clock:
    def time(self):
        return real() - 3600 * next(calls)
schedule.time = Clock()
sys.exit(engine.main(sys.argv[1:]))
"""


@pytest.mark.thorough
@pytest.mark.parametrize("steps", [["true", "false"], ["false", "true"]])
def test_a_clock_that_is_set_back_again_and_again_ends_nothing_before_it_began(places, monkeypatch, steps):
    place = places(idle=0.0)
    monkeypatch.setattr(wake, "wake", lambda layout: None)
    names = [f"s{number}" for number in range(len(steps))]
    run = place.submit(
        {
            **{name: Step(command=word) for name, word in zip(names, steps, strict=True)},
            "last": Step(command="true", after=tuple(names)),
        }
    )
    assert subprocess.run([sys.executable, "-c", BACK, str(place.layout.root)], check=False).returncode == 0
    report = place.get(run)
    assert report.state == "failed"
    assert report.started <= report.ended
    for step in report.steps:
        assert step.ended is not None and step.ended <= report.ended
        assert (step.started is None) == (step.state == "skipped")
        assert step.started is None or step.started <= step.ended


def test_every_state_has_its_time(place):
    """Whatever state a run or a step is in, it has a start once it ran, and an end once it ended."""
    run = place.submit({"a": "sleep 0.1", "b": Step(command="sleep 0.1", after=("a",)), "c": "false"})
    while True:
        report = place.get(run)
        for one in (report, *report.steps):
            assert (one.ended is not None) == (one.state in ("succeeded", "failed", "canceled", "skipped"))
            assert one.started is not None or one.state not in ("running", "succeeded", "failed")
            assert one.state != "queued" or one.started is None
        if report.ended:
            break
        time.sleep(0.005)
