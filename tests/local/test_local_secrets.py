"""Values of the environment are on disk only in one private file, and only as long as their run is unfinished."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import searching

from penstock.contract.run import RunRef, RunRequest
from penstock.errors import TargetUnavailable
from penstock.spec import Retry, Step
from penstock_local import database, environments, hooks, queue, wake

SECRET = "hunter2-very-secret"
ENCODED = SECRET.encode()


@pytest.fixture
def place(places, monkeypatch):
    monkeypatch.setenv("API_TOKEN", SECRET)
    return places(pass_env=["API_TOKEN"], grace=0.2)


def holders(place) -> list[str]:
    """Every file below the workspace's folder in which the secret is."""
    return [str(path) for path in searching.holders(place.folder, ENCODED)]


def gone(place) -> bool:
    return holders(place) == [] and not os.listdir(place.layout.environments)


def waits(tmp_path, after='test "${#API_TOKEN}" = 19', **more) -> Step:
    script = f"touch {tmp_path}/up; while ! test -e {tmp_path}/go; do sleep 0.01; done; {after}"
    return Step(command=["bash", "-c", script], **more)


def test_during_a_run_one_private_file_holds_them_and_afterwards_none(place, tmp_path):
    run = place.submit({"one": waits(tmp_path), "two": Step(command="true", after=("one",))})
    place.until((tmp_path / "up").exists, "the step does not start")
    (only,) = holders(place)
    assert only == str(place.layout.environments / run.id)
    assert os.stat(only).st_mode & 0o777 == 0o600
    assert place.layout.environments.stat().st_mode & 0o777 == 0o700
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert gone(place)


def test_nothing_stays_of_a_run_that_was_canceled(place, tmp_path):
    run = place.submit({"one": waits(tmp_path)})
    place.until((tmp_path / "up").exists, "the step does not start")
    place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert gone(place)


def test_nothing_stays_of_a_run_that_never_started(place, tmp_path):
    blocker = place.submit({"one": Step(command=["sleep", "300"], resources={"cpu": 4})})
    run = place.submit({"one": "true"})
    assert place.cancel(run)
    assert place.wait(run).state == "canceled"
    assert [os.path.basename(path) for path in holders(place)] == [blocker.id]
    place.cancel(blocker)
    place.wait(blocker)
    assert gone(place)


@pytest.mark.parametrize(
    "step", [Step(command="false", retry=Retry(attempts=2)), Step(command="no-such-command")], ids=["exit", "start"]
)
def test_nothing_stays_of_a_run_that_failed(place, step):
    assert place.wait(place.submit({"one": step})).state == "failed"
    assert gone(place)


def test_nothing_stays_of_a_run_whose_code_cannot_be_unpacked(place):
    (place.spec / "src").mkdir()
    (place.spec / "src" / "a.txt").write_text("x")
    publication = place.publish({"one": Step(command="true", code="./src")})
    for archive in place.layout.archives.iterdir():
        archive.unlink()
    report = place.wait(place.start(publication))
    assert (report.state, report.error.code) == ("failed", "step_not_started")
    assert gone(place)


def test_nothing_stays_of_a_run_whose_publication_is_damaged(place, monkeypatch):
    publication = place.publish({"one": "true"})
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        run = place.start(publication)
    place.layout.publication(publication.external).write_bytes(b"{}")
    assert place.wait(run).error.code == "publication_damaged"
    assert gone(place)


@pytest.mark.thorough
def test_after_kill_of_the_engine_the_run_still_has_them_and_then_nobody(place, tmp_path):
    run = place.submit({"one": waits(tmp_path)})
    place.until((tmp_path / "up").exists, "the step does not start")
    (tmp_path / "up").unlink()
    place.kill_both()
    assert [os.path.basename(path) for path in holders(place)] == [run.id]
    place.until(lambda: place.get(run) and (tmp_path / "up").exists(), "the step is not started again")
    (tmp_path / "go").touch()
    assert place.wait(run).state == "succeeded"
    assert gone(place)


@pytest.mark.thorough
def test_a_step_that_kills_what_runs_it_leaves_none(place):
    run = place.submit({"one": Step(command=["sh", "-c", f"{place.KILL_BOTH}; sleep 300"])})
    assert place.wait(run).error.code == "step_interrupted"
    assert gone(place)


@pytest.mark.thorough
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ends=st.lists(st.sampled_from(["true", "false", "sleep 0.05"]), min_size=1, max_size=4),
    kills=st.lists(st.floats(0.0, 0.2), max_size=2),
    cancel=st.booleans(),
)
def test_however_a_run_ends_and_whenever_its_engine_is_killed_nothing_stays(place, ends, kills, cancel):
    run = place.submit({f"s{number}": Step(command=word) for number, word in enumerate(ends)})
    for seconds in kills:
        time.sleep(seconds)
        for pid in place.engines():
            os.kill(pid, signal.SIGKILL)
            place.until(lambda pid=pid: not place.alive(pid), "the engine does not die")
    if cancel:
        place.cancel(run)
    place.wait(run)
    assert gone(place)


def left_behind(place, monkeypatch):
    """A run that ended, and its environment, as if its engine had been killed between the two."""
    place.until(lambda: not place.engines(), "the engine does not end")
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        run = place.submit({"one": "true"})
    with database.deciding(place.layout) as connection:
        (seq,) = connection.execute("SELECT seq FROM jobs WHERE id = ?", (run.id,)).fetchone()
        for statement, values in (
            queue.step_ended(seq, 0, "succeeded", 2.0, 0, None, None),
            queue.job_ended(seq, "succeeded", 2.0, None, None),
        ):
            connection.execute(statement, values)
    assert len(holders(place)) == 1
    return run


@pytest.mark.parametrize("many", [False, True])
def test_what_an_engine_left_goes_when_somebody_looks_at_the_run(place, monkeypatch, many):
    run = left_behind(place, monkeypatch)
    if many:
        assert hooks.penstock_list_runs(place.target, [run])[run.id].state == "succeeded"
    else:
        assert place.get(run).state == "succeeded"
    assert gone(place)
    assert not place.engines()


def test_what_an_engine_left_goes_when_the_next_one_starts(place, monkeypatch):
    left_behind(place, monkeypatch)
    place.submit({"one": "true"})
    place.until(lambda: gone(place), "something stays")


SUBMIT = """
import os, signal, sys
from pathlib import Path
from penstock.contract.run import RunRequest
from penstock.contract.target import Publication, Target
from penstock_local import hooks, queue
from penstock_local.options import LocalOptions
target = Target(name="here", backend="local", options=LocalOptions(pass_env=["API_TOKEN"]), home=Path(sys.argv[1]))
queue.add_job = lambda *more: os.kill(os.getpid(), signal.SIGKILL)
hooks.penstock_submit_run(
    target, RunRequest(id=sys.argv[2], publication=Publication(external=sys.argv[3]), pipeline="test")
)
"""


def killed_submit(place, publication) -> str:
    run = str(uuid.uuid4())
    command = [sys.executable, "-c", SUBMIT, str(place.target.home), run, publication.external]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert holders(place) == [str(place.layout.environments / run)]
    return run


def test_what_a_killed_submit_left_goes_with_the_next_engine(place, tmp_path):
    publication = place.publish({"one": "true"})
    killed_submit(place, publication)
    (place.layout.environments / ".draft.1234").write_bytes(ENCODED)
    other = place.start(publication)
    assert place.wait(other).state == "succeeded"
    assert gone(place)


def test_a_killed_submit_that_is_made_again_runs_with_the_values_of_then(place, monkeypatch):
    publication = place.publish({"show": Step(command=["sh", "-c", "echo ${#API_TOKEN}"])})
    run = killed_submit(place, publication)
    monkeypatch.setenv("API_TOKEN", "short")
    again = place.start(publication, run=run)
    assert place.wait(again).state == "succeeded"
    assert place.log(again, "show") == b"5\n"
    assert gone(place)


def test_a_submit_that_is_refused_leaves_none(place):
    publication = place.publish({"one": "true"})
    place.wait(place.start(publication))
    with sqlite3.connect(place.layout.queue) as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON steps BEGIN SELECT RAISE(ABORT, 'no'); END")
    connection.close()
    with pytest.raises(TargetUnavailable, match="no"):
        place.start(publication)
    assert gone(place)


def test_a_run_whose_values_are_gone_fails_and_never_runs_without_them(place, monkeypatch, tmp_path):
    publication = place.publish({"one": Step(command=["touch", str(tmp_path / "ran")])})
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        run = place.start(publication)
    environments.forget(place.layout, run.id)
    report = place.wait(run)
    assert (report.state, report.error.code) == ("failed", "run_damaged")
    assert "the values of its environment variables are gone" in report.error.message
    assert "trigger it again" in report.error.message
    assert not (tmp_path / "ran").exists()


def test_no_error_shows_a_value(places, monkeypatch):
    monkeypatch.setenv("PATH", f"/usr/bin:/bin:/{SECRET}")
    place = places(pass_env=["PATH"])
    report = place.wait(place.submit({"one": Step(command="no-such-command"), "two": Step(command=["no\nsuch"])}))
    assert {step.error.code for step in report.steps} == {"step_not_started"}
    assert "was not found on its PATH (taken along from who submitted it)" in report.error.message
    assert SECRET not in repr(report)
    assert gone(place)


def test_values_that_are_no_text_arrive_as_they_were(places, monkeypatch):
    monkeypatch.setitem(os.environ, "ODD", os.fsdecode(b"\xff\xfe=\n\xc3\xa9"))
    place = places(pass_env=["ODD"])
    run = place.submit({"show": Step(command=["sh", "-c", 'printf "%s" "$ODD"'])})
    place.wait(run)
    assert place.log(run, "show") == b"\xff\xfe=\n\xc3\xa9"


def test_folders_among_the_files_keep_nobody_from_working_and_go_with_them(place):
    place.layout.make()
    for name in ("a", "m", "z"):
        (place.layout.environments / name / "inside").mkdir(parents=True)
    leftovers = [place.layout.environments / name for name in ("b", "n", "zz")]
    for path in leftovers:
        path.write_bytes(ENCODED)
    assert place.wait(place.submit({"one": "true"})).state == "succeeded"
    assert place.layout.log.read_text() == ""
    assert list(place.layout.environments.iterdir()) == []


OLD_SCHEMA = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, publication TEXT NOT NULL, request TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', cancel INTEGER NOT NULL DEFAULT 0, created REAL NOT NULL,
    started REAL, ended REAL, error TEXT, outputs TEXT
);
CREATE INDEX jobs_unfinished ON jobs (seq) WHERE ended IS NULL;
CREATE TABLE steps (
    job INTEGER NOT NULL REFERENCES jobs (seq), position INTEGER NOT NULL, name TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued', attempt INTEGER NOT NULL DEFAULT 0, failures INTEGER NOT NULL DEFAULT 0,
    interruptions INTEGER NOT NULL DEFAULT 0, token TEXT, started REAL, ended REAL, exit_code INTEGER,
    error TEXT, outputs TEXT, PRIMARY KEY (job, position)
) WITHOUT ROWID;
"""


def old_queue(place, publication, ended=40):
    """A queue of version 1: many runs that ended, one that is still to run, one that is damaged."""
    old = {
        "values": {"word": "hello"},
        "artifacts": {},
        "bundled": {},
        "environment": {"API_TOKEN": SECRET},
        "settings": {"slots": 3, "grace": 7.5, "idle": 0.5},
    }
    connection = sqlite3.connect(place.layout.queue, isolation_level=None)
    os.chmod(place.layout.queue, 0o600)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(OLD_SCHEMA)
    connection.execute("PRAGMA user_version = 1")
    add = "INSERT INTO jobs (id, publication, request, state, created, started, ended) VALUES (?, ?, ?, ?, 1, ?, ?)"
    for number in range(ended):
        old["values"]["word"] = "hello" * number * 20
        connection.execute(add, (f"old-{number}", publication.external, json.dumps(old), "succeeded", 1.0, 2.0))
    old["values"]["word"] = "hello"
    connection.execute(add, ("waiting", publication.external, json.dumps(old), "queued", None, None))
    connection.execute("INSERT INTO steps (job, position, name) VALUES (?, 0, 'show')", (ended + 1,))
    connection.execute(add, ("damaged", publication.external, f'{{"environment": "{SECRET}"', "queued", None, None))
    connection.execute("INSERT INTO steps (job, position, name) VALUES (?, 0, 'show')", (ended + 2,))
    return connection


def test_a_queue_of_the_version_before_is_read_on_and_loses_what_it_should_not_hold(place, monkeypatch):
    from penstock.spec import Parameter

    show = Step(command=["sh", "-c", 'printf "%s %s" "$1" "${#API_TOKEN}"', "sh", "${{ parameters.word }}"])
    publication = place.publish({"show": show}, parameters={"word": Parameter("string")})
    old_queue(place, publication).close()
    monkeypatch.delenv("API_TOKEN")
    assert place.layout.queue.as_posix() in holders(place)
    waiting, damaged, done = (
        RunRef(id=run, publication=publication, external=run) for run in ("waiting", "damaged", "old-7")
    )
    with monkeypatch.context() as patch:
        patch.setattr(wake, "wake", lambda layout: None)
        assert place.get(done).state == "succeeded"
        assert holders(place) == [str(place.layout.environments / "waiting")]
    with database.opened(place.layout) as connection:
        assert queue.settings(connection) == queue.Settings(3, 7.5, 0.5)
    assert place.wait(waiting).state == "succeeded"
    assert place.log(waiting, "show") == b"hello 19"
    assert place.wait(damaged).error.code == "run_damaged"
    assert gone(place)


def test_a_migration_that_was_cut_short_is_finished_by_the_next(place, monkeypatch):
    publication = place.publish({"show": "true"})
    old_queue(place, publication).close()

    class Cut(Exception):
        pass

    class Killed(sqlite3.Connection):
        def execute(self, statement, *values):
            if statement == "VACUUM":
                raise Cut
            return super().execute(statement, *values)

    real = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *where, **how: real(*where, **how, factory=Killed))
        with pytest.raises(Cut):
            database.connect(place.layout)
    database.connect(place.layout).close()
    assert holders(place) == [str(place.layout.environments / "waiting")]
    assert place.wait(RunRef(id="waiting", publication=publication)).state == "succeeded"
    assert gone(place)


def test_submits_of_one_run_at_the_same_time_keep_its_values(place, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    publication = place.publish({"show": Step(command=["sh", "-c", f"echo ${{#API_TOKEN}} >> {tmp_path}/ran"])})
    request = RunRequest(id="same", publication=publication, pipeline="test")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: hooks.penstock_submit_run(place.target, request), range(8)))
    assert place.wait(RunRef(id="same", publication=publication)).state == "succeeded"
    assert (tmp_path / "ran").read_text() == "19\n"
    assert gone(place)
